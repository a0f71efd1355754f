"""Gather the training patients' lesions: to transplant, not to copy, and to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import FcdsynthError
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Subject
from fcdsynth.masks.laws.lesions import load_patient
from fcdsynth.masks.laws.measured import Measured, MeasureJob, measured_from
from fcdsynth.masks.novelty import Gallery
from fcdsynth.masks.ways.donor import Donor

_READING = "reading lesions"


def load_donors(
    table: Cohort, patients: Sequence[Subject], workers: int = 1
) -> dict[tuple[str, int], Donor]:
    """Read the lesions of patients, by subject id and number.

    Raises:
        CohortError: If a patient's files cannot be used.
        GeometryError: If a patient's maps lie on different grids.
    """
    found = map_items(partial(_donors, table), list(patients), _READING, workers)
    return _by_name(found)


def usable_donors(
    table: Cohort, patients: Sequence[Subject], workers: int = 1
) -> tuple[dict[tuple[str, int], Donor], list[str]]:
    """Read the lesions of those patients whose files can be used.

    Returns:
        The lesions, and for each patient left out a sentence that says why.
    """
    found = map_items(partial(_donors_or_fault, table), list(patients), _READING, workers)
    faults = [f"{subject.id} is left out: {one}" for subject, one in zip(patients, found,
                                                                         strict=True)
              if isinstance(one, str)]  # fmt: skip
    return _by_name([one for one in found if not isinstance(one, str)]), faults


def measure_with_donors(
    table: Cohort, patients: Sequence[Subject], workers: int, growth_trials: int
) -> tuple[list[Measured], dict[tuple[str, int], Donor]]:
    """Measure patients as `fcdsynth.masks.laws.fit.measure_patients` does, and keep their lesions.

    Each patient is read once for both.

    Args:
        table: The cohort.
        patients: Its training patients.
        workers: Number of processes.
        growth_trials: Growths tried at the place of each lesion; 0 for none.

    Raises:
        CohortError: If a patient's files cannot be used.
        GeometryError: If a patient's maps lie on different grids.
    """
    jobs = [MeasureJob(table, patient, growth_trials=growth_trials) for patient in patients]
    found = map_items(_measured_with_donors, jobs, "measuring training lesions", workers)
    return [measured for measured, _ in found], _by_name([donors for _, donors in found])


def _donors(table: Cohort, subject: Subject) -> list[Donor]:
    host, lesions = load_patient(table, subject)
    return [Donor.of(host, lesion) for lesion in lesions]


def _donors_or_fault(table: Cohort, subject: Subject) -> list[Donor] | str:
    try:
        return _donors(table, subject)
    except FcdsynthError as error:
        return str(error)


def _measured_with_donors(job: MeasureJob) -> tuple[Measured, list[Donor]]:
    host, lesions = load_patient(job.cohort, job.subject)
    return (
        measured_from(host, lesions, job.seed, job.growth_trials),
        [Donor.of(host, lesion) for lesion in lesions],
    )


def _by_name(found: Sequence[Sequence[Donor]]) -> dict[tuple[str, int], Donor]:
    return {(d.subject, d.number): d for donors in found for d in donors}


def gallery_of(donors: Mapping[tuple[str, int], Donor]) -> Gallery | None:
    """The masks that drawn ones must not copy, None where there are none."""
    if not donors:
        return None
    lesions = list(donors.values())
    points = [lesion.points_mm for lesion in lesions]
    matrices = [lesion.t1w_to_mni for lesion in lesions]
    return Gallery.of(
        points,
        [lesion.subject for lesion in lesions],
        [None if m is None else p @ m[:3, :3].T + m[:3, 3]
         for p, m in zip(points, matrices, strict=True)],
    )  # fmt: skip
