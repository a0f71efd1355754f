"""Hand-made subjects for the evaluator: as arrays on disk, and as records without images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from record_by_hand import make_record

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detection, Detections, OperatingPoint
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group, Origin, Subject
from fcdsynth.core.volume import Volume, read_volume, write_volume
from fcdsynth.evaluation.cases import (
    SubjectRecord,
)
from fcdsynth.evaluation.reading import Scoring
from fcdsynth.evaluation.scoring import score_subject
from fcdsynth.evaluation.source import SubjectMaps


def grid_of(shape, spacing=(1.0, 1.0, 1.0)) -> Grid:
    return Grid.of(shape, np.diag([*spacing, 1.0]))


@dataclass
class Arrays:
    """A subject made of boxes: lesions and clusters as (slice, slice, slice)."""

    grid: Grid
    lesions: list = field(default_factory=list)
    clusters: list = field(default_factory=list)
    scores: list = field(default_factory=list)
    background: float = 0.0
    brain: np.ndarray | None = None

    def write(self, folder: Path, subject_id="sub-1", draws=0) -> Scoring:
        shape = self.grid.shape
        lesion, labels = np.zeros(shape, bool), np.zeros(shape, np.int16)
        probability = np.full(shape, self.background, np.float32)
        for box in self.lesions:
            lesion[box] = True
        found = []
        for number, (box, score) in enumerate(zip(self.clusters, self.scores, strict=True), 1):
            labels[box] = number
            probability[box] = score
            found.append(Detection(subject_id, number, score, 0, 0, (0, 0, 0), "L", 0, 0))
        brain = np.ones(shape, bool) if self.brain is None else self.brain
        paths = {}
        for name, array in (
            ("probability", probability),
            ("clusters", labels),
            ("truth", lesion),
            ("brain", brain),
        ):
            paths[name] = write_volume(folder / f"{name}.nii.gz", Volume(array, self.grid))
        group = Group.PATIENT if self.lesions else Group.CONTROL
        files = {"brain": paths["brain"]}
        if self.lesions:
            files["truth"] = paths["truth"]
        return Scoring(
            Subject(subject_id, group, Origin.PHANTOM, site="s"),
            SubjectMaps(
                paths["probability"],
                paths["clusters"],
                tuple(sorted(found, key=lambda d: -d.score)),
            ),
            "truth" if self.lesions else "",
            files,
            chance_draws=draws,
        )

    def score(self, folder: Path, draws=0) -> SubjectRecord:
        return score_subject(self.write(folder, draws=draws))


@pytest.fixture
def arrays():
    return Arrays


@pytest.fixture
def make_grid():
    return grid_of


@pytest.fixture
def record():
    """Records by hand: one rule outcome for all rules."""

    return make_record


@pytest.fixture
def hand_made_detections():
    """Write a detections folder: a copy of the lesion as a cluster where a score is given."""

    def make(folder: Path, cohort: Cohort, scores: dict, trained_on=(), chosen_on=()):
        """``scores``: id -> list of ("lesion" | (x, y, z) voxel, score)."""
        clusters = []
        for subject in cohort.subjects:
            if subject.id not in scores:
                continue
            native = read_volume(cohort.path(subject, "t1w_native"))
            labels = np.zeros(native.grid.shape, np.int16)
            probability = np.full(native.grid.shape, 0.05, np.float32)
            for number, (where, score) in enumerate(scores[subject.id], 1):
                if where == "lesion":
                    at = read_volume(cohort.path(subject, "truth")).array > 0
                else:
                    at = np.zeros(labels.shape, bool)
                    at[where] = True
                labels[at], probability[at] = number, score
                centre = native.grid.to_mm(np.argwhere(at).mean(0))
                clusters.append(
                    Detection(
                        subject.id,
                        number,
                        score,
                        at.sum() * native.grid.voxel_ml,
                        int(at.sum()),
                        tuple(float(x) for x in centre),
                        "L",
                        score,
                        score,
                    )
                )
            found = Detections(folder, (), (), OperatingPoint())
            write_volume(found.probability_path(subject.id), Volume(probability, native.grid))
            write_volume(found.clusters_path(subject.id), Volume(labels, native.grid))
        Detections(
            folder,
            tuple(scores),
            tuple(clusters),
            OperatingPoint(chosen_on=tuple(chosen_on)),
            tuple(trained_on),
        ).write_tables()
        return folder

    return make
