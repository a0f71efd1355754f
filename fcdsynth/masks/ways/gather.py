"""Gather the training patients' lesions: to transplant, and not to copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Subject
from fcdsynth.masks.laws.lesions import load_patient
from fcdsynth.masks.novelty import Gallery
from fcdsynth.masks.ways.donor import Donor


def load_donors(
    table: Cohort, patients: Sequence[Subject], workers: int = 1
) -> dict[tuple[str, int], Donor]:
    """Read the lesions of patients, by subject id and number.

    Raises:
        CohortError: If a patient's files cannot be used.
    """
    found = map_items(partial(_donors, table), list(patients), "reading lesions", workers)
    return {(d.subject, d.number): d for donors in found for d in donors}


def _donors(table: Cohort, subject: Subject) -> list[Donor]:
    host, lesions = load_patient(table, subject)
    return [Donor.of(host, lesion) for lesion in lesions]


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
