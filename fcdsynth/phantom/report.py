"""How hard a phantom is: what two trivial methods find in it, and pictures of its lesions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.volume import Volume
from fcdsynth.phantom import bids
from fcdsynth.phantom.detectability import METHODS, Counts, Found, best_found, count
from fcdsynth.phantom.simulate import Simulated
from fcdsynth.phantom.spec import SubjectSpec
from fcdsynth.review.page import render
from fcdsynth.review.pictures import data_address, png_bytes, three_planes

REPORT, RECORD = "report.html", "difficulty.json"
COUNTS, PICTURE = "detectability.json", "lesion.png"
TOO_EASY = 1 / 3
_SHOWN = 8
_WORDS = {
    "flair_threshold": "threshold on FLAIR, cortex and white matter apart",
    "asymmetry": "difference from the mirrored side on FLAIR",
}


def write_check(folder: Path, spec: SubjectSpec, made: Simulated) -> None:
    """Write what the trivial methods mark in one subject, and a picture of its lesion.

    Args:
        folder: The subject's folder under ``derivatives/truth``.
        spec: The subject.
        made: Its scans and truth.
    """
    counts = count(made.flair, made.tissue, made.truth, made.flair_to_t1w, made.mirror)
    text = json.dumps([c.to_json() for c in counts]) + "\n"
    (folder / COUNTS).write_text(text, encoding="utf-8")
    if made.truth is None:
        return
    to_flair = np.linalg.inv(made.flair_to_t1w)
    flair = resample(made.flair, made.t1w.grid, 1, to_flair)
    brain = made.tissue.array > 0
    outlines = {"lesion": made.truth}
    if made.roi is not None:
        outlines["outlined"] = resample_mask(made.roi, made.t1w.grid, to_flair)
    main = made.lesions[0]
    error = spec.annotator.error if spec.annotator else "none"
    title = (
        f"{spec.id}: {main.subtype}{', subtle' if main.subtle else ''}, {main.law}"
        f"{' ' + main.variant if main.variant else ''}, {main.volume_ml:.1f} ml, "
        f"{main.contrast_sd:.1f} SD, {' and '.join(main.lobes)} {main.side}, outline: {error}"
    )
    stripped = [Volume(np.where(brain, v.array, 0), made.t1w.grid) for v in (made.t1w, flair)]
    figure = three_planes(stripped[0], stripped[1], outlines, main.centre_mm, title)
    (folder / PICTURE).write_bytes(png_bytes(figure, dpi=70))


def write_report(truth: Path, specs: Sequence[SubjectSpec]) -> dict[str, Found]:
    """Write ``report.html`` and ``difficulty.json`` into the truth of a phantom.

    Args:
        truth: The folder ``derivatives/truth``, every subject checked by `write_check`.
        specs: The subjects.

    Returns:
        What each trivial method finds at one false cluster per subject.
    """
    counts, lesions = read_counts(truth), []
    for spec in specs:
        record = json.loads((truth / spec.id / f"{spec.id}_truth.json").read_text("utf-8"))
        lesions += bids.truth_rows(record)
    found = {method: best_found(counts, method) for method in METHODS}
    record = {method: f.__dict__ | {"interval": _interval(f)} for method, f in found.items()}
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    (truth / RECORD).write_text(text, encoding="utf-8")
    ring = [abs(float(row["flair_ring_z"])) for row in lesions if row["lesion"] == "1"]
    page = render(
        "fcdsynth.phantom",
        "report.html.j2",
        laws=json.loads((truth / "world.json").read_text(encoding="utf-8")),
        n_patients=sum(spec.patient for spec in specs),
        n_controls=sum(not spec.patient for spec in specs),
        methods=[_line(method, f) for method, f in found.items()],
        too_easy=[_WORDS[m] for m, f in found.items() if f.share > TOO_EASY],
        ring=[f"{v:.2f}" for v in np.quantile(ring, [0.25, 0.5, 0.75])] if ring else [],
        columns=bids.TRUTH_COLUMNS,
        lesions=lesions,
        pictures=_pictures(truth, specs),
    )
    (truth / REPORT).write_text(page, encoding="utf-8")
    return found


def read_counts(truth: Path) -> list[Counts]:
    """What the trivial methods marked in every checked subject of a phantom's truth."""
    files = sorted(truth.glob(f"sub-*/{COUNTS}"))
    return [_counts(record) for file in files for record in json.loads(file.read_text("utf-8"))]


def _counts(record: dict[str, Any]) -> Counts:
    return Counts(record["method"], record["patient"], tuple(record["false_clusters"]),
                  tuple(record["found"]))  # fmt: skip


def _interval(found: Found) -> tuple[float, float]:
    hits = round(found.share * found.n_patients)
    if not found.n_patients:
        return (0.0, 1.0)
    low, high = proportion_confint(hits, found.n_patients, method="wilson")
    return (float(low), float(high))


def _line(method: str, found: Found) -> dict[str, str]:
    low, high = _interval(found)
    return {
        "name": _WORDS[method],
        "share": f"{found.share:.2f} [{low:.2f}, {high:.2f}], n = {found.n_patients}",
        "false": f"{found.false_per_subject:.2f} (n = {found.n_subjects})",
        "threshold": "none" if found.threshold_sd is None else f"{found.threshold_sd:.2f} SD",
    }


def _pictures(truth: Path, specs: Sequence[SubjectSpec]) -> list[str]:
    files = [truth / spec.id / PICTURE for spec in specs if spec.patient]
    return [data_address(f.read_bytes()) for f in files[:_SHOWN]]
