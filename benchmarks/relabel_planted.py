"""Planted errors in patients' masks: who finds them, and how early in the queue.

A detector is trained on the masks with the errors in them; each mask is judged by maps that never
saw its anatomy. `flag` sees what a hospital has: masks, images, maps and the participants table.
Compared with it, on the same maps: whole-volume soft-min, which is cleanlab's own function, and
1 - Dice of mask and detection. AUROCs are of each kind of error against all right masks; the mean
is over kinds. Intervals: 95 %, bootstrap over masks within each kind.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from figures import Figures
from numpy.typing import NDArray
from relabel_world import Size, fitted, flagged, heads, planted_errors, seen

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.volume import read_mask, read_volume
from fcdsynth.relabel.further import FURTHER, PLANTED
from fcdsynth.relabel.tables import CHANNEL_COLUMNS, GATE, QUEUE
from fcdsynth.relabel.weights import mix

NUMBERS = ("p_err", "score", *CHANNEL_COLUMNS.values(), *FURTHER, "volume_ml")
SHARE = 0.3


@dataclass(frozen=True)
class Row:
    """One patient's mask.

    Args:
        subject: The patient.
        error: Planted error, ``none`` when the mask is right.
        rank: Place in flag's queue, from 1.
        wrong_side: Whether the gate found the side wrong.
        found: Whether a cluster of the detector touches the true lesion.
        softmin: Whole-volume soft-min of cleanlab, low is suspicious.
        dice: Of mask and detection.
        numbers: Numbers of the queue, NaN where a cell is empty.
    """

    subject: str
    error: str
    rank: int
    wrong_side: bool
    found: bool
    softmin: float
    dice: float
    numbers: Mapping[str, float]


def measured_rows(
    work: Path, preset: str, size: Size, anatomies: Path | None, workers: int,
    steps: int | None = None,
) -> list[Row]:  # fmt: skip
    """Simulate, train, look, flag; a row for every patient.

    Args:
        work: Folder that is kept; a stopped run goes on.
        preset: Difficulty.
        size: How large.
        anatomies: Folder of label maps.
        workers: Processes.
        steps: Training steps of the detectors, the size's own when None.
    """
    place = heads(work, preset, size, anatomies, workers)
    name = preset if steps is None else f"{preset}-{steps}"
    fits = fitted(work, place, size, workers, name, steps)
    maps = seen(work, fits, place, size, name, workers)
    flags = flagged(work, place, maps, fits, size, name, workers)
    cohort = Cohort.read(place)
    return [_row(cohort, maps, entry, error)
            for entry, error in _told(place, flags)]  # fmt: skip


def _told(place: Path, flags: Path) -> list[tuple[dict[str, str], str]]:
    errors = planted_errors(place)
    with (flags / QUEUE).open(newline="", encoding="utf-8") as stream:
        queue = [row for row in csv.DictReader(stream) if row["subject"] in errors]
    with (flags / GATE).open(newline="", encoding="utf-8") as stream:
        sides = {r["subject"] for r in csv.DictReader(stream)
                 if r["cause"].startswith("side differs")}  # fmt: skip
    for row in queue:
        row["wrong_side"] = "yes" if row["subject"] in sides else ""
    return [(row, errors[row["subject"]]) for row in queue]


def _row(cohort: Cohort, maps: Path, entry: Mapping[str, str], error: str) -> Row:
    subject = next(s for s in cohort.subjects if s.id == entry["subject"])
    found = Detections.read(maps)
    chance = read_volume(found.probability_path(subject.id))
    mask = read_mask(cohort.path(subject, "lesion_t1w"))
    truth = read_mask(cohort.path(subject, "truth"))
    clusters = read_volume(found.clusters_path(subject.id)).array > 0
    total = clusters.sum() + mask.array.sum()
    numbers = {n: float(entry[n]) if entry.get(n) else float("nan") for n in NUMBERS}
    return Row(
        subject.id, error, int(entry["rank"]), entry["wrong_side"] == "yes",
        bool((clusters & truth.array).any()), softmin(mask.array, chance.array),
        float(2 * (clusters & mask.array).sum() / total) if total else 1.0, numbers,
    )  # fmt: skip


def softmin(mask: NDArray[np.bool_], probability: NDArray[np.float32]) -> float:
    """Score of a whole volume by cleanlab's soft-min over its voxels."""
    from cleanlab.segmentation.rank import get_label_quality_scores

    label = mask.reshape(1, mask.shape[0], -1).astype(int)
    lesion = np.clip(probability.reshape(label.shape), 0, 1).astype(np.float64)
    both = np.stack([1 - lesion, lesion], axis=1)
    scores, _ = get_label_quality_scores(label, both, method="softmin", verbose=False)
    return float(scores[0])


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Keep the rows as a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["subject", "error", "rank", "wrong_side", "found", "softmin", "dice",
                         *NUMBERS])  # fmt: skip
        for r in rows:
            writer.writerow([r.subject, r.error, r.rank, int(r.wrong_side), int(r.found),
                             f"{r.softmin:.6f}", f"{r.dice:.4f}",
                             *(f"{r.numbers[n]:.4f}" for n in NUMBERS)])  # fmt: skip


