"""The way back: from the prepared grid to the native T1w and FLAIR grids of a subject."""

from __future__ import annotations

import json

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import Volume, read_grid

SPACES = ("t1w", "flair")


def to_native(
    volume: Volume, subject: Subject, cohort: Cohort, space: str = "t1w", order: int = 1
) -> Volume:
    """Carry a map, a label map or a mask of the prepared grid to a native grid.

    The prepared grid shares the world of the native T1w; FLAIR has its own, reached by
    ``flair_to_t1w`` of the subject's transforms.

    Args:
        volume: On the prepared grid, or on any grid in the T1w's world. Masks (bool) keep their
            volume, labels (integers) their values; numbers are interpolated.
        subject: Row of the subject in a prepared cohort.
        cohort: That cohort.
        space: ``t1w`` or ``flair``.
        order: Spline order for numbers, 0 to 3.

    Returns:
        The same on the native grid, 0 where the prepared grid does not reach. Write it with
        `fcdsynth.core.volume.write_volume`, which gives it a fresh header.

    Raises:
        SettingsError: If the space has another name.
        CohortError: If the subject lacks the native volume or a usable matrix.
    """
    if space not in SPACES:
        raise SettingsError("space", repr(space), " or ".join(SPACES), "Choose one of them.")
    grid = read_grid(cohort.path(subject, f"{space}_native"))
    matrix = flair_to_t1w(cohort, subject) if space == "flair" else None
    if volume.array.dtype == bool:
        return resample_mask(volume, grid, matrix)
    if np.issubdtype(volume.array.dtype, np.integer):
        return resample(volume, grid, 0, matrix)
    return resample(volume, grid, order, matrix)


def flair_to_t1w(cohort: Cohort, subject: Subject) -> NDArray[np.float64]:
    """World matrix (4 x 4, RAS+ mm) from a subject's native FLAIR to its native T1w.

    Raises:
        CohortError: If the transforms hold none, or one that cannot be inverted.
    """
    path = cohort.path(subject, "transforms")
    remedy = f"Prepare the subject again with its FLAIR, or mend {path}."
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("flair_to_t1w")
        matrix = np.asarray(found, dtype=float)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise CohortError(
            subject.id, f"{type(error).__name__}: {error}", "a readable transforms file", remedy
        ) from error
    usable = matrix.shape == (4, 4) and bool(np.isfinite(matrix).all())
    if not usable or abs(np.linalg.det(matrix)) < 1e-9:
        raise CohortError(subject.id, f"flair_to_t1w {found}", "an invertible 4 x 4 matrix", remedy)
    return matrix
