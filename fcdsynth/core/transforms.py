"""The way from a subject's native T1w world to MNI space, as prepare wrote it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.subject import Subject


def read_to_mni(cohort: Cohort, subject: Subject) -> NDArray[np.float64] | None:
    """World matrix (4, 4), RAS+ mm, from a subject's native T1w to MNI; None where none is known.

    Raises:
        CohortError: If the transforms file is damaged.
    """
    if not subject.has("transforms"):
        return None
    return matrix_to_mni(cohort.path(subject, "transforms"), subject.id)


def matrix_to_mni(transforms: Path, subject: str) -> NDArray[np.float64] | None:
    """The same from a transforms file.

    Args:
        transforms: The file.
        subject: Whose it is, for messages.

    Raises:
        CohortError: If the file is damaged.
    """
    try:
        given = json.loads(transforms.read_text(encoding="utf-8")).get("t1w_to_mni")
        return None if given is None else np.asarray(given, dtype=float).reshape(4, 4)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CohortError(
            f"{subject} transforms", f"{transforms.name} unreadable ({error})",
            "JSON with 4 x 4 matrices, as prepare writes it", "Prepare the subject again.",
        ) from error  # fmt: skip
