"""The quality page of a cohort: failures, the confound audit, and every subject, outliers first."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Subject
from fcdsynth.prepare.failures import Failure
from fcdsynth.prepare.numbers import NUMBERS, robust_z
from fcdsynth.prepare.page import page_name, thumbnail_name
from fcdsynth.review.page import render

FILE = "quality.html"
_FAR = 3.5  # robust z beyond which Iglewicz and Hoaglin (1993) call a value an outlier


@dataclass(frozen=True)
class Line:
    """One subject's line in the table.

    Args:
        subject: The subject's row.
        quality: Its quality record.
        z: Robust z by number's key.
    """

    subject: Subject
    quality: Mapping[str, Any]
    z: Mapping[str, float]

    @property
    def rank(self) -> tuple[int, float, str]:
        """Sorts the subjects that most deserve a look to the top."""
        far = max((abs(z) for z in self.z.values()), default=0.0)
        return (-len(self.quality["warnings"]), -far, self.subject.id)

    def cells(self) -> list[dict[str, Any]]:
        """Texts of the numbers, those that lie far out marked."""
        cells = []
        for number in NUMBERS:
            z = self.z.get(number.key)
            far = z is not None and abs(z) > _FAR
            cells.append({"text": number.text(self.quality), "far": far,
                          "z": f"{z:+.1f}" if far and z is not None else ""})  # fmt: skip
        return cells


def read_quality(folder: Path, subject: str) -> dict[str, Any]:
    """A subject's quality record."""
    text = (folder / subject / f"{subject}_quality.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def write_cohort_page(
    cohort: Cohort, failures: Sequence[Failure], confound: Mapping[str, Any] | None
) -> Path:
    """Write ``quality.html`` into a prepared cohort's folder.

    Args:
        cohort: The prepared subjects, their folders in place.
        failures: Subjects that could not be prepared.
        confound: What index found out about acquisition and group, or None when unknown.
    """
    records = {s.id: read_quality(cohort.folder, s.id) for s in cohort.subjects}
    z = robust_z(records, {s.id: s.scanner for s in cohort.subjects})
    lines = sorted((Line(s, records[s.id], z[s.id]) for s in cohort.subjects),
                   key=lambda line: line.rank)  # fmt: skip
    page = render(
        "fcdsynth.prepare",
        "cohort.html.j2",
        title=f"{cohort.name}: quality of the preparation",
        lead=_lead(cohort, failures),
        failures=failures,
        alarms=[] if confound is None else confound["warnings"],
        audited=confound is not None,
        tried=confound is not None and any(g["auc"] is not None for g in confound["classifier"]),
        guesses=[] if confound is None else [_guess(g) for g in confound["classifier"]],
        heads=NUMBERS,
        far=_FAR,
        lines=[
            {
                "id": line.subject.id,
                "page": f"{line.subject.id}/{page_name(line.subject.id)}",
                "picture": f"{line.subject.id}/{thumbnail_name(line.subject.id)}",
                "who": f"{line.subject.group.value}, {line.subject.scanner or 'scanner unknown'}",
                "flair": line.subject.has("flair"),
                "warnings": line.quality["warnings"],
                "cells": line.cells(),
            }
            for line in lines
        ],
    )
    path = cohort.folder / FILE
    path.write_text(page, encoding="utf-8")
    return path


def _lead(cohort: Cohort, failures: Sequence[Failure]) -> str:
    patients = sum(s.is_patient for s in cohort.subjects)
    bare = sum(not s.has("flair") for s in cohort.subjects)
    text = (
        f"{len(cohort)} subjects prepared: {patients} patients, {len(cohort) - patients} controls"
    )
    if bare:
        text += f"; {bare} without FLAIR, prepared from T1w alone"
    if failures:
        text += f"; {len(failures)} could not be prepared and are left out"
    return text + "."


def _guess(guess: Mapping[str, Any]) -> dict[str, str]:
    auc = guess["auc"]
    return {
        "name": str(guess["name"]).replace("_", " "),
        "auc": "too few subjects" if auc is None else f"{auc:.2f}",
        "p": "" if guess["p_value"] is None else f"{guess['p_value']:.2g}",
        "n": f"{guess['n_patients']} + {guess['n_controls']}",
        "mark": "yes" if guess["confounded"] else "",
    }
