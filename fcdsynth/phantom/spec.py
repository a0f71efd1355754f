"""Draw one subject: everything random about it, as a record that is written down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcdsynth.phantom.annotator import AnnotatorSpec
from fcdsynth.phantom.contrast import ContrastSpec, Site, draw_contrast
from fcdsynth.phantom.lesionlaw import LesionLaw, draw_disease
from fcdsynth.phantom.lesionspec import LesionSpec
from fcdsynth.phantom.like import Person
from fcdsynth.phantom.pose import PoseSpec, draw_pose
from fcdsynth.phantom.scans import ScanSpec, draw_scans
from fcdsynth.phantom.shells import ShellSpec, draw_shell


@dataclass(frozen=True)
class Demographics:
    """Columns of participants.tsv that no image depends on."""

    sex: str
    age_code: int
    onset_code: int | None
    operated: bool


@dataclass(frozen=True)
class SubjectSpec:
    """Everything random about one subject.

    Args:
        id: Such as ``sub-00001``.
        patient: Whether it has a lesion.
        site_number: Scanner, from 1.
        anatomy: File name of the label map, or the template's name.
        pose: Size, pose and warp of the head.
        shell: Skull and scalp, for anatomies without them.
        contrast: Brightness and texture.
        scans: The two acquisitions, by contrast.
        demographics: Columns of participants.tsv.
        lesion: The lesion, None for controls.
        second: A second, smaller lesion of some patients.
        annotator: How they were outlined, None for controls.
        person: The person of a real data set that it stands for, if any.
    """

    id: str
    patient: bool
    site_number: int
    anatomy: str
    pose: PoseSpec
    shell: ShellSpec
    contrast: ContrastSpec
    scans: dict[str, ScanSpec]
    demographics: Demographics
    lesion: LesionSpec | None
    second: LesionSpec | None
    annotator: AnnotatorSpec | None
    person: Person | None = None

    @property
    def lesions(self) -> tuple[LesionSpec, ...]:
        """All lesions, the main one first."""
        return tuple(lesion for lesion in (self.lesion, self.second) if lesion is not None)


def draw_subject(
    id: str, patient: bool, site: Site, anatomies: tuple[str, ...],
    seed: tuple[int, int, int], law: LesionLaw,
) -> SubjectSpec:  # fmt: skip
    """Draw a subject from its own seed, so that other subjects have no influence on it."""
    rng = np.random.default_rng(seed)
    pose = draw_pose(np.random.default_rng([*seed, 1]))
    shell = draw_shell(np.random.default_rng([*seed, 2]))
    contrast = draw_contrast(np.random.default_rng([*seed, 3]))
    scans = draw_scans(np.random.default_rng([*seed, 4]), site)
    age = int(rng.integers(3, 11))
    demographics = Demographics(
        sex="M" if rng.random() < 0.55 else "F",
        age_code=age,
        onset_code=int(rng.integers(1, age + 1)) if patient else None,
        operated=bool(patient and rng.random() < 50 / 85),
    )
    anatomy = str(rng.choice(anatomies))
    disease = draw_disease(np.random.default_rng([*seed, 5]), law, site.number) if patient else None
    return SubjectSpec(id, patient, site.number, anatomy, pose, shell, contrast, scans,
                       demographics, disease.lesion if disease else None,
                       disease.second if disease else None,
                       disease.annotator if disease else None)  # fmt: skip
