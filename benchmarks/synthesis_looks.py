"""What lesions look like, and how far one set of them lies from another.

Features: the 24 of a lesion by hand (`fcdsynth.synthesis.proof.hand`). ``lesion_kid``: kernel
inception distance, mean over random halves of the real lesions, beside that of the other half.
``probe_auroc``: cross-validated logistic regression on the features and their squares, 20 draws
of equally many lesions a side. ``contrast_error_*``: difference of mean contrasts over the real
lesions' SD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from figures import Figures
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import CEREBRAL, INTENSITY_PER_SD
from fcdsynth.measure.ring import ring_contrast
from fcdsynth.measure.two_sample import classifier_auroc
from fcdsynth.synthesis.drawn import host_of as host_id
from fcdsynth.synthesis.proof.distances import distance
from fcdsynth.synthesis.proof.hand import lesion_features
from fcdsynth.synthesis.proof.sample import Sample
from fcdsynth.synthesis.proof.surroundings import reach_mm
from fcdsynth.synthesis.regions import near
from fcdsynth.training.data import load_arrays

CONTRASTS = ("t1w", "flair")


@dataclass(frozen=True, eq=False)
class Shown:
    """What a lesion shows.

    Args:
        people: Whose anatomy it lies in.
        features: See `lesion_features`.
        contrast: Against the ring, by contrast, robust SD of the brain.
        changed_outside: Voxels that differ from the host's outside the redrawn region.
    """

    people: frozenset[str]
    features: NDArray[np.float64]
    contrast: tuple[float, ...]
    changed_outside: int = 0


def shown(job: tuple[Cohort, Subject]) -> Shown:
    """What a subject's lesion shows in its own images."""
    cohort, subject = job
    arrays, grid = load_arrays(cohort, subject, [*CONTRASTS, "tissue", "lesion"])
    image = stacked(arrays)
    people = frozenset({subject.family or subject.id})
    return shown_in(image, arrays["tissue"], arrays["lesion"] > 0, grid.spacing_mm, people)


def shown_in(image, tissue, lesion, spacing, people, outside=0) -> Shown:
    # As `realism` does: annotators cross fluid, drawn masks never do.
    lesion = lesion & np.isin(tissue, CEREBRAL)
    ring = near(lesion, reach_mm(spacing), spacing)
    contrast = tuple(ring_contrast(c, lesion, ring, tissue) / INTENSITY_PER_SD for c in image)
    return Shown(people, lesion_features(image, tissue, lesion, spacing), contrast, outside)


def synthetic(job: tuple[Cohort, Cohort, Subject]) -> Shown:
    """What a synthetic subject's lesion shows, and what changed outside its region."""
    table, made, subject = job
    keys = [*CONTRASTS, "tissue", "region"] + ["lesion"] * subject.is_patient
    arrays, grid = load_arrays(made, subject, keys)
    host = host_of(table, subject)
    theirs, _ = load_arrays(table, host, list(CONTRASTS))
    image = stacked(arrays)
    before = stacked(theirs)
    outside = int(((image != before).any(axis=0) & ~(arrays["region"] > 0)).sum())
    people = frozenset({host.family or host.id})
    if not subject.is_patient:
        return Shown(people, np.empty(0), (), outside)
    lesion = arrays["lesion"] > 0
    return shown_in(image, arrays["tissue"], lesion, grid.spacing_mm, people, outside)


def host_of(table: Cohort, subject: Subject) -> Subject:
    """The row of a drawn or synthetic subject's host."""
    return table[host_id(subject)]


def stacked(arrays: Mapping[str, NDArray]) -> NDArray[np.float32]:
    """Prepared intensities of both contrasts, shape (contrast, x, y, z)."""
    return np.stack([arrays[key] for key in CONTRASTS]).astype(np.float32)


def sample(rows: Sequence[Shown]) -> Sample:
    """Features with the people behind them."""
    return Sample(np.array([r.features for r in rows]), tuple(r.people for r in rows))


def probe(rows: Sequence[Shown], real: Sequence[Shown], draws: int) -> list[float]:
    """AUROC of the linear probe for draws of equally many lesions a side."""
    n = min(len(rows), len(real))
    found = []
    for seed in range(draws):
        rng = np.random.default_rng([seed, 13])
        a, b = ([side[i] for i in rng.permutation(len(side))[:n]] for side in (rows, real))
        groups = tuple([min(r.people) for r in side] for side in (a, b))
        x, y = (np.array([r.features for r in side]) for side in (a, b))
        found.append(classifier_auroc(x, y, seed, groups, "logistic"))
    return found


def add_looks(
    figures: Figures, name: str, rows: Sequence[Shown], real: Sequence[Shown], draws: int
) -> None:
    """How far lesions lie from real ones; the generator's own have no name."""
    end = f"_{name}" if name else ""
    goals = not name
    mine, theirs = (np.array([r.contrast for r in side]) for side in (rows, real))
    for column, contrast in enumerate(CONTRASTS):
        a, b = (side[~np.isnan(side[:, column]), column] for side in (mine, theirs))
        rng = np.random.default_rng(17)
        errors, ratios = [], []
        for _ in range(2000):
            x, y = (rng.choice(side, len(side)) for side in (a, b))
            errors.append(abs(x.mean() - y.mean()) / y.std(ddof=1))
            ratios.append(x.std(ddof=1) / y.std(ddof=1))
        error = abs(a.mean() - b.mean()) / b.std(ddof=1)
        ratio = a.std(ddof=1) / b.std(ddof=1)
        figures.add(f"contrast_error_{contrast}_sd{end}", error, len(a), middle(errors),
                    **({"at_most": 0.2} if goals else {}))  # fmt: skip
        figures.add(f"contrast_sd_ratio_{contrast}{end}", ratio, len(a), middle(ratios),
                    **({"at_least": 0.8, "at_most": 1.25} if goals else {}))  # fmt: skip
    gap = abs(_correlation(mine) - _correlation(theirs))
    rng = np.random.default_rng(19)
    gaps = []
    for _ in range(2000):
        x, y = (rng.choice(side, len(side)) for side in (mine, theirs))
        gaps.append(abs(_correlation(x) - _correlation(y)))
    figures.add(f"contrast_correlation_gap{end}", gap, len(mine), middle(gaps),
                **({"at_most": 0.1} if goals else {}))  # fmt: skip
    found = distance("lesions", sample(rows), sample(real), 200, 19, 0)
    if found is not None:
        high = found.kid.null_high
        figures.add(f"lesion_kid{end}", found.kid.mean, found.n, (found.kid.low, found.kid.high),
                    **({"at_most": high} if goals else {}))  # fmt: skip
        if goals:
            figures.add("lesion_kid_null_high", high, found.n,
                        (found.kid.null_low, found.kid.null_high))  # fmt: skip
    aurocs = probe(rows, real, draws)
    figures.add(f"probe_auroc{end}", float(np.mean(aurocs)), len(aurocs), middle(aurocs),
                **({"at_most": 0.70} if goals else {}))  # fmt: skip


def add_mean(
    figures: Figures, name: str, values: Sequence[float], seed: int, **goal: float
) -> None:  # fmt: skip
    """Add a mean with the interval of a bootstrap of 2,000."""
    rng = np.random.default_rng(seed)
    again = [float(rng.choice(values, len(values)).mean()) for _ in range(2000)]
    figures.add(name, float(np.mean(values)), len(values), middle(again), **goal)


def middle(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _correlation(rows: NDArray[np.float64]) -> float:
    known = rows[~np.isnan(rows).any(axis=1)]
    return float(np.corrcoef(known.T)[0, 1])
