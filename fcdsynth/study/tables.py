"""The numbers of a study as JSON and CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.metrics import Figure
from fcdsynth.evaluation.report import Report
from fcdsynth.study.results import Results

FIGURES = ("draw", "arm", "figure", "scope", "rule", "value", "low", "high", "interval", "count",
           "n", "unit", "chance", "reason", "file")  # fmt: skip


def headline_figures(report: Report) -> list[Figure]:
    """A report's figures that follow the headline rule or none."""
    return [f for f in report.figures if f.rule in ("", report.rule.value)]


def to_json(results: Results) -> dict[str, Any]:
    """What a study found, as plain dictionaries, lists and numbers."""
    endpoint, base, plan = results.endpoint, results.base, results.plan
    others = [arm.name for arm in plan.arms[1:]]
    ceiling = results.ceiling
    closed = {}
    if ceiling is not None:
        closed = {
            arm.name: endpoint.closed(arm.name, base.name, ceiling.name)
            for arm in results.synthetic
        }
    return {
        "endpoint": {
            "what": f"sensitivity at {plan.rate:g} false positives per subject, rule {plan.rule}",
            "sensitivity": {arm.name: asdict(endpoint.sensitivity(arm.name)) for arm in plan.arms},
            "by_draw": {
                arm: [curve.sensitivity(plan.rate) for curve in curves]
                for arm, curves in endpoint.curves.items()
            },
            "gain": {name: asdict(endpoint.gain(name, base.name)) for name in others},
            "over": {
                arm.name: {
                    other.name: asdict(endpoint.gain(arm.name, other.name))
                    for other in plan.arms if other is not arm
                }
                for arm in results.synthetic
            },
            "gap": None if ceiling is None else {
                "arm": ceiling.name, **asdict(endpoint.gain(ceiling.name, base.name))},
            "gap_closed": {k: None if v is None else asdict(v) for k, v in closed.items()},
            "curve_ends": {
                arm: min(curve.end for curve in curves) for arm, curves in endpoint.curves.items()
            },
        },
        "worth": [asdict(found) for found in results.worths()],
        "harms": {name: [asdict(c) for c in results.harms(name)] for name in others},
        "places": {name: [asdict(c) for c in results.places(name)] for name in others},
        "arms": {
            arm: [
                {f.name: asdict(f) for f in headline_figures(report) if f.scope == "all"}
                for report in reports
            ]
            for arm, reports in results.reports.items()
        },
        "comparisons": {
            f"{name} against {base.name}": comparison.to_json()
            for name, comparison in results.comparisons.items()
        },
        "files": {arm: list(files) for arm, files in results.files.items()},
    }  # fmt: skip


def write_figures(results: Results, path: Path) -> None:
    """Write one row per draw, arm, figure and scope, each with the file it came from."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(FIGURES)
        names = ["all sites"] if results.plan.sites_left_out else [
            draw.name for draw in results.plan.draws
        ]  # fmt: skip
        for arm, reports in results.reports.items():
            for draw, report, file in zip(names, reports, results.files[arm], strict=False):
                for f in headline_figures(report):
                    cells = (f.value, f.low, f.high)
                    shown = ["" if x is None else f"{x:.6g}" for x in cells]
                    chance = "" if f.chance is None else f"{f.chance:.6g}"
                    count = "" if f.count is None else f.count
                    writer.writerow(
                        [draw, arm, f.name, f.scope, f.rule, *shown, f.interval, count, f.n,
                         f.unit, chance, f.reason, file]
                    )  # fmt: skip


def patients(results: Results) -> list[dict[str, Any]]:
    """One row per test patient: largest lesion, and the share of draws in which each arm finds one.

    Sorted by what the first arm with synthetic subjects gains, most first.
    """
    found = {arm.name: results.found_at_rate(arm.name) for arm in results.plan.arms}
    base = results.base.name
    tried = (results.synthetic or list(results.plan.arms[1:]) or [results.base])[0].name
    rows = [
        _row(s) | {arm: shares[s.id] for arm, shares in found.items()}
        for s in results.endpoint.subjects
        if s.is_patient
    ]
    return sorted(rows, key=lambda row: (row[base] - row[tried], row["id"]))


def _row(s: SubjectRecord) -> dict[str, Any]:
    if not s.lesions:
        return {"id": s.id, "site": s.site, "subtype": s.subtype, "volume_ml": "", "lobe": "",
                "side": ""}  # fmt: skip
    largest = s.lesions[0]
    return {"id": s.id, "site": s.site, "subtype": s.subtype,
            "volume_ml": round(largest.volume_ml, 3), "lobe": largest.lobe,
            "side": largest.side}  # fmt: skip


def write_rows(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]) if rows else ["id"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
