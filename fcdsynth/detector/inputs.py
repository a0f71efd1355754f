"""A prepared subject as the detector's input channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, GeometryError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import INTENSITY_MEDIAN, INTENSITY_PER_SD
from fcdsynth.core.volume import read_grid
from fcdsynth.training.data import load_arrays

CHANNELS = ("t1w", "flair")


def check_inputs(inputs: Sequence[str], key: str) -> tuple[str, ...]:
    """Return the channels' names, in order.

    Raises:
        SettingsError: If they are not ``t1w``, ``flair`` or both, T1w first.
    """
    chosen = tuple(inputs)
    if chosen not in (("t1w",), ("flair",), CHANNELS):
        raise SettingsError(key, str(list(chosen)), "[t1w], [flair] or [t1w, flair]",
                            "Name the channels in this order.")  # fmt: skip
    return chosen


def load_channels(
    cohort: Cohort, subject: Subject, inputs: Sequence[str], flair_optional: bool, lesion: bool
) -> tuple[NDArray[np.float32], NDArray[np.uint8], Grid]:
    """Load what the network sees of a subject, and what it is to find.

    Args:
        cohort: The table the subject belongs to.
        subject: The subject.
        inputs: Names of the channels.
        flair_optional: Whether an absent FLAIR becomes a channel of zeros.
        lesion: Whether to read the lesion mask and the redrawn region.

    Returns:
        Prepared intensities in [0, 1], shape (channel, x, y, z), 0 outside the brain; labels
        (2, x, y, z): lesion mask and redrawn region; and the grid.

    Raises:
        CohortError: If a channel is absent.
    """
    absent = [key for key in inputs if not subject.has(key)]
    if absent and (absent != ["flair"] or not flair_optional or len(inputs) == 1):
        raise CohortError(
            subject.id, f"no {' and no '.join(absent)}", f"the channels {', '.join(inputs)}",
            "Leave the subject out, use a model with fewer inputs, or train one with "
            "data.flair_dropout above 0, which works without FLAIR.",
        )  # fmt: skip
    present = [key for key in inputs if key not in absent]
    labels = ("lesion", "region") if lesion else ()
    arrays, grid = load_arrays(cohort, subject, (*present, *labels))
    zeros = np.zeros(grid.shape, dtype=np.float32)
    image = np.stack([arrays.get(key, zeros) for key in inputs]).astype(np.float32)
    both = [arrays.get(key, zeros).astype(np.uint8) for key in ("lesion", "region")]
    return image, np.stack(both), grid


def standardise(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn prepared intensities into z-scores, keeping 0 outside the brain (where v is 0)."""
    z = (image - np.float32(INTENSITY_MEDIAN)) / np.float32(INTENSITY_PER_SD)
    return np.where(image > 0, z, np.float32(0))


def common_spacing(cohort: Cohort, key: str) -> tuple[float, float, float]:
    """Voxel size in mm shared by all subjects of a cohort.

    Args:
        cohort: Subjects, at least one.
        key: File key whose headers are read.

    Raises:
        GeometryError: If two subjects differ by more than 1 %.
    """
    subjects: Iterable[Subject] = [s for s in cohort.subjects if s.has(key)]
    first: tuple[float, float, float] | None = None
    for subject in subjects:
        spacing = read_grid(cohort.path(subject, key)).spacing_mm
        first = first or spacing
        require_spacing(subject.id, spacing, first)
    if first is None:
        raise CohortError(cohort.name, f"no subject with a {key}", "at least one",
                          "Prepare the cohort first.")  # fmt: skip
    return first


def require_spacing(subject: str, found: Sequence[float], expected: Sequence[float]) -> None:
    """Raise unless two voxel sizes agree within 1 %.

    Raises:
        GeometryError: If they differ.
    """
    if not np.allclose(found, expected, rtol=0.01):
        raise GeometryError(
            subject, f"voxels of {tuple(round(float(x), 3) for x in found)} mm",
            f"{tuple(round(float(x), 3) for x in expected)} mm",
            "Prepare all cohorts with one spacing.",
        )  # fmt: skip