def read_rows(path: Path) -> list[Row]:
    """Rows that were kept."""
    with path.open(newline="", encoding="utf-8") as stream:
        return [
            Row(r["subject"], r["error"], int(r["rank"]), r["wrong_side"] == "1",
                r["found"] == "1", float(r["softmin"]), float(r["dice"]),
                {n: float(r[n]) for n in NUMBERS})
            for r in csv.DictReader(stream)
        ]  # fmt: skip


class Judged:
    """AUROCs of scores on the rows, with a bootstrap that all scores share.

    Args:
        rows: The masks.
        draws: Bootstrap draws.
    """

    def __init__(self, rows: Sequence[Row], draws: int) -> None:
        self.rows = list(rows)
        self.kinds = sorted({r.error for r in rows} - {"none"})
        self.right = np.array([r.error == "none" for r in rows])
        rng = np.random.default_rng(11)
        count = {kind: sum(r.error == kind for r in rows) for kind in self.kinds}
        n = int(self.right.sum())
        self._right = rng.multinomial(n, np.full(n, 1 / n), draws) / n
        self._wrong = {k: rng.multinomial(c, np.full(c, 1 / c), draws) / c
                       for k, c in count.items()}  # fmt: skip

    def by_kind(self, scores: Sequence[float]) -> dict[str, float]:
        """AUROC of each kind of error; a missing score is as suspicious as the median one."""
        return {kind: float(self._pairs(scores, kind).mean()) for kind in self.kinds}

    def mean(self, scores: Sequence[float]) -> tuple[float, NDArray[np.float64]]:
        """Mean AUROC over kinds, and its bootstrap draws."""
        parts = [self._pairs(scores, kind) for kind in self.kinds]
        draws = [np.einsum("dw,wr,dr->d", self._wrong[k], p, self._right, optimize=True)
                 for k, p in zip(self.kinds, parts, strict=True)]  # fmt: skip
        return float(np.mean([p.mean() for p in parts])), np.mean(draws, axis=0)

    def _pairs(self, scores: Sequence[float], kind: str) -> NDArray[np.float64]:
        x = np.asarray(scores, dtype=float)
        x = np.where(np.isfinite(x), x, np.nanmedian(x))
        wrong = x[[r.error == kind for r in self.rows]][:, None]
        right = x[self.right][None]
        return (wrong > right) + 0.5 * (wrong == right)


