"""Hand-made subjects for the evaluator: as arrays on disk, and as records without images."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detection, Detections, OperatingPoint
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group, Origin, Subject
from fcdsynth.core.volume import Volume, read_volume, write_volume
from fcdsynth.evaluation.cases import (
    ClusterRecord,
    Found,
    LesionRecord,
    SubjectRecord,
    VoxelBins,
)
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.reading import Scoring
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.scoring import score_subject
from fcdsynth.evaluation.site import SiteProbability
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

    def make(
        name,
        patient=True,
        found=(),
        false=(),
        extra=(),
        site="s",
        scanner="m",
        level=0.5,
        volume_ml=1.0,
        chance=0.25,
        family="",
    ):
        """``found``: score of the finder or None per lesion; ``false``, ``extra``: scores."""
        lesions, clusters = [], []

        def cluster(score, role):
            clusters.append(
                ClusterRecord(
                    len(clusters) + 1,
                    score,
                    10,
                    0.01,
                    (0.0, 0.0, 0.0),
                    None,
                    "FL",
                    "L",
                    None,
                    dict.fromkeys(Rule, role),
                )
            )
            return len(clusters)

        where = SiteProbability(level, level, level)
        for score in found:
            number = None if score is None else cluster(score, Role.TRUE)
            fit = (None, None, None) if score is None else (0.5, 1.0, 3.0)
            fate = Found(number, score, *fit, chance)
            lesions.append(
                LesionRecord(
                    len(lesions) + 1,
                    100,
                    volume_ml,
                    (0.0, 0.0, 0.0),
                    "FL",
                    "L",
                    1.0,
                    where,
                    None,
                    where,
                    dict.fromkeys(Rule, fate),
                )
            )
        for score in false:
            cluster(score, Role.FALSE)
        for score in extra:
            cluster(score, Role.EXTRA)
        return SubjectRecord(
            name,
            Group.PATIENT if patient else Group.CONTROL,
            "phantom",
            site,
            scanner,
            "",
            "",
            "",
            "3D",
            family,
            "",
            "truth" if patient else "",
            tuple(lesions),
            tuple(clusters),
            0.2 if patient else None,
            where if patient else None,
            None,
            True,
            True,
            "mni" if patient else "",
            "ribbon" if patient else "",
            dict.fromkeys(Rule, chance) if patient else None,
            VoxelBins((90, 10), (1, 9), (9.0, 8.0)),
        )

    return make


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
