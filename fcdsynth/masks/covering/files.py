"""The files that coverage leaves: text, table, record, targets and page."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path

from fcdsynth.core.whole import write_whole
from fcdsynth.masks.covering.picture import heat_map_png
from fcdsynth.masks.covering.rule import ALPHA, RARE, State
from fcdsynth.masks.covering.survey import Survey
from fcdsynth.masks.covering.wording import (
    SHOWN,
    lead,
    lobe_by_side,
    lobe_by_size,
    notes,
    plain_text,
    rule,
    sentence,
    site_by_side,
    site_by_size,
    verdict,
)
from fcdsynth.masks.targets import write_targets
from fcdsynth.review.page import render
from fcdsynth.review.pictures import Embedded

TEXT = "coverage.txt"
COLUMNS = ("site", "lobe", "side", "low_ml", "high_ml", "observed", "expected", "chance",
           "wanted", "missing", "state", "drawable")  # fmt: skip


@dataclass(frozen=True)
class Map(Embedded):
    """The heat map as a PNG."""

    png: bytes


def write_survey(survey: Survey, folder: Path, name: str) -> None:
    """Write coverage.txt, coverage.csv, coverage.json, target.json and report.html.

    Args:
        survey: The cohort's coverage.
        folder: Where they go.
        name: The cohort's name.
    """
    (folder / TEXT).write_text(plain_text(survey), encoding="utf-8")
    with (folder / "coverage.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in survey.rows:
            c, v = row.cell, row.verdict
            high = "" if math.isinf(c.size.high_ml) else f"{c.size.high_ml:g}"
            size = [f"{c.size.low_ml:g}", high]
            count = [v.observed, f"{v.expected:.4f}", f"{v.chance:.4f}", v.wanted, v.missing]
            drawable = "yes" if survey.drawable(row) else "no"
            writer.writerow([c.site, c.lobe, c.side, *size, *count, v.state.value, drawable])
    (folder / "coverage.json").write_text(_record(survey, name), encoding="utf-8")
    write_targets(folder / "target.json", survey.targets())
    write_whole(folder / "report.html", _page(survey, name))


def _record(survey: Survey, name: str) -> str:
    states = {state.value: sum(r.verdict.state is state for r in survey.rows) for state in State}
    record = {
        "cohort": name,
        "n_patients": survey.patients,
        "n_lesions": survey.n,
        "n_lesions_of_unknown_lobe": sum(p.cell is None for p in survey.lesions),
        "patients_without_mask": list(survey.maskless),
        "controls_by_site": dict(survey.controls),
        "law": survey.law,
        "rule": rule(survey),
        "at_least": survey.at_least,
        "alpha": ALPHA,
        "rare": RARE,
        "n_cells": len(survey.rows),
        "cells_by_state": states,
        "short_by_chance": round(survey.by_chance, 4),
        "n_thin": len(survey.thin),
        "n_missing": sum(r.verdict.missing for r in survey.rows),
        "n_to_draw": sum(t.count for t in survey.targets()),
        "notes": notes(survey),
    }
    return json.dumps(record, indent=2) + "\n"


def _page(survey: Survey, name: str) -> str:
    tables = (
        ("Lobe and size", "Lobe", lobe_by_size(survey)),
        ("Lobe and side", "Lobe", lobe_by_side(survey)),
        ("Site and size", "Site", site_by_size(survey)),
        ("Site and side", "Site", site_by_side(survey)),
    )
    targets = survey.targets()
    return render(
        "fcdsynth.masks",
        "coverage.html.j2",
        title=f"{name}: where lesions are few",
        lead=lead(survey),
        verdict=verdict(survey),
        rule=rule(survey),
        notes=notes(survey),
        map=Map(heat_map_png(survey)),
        thin=[
            {"text": sentence(row), "short": row.verdict.state is State.SHORT,
             "missing": row.verdict.missing, "drawable": survey.drawable(row)}
            for row in survey.thin[:SHOWN]
        ],
        n_thin=len(survey.thin),
        n_targets=len(targets),
        n_to_draw=sum(t.count for t in targets),
        tables=[
            {"title": title, "corner": corner, "columns": columns,
             "rows": [{"name": n, "cells": [
                 {"observed": v.observed, "expected": f"{v.expected:.1f}",
                  "far": v.state is State.SHORT} for v in vs]} for n, vs in rows]}
            for title, corner, (columns, rows) in tables
        ],
    )  # fmt: skip