def add_planted(figures: Figures, preset: str, rows: Sequence[Row], draws: int) -> None:
    """Add a preset's figures.

    Args:
        figures: Where to.
        preset: ``easy`` or ``study``.
        rows: Its masks.
        draws: Bootstrap draws.
    """
    goal = {"easy": (0.90, 0.85), "study": (0.80, 0.70)}.get(preset, (None, None))
    judged = Judged(rows, draws)
    scores = {
        "flag": [-float(r.rank) for r in rows],
        "softmin": [-r.softmin for r in rows],
        "dice": [-r.dice for r in rows],
    }
    means = {name: judged.mean(score) for name, score in scores.items()}
    value, drawn = means["flag"]
    wrong = [r for r in rows if r.error != "none"]
    figures.add(f"mean_auroc_{preset}", value, len(wrong), ends(drawn), at_least=goal[0])
    for name in ("softmin", "dice"):
        other, theirs = means[name]
        figures.add(f"mean_auroc_{preset}_{name}", other, len(wrong), ends(theirs))
        low, high = ends(drawn - theirs)
        figures.add(f"auroc_gain_vs_{name}_{preset}", value - other, len(wrong), (low, high),
                    at_least=0.10)  # fmt: skip
        figures.add(f"auroc_gain_vs_{name}_{preset}_low", low, len(wrong), (low, high),
                    at_least=1e-9)  # fmt: skip
    for kind, auroc in judged.by_kind(scores["flag"]).items():
        n = sum(r.error == kind for r in rows)
        figures.add(f"auroc_{preset}_{kind}", auroc, n, _kind_ends(judged, scores["flag"], kind))
    first = [r for r in rows if r.rank <= round(SHARE * len(rows))]
    caught = sum(r.error != "none" for r in first)
    figures.add_share(f"found_at_30pct_{preset}", caught, len(wrong), at_least=goal[1])
    ten = [r for r in rows if r.rank <= 10]
    figures.add_share(f"precision_of_first_ten_{preset}", sum(r.error != "none" for r in ten),
                      len(ten))  # fmt: skip
    side = [r for r in rows if r.error == "side"]
    figures.add_share(f"wrong_side_found_{preset}", sum(r.wrong_side for r in side), len(side),
                      at_least=1.0)  # fmt: skip
    figures.add_share(f"lesions_detected_{preset}", sum(r.found for r in rows), len(rows))
    add_reliability(figures, preset, rows)
    add_options(figures, preset, rows, judged)


def ends(draws: NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile interval."""
    low, high = np.quantile(draws, (0.025, 0.975))
    return float(low), float(high)


def _kind_ends(judged: Judged, scores: Sequence[float], kind: str) -> tuple[float, float]:
    one = judged._pairs(scores, kind)
    return ends(np.einsum("dw,wr,dr->d", judged._wrong[kind], one, judged._right, optimize=True))


def add_reliability(figures: Figures, preset: str, rows: Sequence[Row]) -> None:
    """Expected calibration error of p_err, 5 bins of equal width."""
    p = np.array([r.numbers["p_err"] for r in rows])
    wrong = np.array([r.error != "none" for r in rows])
    known = np.isfinite(p)
    p, wrong = p[known], wrong[known]
    if not len(p):
        return

    def error(index: NDArray[np.int_]) -> float:
        bins = np.minimum((p[index] * 5).astype(int), 4)
        return float(sum(
            abs(p[index][bins == b].mean() - wrong[index][bins == b].mean()) * (bins == b).mean()
            for b in set(bins)
        ))  # fmt: skip

    rng = np.random.default_rng(5)
    draws = np.array([error(rng.integers(0, len(p), len(p))) for _ in range(500)])
    figures.add(f"p_err_ece_{preset}", error(np.arange(len(p))), len(p), ends(draws))


def add_options(figures: Figures, preset: str, rows: Sequence[Row], judged: Judged) -> None:
    """Gain in mean AUROC by each option: a further channel beside the planted score, or alone."""
    alone = [r.numbers["score"] for r in rows]
    base, base_draws = judged.mean(alone)
    figures.add(f"mean_auroc_{preset}_without_gate", base, len(rows), ends(base_draws))
    for name in (*CHANNEL_COLUMNS.values(), *FURTHER):
        values = [r.numbers[name] for r in rows]
        if not np.isfinite(values).any():
            continue
        own, own_draws = judged.mean(values)
        figures.add(f"mean_auroc_{preset}_{name}_alone", own, len(rows), ends(own_draws))
        if name in FURTHER:
            both = mix({PLANTED: alone, name: values}, {PLANTED: 0.5, name: 0.5})
            value, draws = judged.mean(list(both))
            figures.add(f"auroc_gain_{preset}_with_{name}", value - base, len(rows),
                        ends(draws - base_draws))  # fmt: skip
    worst = [np.nanmax([r.numbers[c] for c in CHANNEL_COLUMNS.values()] + [0.0]) for r in rows]
    value, draws = judged.mean(worst)
    figures.add(f"mean_auroc_{preset}_largest_percentile", value, len(rows), ends(draws))
