"""The development world of the detector's benchmark: heads of `configs/study/study-phantom.yaml`.

Its seed is a development seed: no study is ever made on it.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from figures import ROOT

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Split
from fcdsynth.phantom.parted import Part
from fcdsynth.phantom.phantom import phantom

SEED = 104
FCDD1, FCDD3 = 35, 70


def world(work: Path, anatomies: Path | None, workers: int, quick: bool) -> Cohort:
    """Simulate it: training on 4 and 4 more anatomies, validation on 2, test on 4 others.

    Args:
        work: Folder to keep it in.
        anatomies: Folder of label maps; the template serves for all when None.
        workers: Processes.
        quick: A handful of coarse heads of one anatomy.
    """
    settings = yaml.safe_load((ROOT / "configs/study/study-phantom.yaml").read_text())
    parts = [Part(**{**part, "anatomies": tuple(part["anatomies"])})
             for part in settings.pop("parts")]  # fmt: skip
    if quick:
        settings |= {"parts": None, "patients": 6, "controls": 6, "split": True, "spacing": 4.0,
                     "difficulty": "easy"}  # fmt: skip
    else:
        settings["parts"] = parts
    folder = phantom(
        str(work / "phantom"), seed=SEED, workers=workers,
        anatomies=None if anatomies is None or quick else str(anatomies), **settings,
    )  # fmt: skip
    return Cohort.read(folder)


def table_of(work: Path, cohort: Cohort, patients: int) -> Path:
    """A table in which only so many patients and controls train, the first of them.

    Args:
        work: Folder to write into.
        cohort: The world.
        patients: Patients, and as many controls.
    """
    splits = {s.id: s.split for s in cohort.subjects}
    for group in (True, False):
        training = [s.id for s in cohort.of_split(Split.TRAIN).subjects if s.is_patient is group]
        for name in training[patients:]:
            splits[name] = Split.NONE
    out = work / f"cohort-{patients}"
    cohort.with_splits(splits).write(out)
    return out
