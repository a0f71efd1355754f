"""The report of a check: a page that stands alone, every number as JSON, features as CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fcdsynth import __version__
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.provenance import git_state
from fcdsynth.core.whole import write_whole
from fcdsynth.masks.proof.comparison import Comparison
from fcdsynth.masks.proof.examples import FEATURES
from fcdsynth.masks.proof.pictures import brain_points, pictures_of
from fcdsynth.masks.proof.plots import feature_plot, lobe_plot, place_plot
from fcdsynth.masks.proof.rows import copy_rows, feature_rows, summary_rows
from fcdsynth.masks.proof.wording import convincing, copy_words, outside_words, told_apart, verdict
from fcdsynth.review.page import render
from fcdsynth.review.pictures import data_address

PAGE, RECORD, TABLE = "report.html", "check.json", "features.csv"
RULES: Mapping[str, str] = {
    "masks": "26-connected pieces in cortex and white matter, a tenth of the largest or more",
    "features": "ks: Kolmogorov-Smirnov, p of independent rows, p_holm over the features; "
    "wasserstein: over the pooled standard deviation",
    "shape": "squared maximum mean discrepancy, unbiased, Gaussian kernel of median bandwidth",
    "place": "energy distance of |x|, y and z in MNI, each in pooled standard deviations",
    "lobes": "Pearson's chi-square; p by shuffles",
    "sides": "Pearson's chi-square; p by shuffles",
    "classifiers": "AUROC by cross-validation, pairs ranked within a fold, a patient, host or "
    "donor never split; chance: 95 % of the shuffles",
    "p": "share of label shuffles between patients and hosts at least as extreme, observed one "
    "counted",
    "matched": "mean with 2.5 and 97.5 % quantiles over the splits; drawn: n drawn masks against "
    "n of one half of the real ones; real: n of the other half against the same",
    "copies": "best Dice on 2 mm cells, centred, along principal axes, mirrored or not; and in MNI",
}


def write_report(
    folder: Path,
    comparisons: Sequence[Comparison],
    status: Sequence[tuple[str, bool]],
    tables: Mapping[bool, Cohort],
    notices: Sequence[str],
    settings: Mapping[str, Any],
) -> None:
    """Write ``report.html``, ``check.json`` and ``features.csv``.

    Args:
        folder: Where to.
        comparisons: What was compared, one a set of real masks.
        status: For each, what the prior saw of its patients and whether that is alarming.
        tables: The cohort of drawn (True) and of real masks (False).
        notices: What else a reader must know first.
        settings: Settings that decide the numbers.
    """
    _write_features(folder / TABLE, comparisons)
    record = {
        "rules": RULES,
        "settings": dict(settings),
        "notices": list(notices),
        "comparisons": [
            to_json(c) | {"prior": words} for c, (words, _) in zip(comparisons, status, strict=True)
        ],
    }
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8")
    page = render(
        "fcdsynth.masks.proof", "report.html.j2",
        title=f"Drawn against real masks: {tables[True].name}",
        lead=f"{len(comparisons[0].drawn)} drawn masks against the real ones of "
        f"{tables[False].name}.",
        notices=list(notices),
        sections=[_section(c, s, tables) for c, s in zip(comparisons, status, strict=True)],
        facts=[
            ("Settings", ", ".join(f"{k} {v}" for k, v in settings.items())),
            ("Files", f"{RECORD} holds every number, {TABLE} a row a mask"),
            ("Software", f"fcdsynth {__version__} {git_state().get('commit', '')[:12]}".strip()),
        ],
    )  # fmt: skip
    write_whole(folder / PAGE, page)


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Every number of a comparison."""
    matched, copies = comparison.matched, comparison.copies
    return {
        "name": comparison.name,
        "verdict": verdict(comparison),
        "told_apart": told_apart(comparison),
        "n_drawn": len(comparison.drawn),
        "n_real": len(comparison.real),
        "n_groups_drawn": len({e.group for e in comparison.drawn}),
        "n_groups_real": len({e.group for e in comparison.real}),
        "features": [asdict(test) for test in comparison.features],
        "shape": asdict(comparison.shape),
        "place": None if comparison.place is None else asdict(comparison.place),
        "lobes": None if comparison.lobes is None else asdict(comparison.lobes),
        "sides": asdict(comparison.sides),
        "classifiers": {name: asdict(test) for name, test in comparison.classifiers.items()},
        "auroc_with_outside": comparison.with_outside,
        "near": asdict(comparison.near),
        "matched": {
            "n": matched.n,
            "repeats": matched.repeats,
            "statistics": {name: asdict(b) for name, b in matched.statistics.items()},
        },
        "copies": None if copies is None else asdict(copies) | {
            "flagged": [m.name for m in copies.flagged], "expected": copies.expected,
            "q99_drawn": copies.quantile(True), "q99_real": copies.quantile(False),
        },
    }  # fmt: skip


def _section(
    comparison: Comparison, status: tuple[str, bool], tables: Mapping[bool, Cohort]
) -> dict[str, Any]:
    place = place_plot(comparison, brain_points(tables[True], comparison.drawn))
    return {
        "name": comparison.name,
        "verdict": verdict(comparison),
        "convincing": convincing(comparison),
        "status": status[0],
        "alarming": status[1],
        "n": comparison.matched.n,
        "repeats": comparison.matched.repeats,
        "n_drawn": len(comparison.drawn),
        "n_real": len(comparison.real),
        "n_hosts": len({e.group for e in comparison.drawn}),
        "n_patients": len({e.group for e in comparison.real}),
        "pictures": pictures_of(comparison.drawn, comparison.real, tables),
        "summary": summary_rows(comparison),
        "features": feature_rows(comparison),
        "feature_plot": data_address(feature_plot(comparison)),
        "lobe_plot": data_address(lobe_plot(comparison)),
        "place_plot": None if place is None else data_address(place),
        "copy_words": copy_words(comparison),
        "copies": copy_rows(comparison),
        "outside": outside_words(comparison),
    }


def _write_features(path: Path, comparisons: Sequence[Comparison]) -> None:
    header = ("mask", "origin", "set", "group", "lobe", "side", "volume_ml", "outside", *FEATURES,
              "copy_dice", "copy_of")  # fmt: skip
    rows = []
    for number, comparison in enumerate(comparisons):
        copies = comparison.copies
        matches = {} if copies is None else {
            (flag, m.name): m for flag, side in ((True, copies.drawn), (False, copies.real))
            for m in side
        }  # fmt: skip
        # Drawn masks stand once, with their nearest of the first set.
        for e in (*(comparison.drawn if number == 0 else ()), *comparison.real):
            match = matches.get((e.drawn, e.name))
            numbers = [e.volume_ml, e.outside, *e.features]
            shown = ["" if v != v else f"{v:.6g}" for v in numbers]
            fit = ["", ""] if match is None else [f"{match.shape_dice:.4f}", match.alike]
            origin = ["drawn", ""] if e.drawn else ["real", comparison.name]
            rows.append([e.name, *origin, e.group, e.lobe, e.side, *shown, *fit])
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
