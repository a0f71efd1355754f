"""Every empty-set case in one place: what is absent, and what each metric then returns.

A figure that has no value says which case it met. Nothing is dropped in silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fcdsynth.evaluation.cases import SubjectRecord


class Case(StrEnum):
    """A case in which something that a metric needs is absent, or in which counting needs care."""

    NO_PATIENTS = "no patients"
    NO_CONTROLS = "no controls"
    NO_SUBJECTS = "no subjects"
    NO_CLUSTERS = "no clusters"
    NO_FOUND_LESIONS = "no found lesions"
    NO_MIRROR = "no mirrored site"
    NO_DRAWS = "no random draws"
    NO_BRAIN = "no brain mask"
    NO_PROBABILITIES = "maps without probabilities"
    NO_SCORES = "clusters without scores"
    ONE_PLACE = "fewer than two sites or scanners with subjects"
    ONE_SUBJECT = "one subject only"
    CLEAN_CONTROL = "control without a cluster"
    PATIENT_WITHOUT_CLUSTERS = "patient without a cluster"
    SEVERAL_LESIONS = "patient with several lesions"
    LESION_OUTSIDE_BRAIN = "lesion mostly outside the brain mask"

    @property
    def consequence(self) -> str:
        """What each metric returns in this case, and why."""
        return _CONSEQUENCES[self]


_CONSEQUENCES = {
    Case.NO_PATIENTS: (
        "sensitivity, lesion recall, F1, Dice, site probability and AUROC have no value; "
        "specificity and false positives per control are as usual"
    ),
    Case.NO_CONTROLS: (
        "specificity, false positives per control, AUROC and recall at fixed rates have no value; "
        "everything about patients is as usual"
    ),
    Case.NO_SUBJECTS: "no figure has a value",
    Case.NO_CLUSTERS: (
        "positive predictive value has no value (0 of 0); sensitivity and recall are 0, "
        "specificity is 1, false positives are 0"
    ),
    Case.NO_FOUND_LESIONS: "Dice of found lesions has no value; recall is 0",
    Case.NO_MIRROR: (
        "the lesion is left out of the mirrored figures, whose n says so; more than half of its "
        "mirrored voxels lie outside the brain or in a lesion"
    ),
    Case.NO_DRAWS: "chance levels and random sites have no value",
    Case.NO_BRAIN: (
        "chance levels, mirrored and random sites have no value for these subjects, and voxel "
        "calibration looks at their whole volume"
    ),
    Case.NO_PROBABILITIES: (
        "site probability and voxel calibration have no value: the maps say nothing about "
        "voxels outside their clusters"
    ),
    Case.NO_SCORES: (
        "calibration, AUROC and FROC have no value: every cluster has the same score, so "
        "nothing can be ranked; found and missed, specificity and overlap are as usual"
    ),
    Case.ONE_PLACE: "whether sites or scanners differ cannot be tested",
    Case.ONE_SUBJECT: "means over subjects have a value but no interval: nothing varies",
    Case.CLEAN_CONTROL: "a true negative with 0 false positives; it has no Dice",
    Case.PATIENT_WITHOUT_CLUSTERS: (
        "missed; whole-mask Dice is 0; its site probability counts like any other"
    ),
    Case.SEVERAL_LESIONS: (
        "the patient is found when any lesion is; each lesion counts on its own in lesion recall"
    ),
    Case.LESION_OUTSIDE_BRAIN: (
        "the lesion counts like any other; its chance level is low, as random clusters stay in "
        "the brain: look at the mask"
    ),
}


def unranked(subjects: Sequence[SubjectRecord]) -> Case | None:
    """The case in which recall cannot be set against false positives in controls, None else."""
    if not any(s.is_patient for s in subjects):
        return Case.NO_PATIENTS
    if all(s.is_patient for s in subjects):
        return Case.NO_CONTROLS
    return None if all(s.ranked for s in subjects) else Case.NO_SCORES


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A case that was met.

    Args:
        case: Which.
        subjects: Ids of the subjects it concerns, empty when it concerns all.
    """

    case: Case
    subjects: tuple[str, ...]


def cases_met(subjects: Sequence[SubjectRecord]) -> tuple[Occurrence, ...]:
    """List the cases that occur among the subjects, in the order of `Case`."""
    patients = [s for s in subjects if s.is_patient]
    controls = [s for s in subjects if not s.is_patient]
    whole = {
        Case.NO_SUBJECTS: not subjects,
        Case.NO_PATIENTS: not patients,
        Case.NO_CONTROLS: not controls,
        Case.NO_CLUSTERS: not any(s.clusters for s in subjects),
        Case.NO_FOUND_LESIONS: not any(
            found.cluster is not None
            for s in patients for lesion in s.lesions for found in lesion.found.values()
        ),
        Case.NO_DRAWS: any(s.chance is None and s.brain for s in patients),
        Case.NO_PROBABILITIES: any(s.bins is None for s in subjects),
        Case.NO_SCORES: not all(s.ranked for s in subjects),
        Case.ONE_SUBJECT: len(subjects) == 1,
    }  # fmt: skip
    some = {
        Case.NO_BRAIN: [s.id for s in subjects if not s.brain],
        Case.NO_MIRROR: [
            s.id
            for s in patients
            if s.brain and s.bins is not None and any(le.mirror is None for le in s.lesions)
        ],
        Case.CLEAN_CONTROL: [s.id for s in controls if not s.clusters],
        Case.PATIENT_WITHOUT_CLUSTERS: [s.id for s in patients if not s.clusters],
        Case.SEVERAL_LESIONS: [s.id for s in patients if len(s.lesions) > 1],
        Case.LESION_OUTSIDE_BRAIN: [
            s.id
            for s in patients
            if any(le.inside_brain is not None and le.inside_brain < 0.5 for le in s.lesions)
        ],
    }
    met = []
    for case in Case:
        if whole.get(case):
            met.append(Occurrence(case, ()))
        elif some.get(case):
            met.append(Occurrence(case, tuple(some[case])))
    return tuple(met)
