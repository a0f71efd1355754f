"""A prepared subject as the detector's input channels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, GeometryError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import INTENSITY_MEDIAN, INTENSITY_PER_SD
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.core.volume import Volume, read_grid
from fcdsynth.detector.plane import midplane_of
from fcdsynth.measure.mirror_map import mirror_difference, mirror_warp
from fcdsynth.training.data import Arrays, load_arrays

CONTRASTS = ("t1w", "flair")
CHANNELS = ("t1w", "flair", "t1w_z", "flair_z", "t1w_mirror", "flair_mirror", "depth")
_FARTHEST_SD = 8.0
_DEPTH_MM = 10.0  # about the SD of sulcal depth in a brain


@dataclass(frozen=True)
class Kinds:
    """Which channels of an image are what, as index lists.

    Args:
        inputs: Names of the channels, see `CHANNELS`.
    """

    inputs: tuple[str, ...]

    @property
    def intensities(self) -> list[int]:
        """Channels of prepared intensities, 0 outside the brain."""
        return [n for n, name in enumerate(self.inputs) if name in CONTRASTS]

    @property
    def of_flair(self) -> list[int]:
        """Channels that are absent without FLAIR."""
        return [n for n, name in enumerate(self.inputs) if name.startswith("flair")]

    @property
    def scales(self) -> NDArray[np.float32]:
        """What one unit of each channel's map is for the network, shape (channel,)."""
        return np.array([1 / _DEPTH_MM if name == "depth" else 1 for name in self.inputs],
                        dtype=np.float32)  # fmt: skip

    def brain(self, image: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Where any intensity is above 0: (channel, x, y, z) to (x, y, z)."""
        return np.asarray((image[self.intensities] > 0).any(0))


def check_inputs(inputs: Sequence[str], key: str) -> tuple[str, ...]:
    """Return the channels' names, in order.

    Raises:
        SettingsError: If a name is unknown, twice there or out of order, or neither T1w nor
            FLAIR is among them.
    """
    chosen = tuple(inputs)
    if chosen != tuple(name for name in CHANNELS if name in chosen) or not {*chosen} & {*CONTRASTS}:
        raise SettingsError(key, str(list(chosen)),
                            f"some of {', '.join(CHANNELS)}, in this order, t1w or flair among "
                            "them", "Name the channels in this order.")  # fmt: skip
    return chosen


def load_channels(
    cohort: Cohort, subject: Subject, inputs: Sequence[str], flair_optional: bool, lesion: bool
) -> tuple[NDArray[np.float32], NDArray[np.uint8], Grid]:
    """Load what the network sees of a subject, and what it is to find.

    Maps of mirrored places that were never written (of synthetic subjects, whose lesions their
    hosts' maps do not show) are computed from the subject's own images.

    Args:
        cohort: The table the subject belongs to.
        subject: The subject.
        inputs: Names of the channels.
        flair_optional: Whether an absent FLAIR becomes channels of zeros.
        lesion: Whether to read the lesion mask and the redrawn region.

    Returns:
        Channels (channel, x, y, z): prepared intensities in [0, 1], 0 outside the brain, and
        maps in their own units; labels (2, x, y, z): lesion mask and redrawn region; the grid.

    Raises:
        CohortError: If a channel is absent.
    """
    absent = absent_inputs(subject, inputs, flair_optional)
    if absent:
        raise CohortError(
            subject.id, f"no {' and no '.join(absent)}", f"the channels {', '.join(inputs)}",
            _remedy(absent),
        )  # fmt: skip
    without = "flair" in inputs and not subject.has("flair")
    wanted = [key for key in inputs if not (without and key.startswith("flair"))]
    present = [key for key in wanted if subject.has(key)]
    computed = [key for key in wanted if not subject.has(key)]
    needed = dict.fromkeys(key for name in computed for key in _sources(name))
    labels = ("lesion", "region") if lesion else ()
    keys = dict.fromkeys((*present, *needed, *labels))
    arrays, grid = load_arrays(cohort, subject, tuple(keys))
    for key in computed:
        arrays |= _mirrored(cohort, subject, arrays, grid, key)
    zeros = np.zeros(grid.shape, dtype=np.float32)
    image = np.stack([arrays[k] if k in wanted else zeros for k in inputs]).astype(np.float32)
    both = [arrays.get(key, zeros).astype(np.uint8) for key in ("lesion", "region")]
    return image, np.stack(both), grid


def absent_inputs(subject: Subject, inputs: Sequence[str], flair_optional: bool) -> list[str]:
    """Channels that a subject neither has nor can be given."""
    if flair_optional and "t1w" in inputs and not subject.has("flair"):
        inputs = [key for key in inputs if not key.startswith("flair")]
    return [
        key for key in inputs
        if not subject.has(key) and not (key.endswith("_mirror") and
                                         all(subject.has(k) for k in _sources(key)))
    ]  # fmt: skip


def _sources(mirror: str) -> tuple[str, ...]:
    """What a map of mirrored places is made from."""
    return tuple(dict.fromkeys(("t1w", mirror.removesuffix("_mirror"), "brain", "tissue")))


def _remedy(absent: Sequence[str]) -> str:
    if all(key.endswith("_z") for key in absent):
        return ("Prepare the cohort with enough controls (z-scores need at least 8), or use a "
                "model without z-scores; synthetic subjects have none.")  # fmt: skip
    return ("Leave the subject out, use a model with fewer inputs, or train one with "
            "data.flair_dropout above 0, which works without FLAIR.")  # fmt: skip


def _mirrored(
    cohort: Cohort, subject: Subject, arrays: Arrays, grid: Grid, key: str
) -> dict[str, NDArray[np.float32]]:
    brain = Volume(arrays["brain"] > 0, grid)
    plane = midplane_of(read_to_mni(cohort, subject), brain)
    warp = mirror_warp(Volume(arrays["t1w"], grid), plane)
    image = Volume(arrays[key.removesuffix("_mirror")], grid)
    return {key: mirror_difference(image, brain, Volume(arrays["tissue"], grid), plane, warp)}


def standardise(image: NDArray[np.floating], inputs: Sequence[str]) -> NDArray[np.float32]:
    """Channels as the network sees them: intensities as z-scores, maps bounded and scaled.

    0 stays 0: outside the brain, and everywhere in a channel that is absent.

    Args:
        image: (channel, x, y, z).
        inputs: Names of the channels.
    """
    kinds = Kinds(tuple(inputs))
    result = np.asarray(image, dtype=np.float32) * kinds.scales[:, None, None, None]
    np.clip(result, -_FARTHEST_SD, _FARTHEST_SD, out=result)
    for n in kinds.intensities:
        z = (result[n] - np.float32(INTENSITY_MEDIAN)) / np.float32(INTENSITY_PER_SD)
        result[n] = np.where(result[n] > 0, z, np.float32(0))
    return result


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
