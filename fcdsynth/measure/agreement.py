"""Agreement of readers' outlines: presence, overlap, borders, distance, and a joint estimate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.volume import Volume
from fcdsynth.measure.components import bounding_box

_MARGIN_MM = 10.0
_FEWEST_READERS = 3
_HALF = 0.5


@dataclass(frozen=True)
class Agreement:
    """How two outlines of the same lesion agree.

    Args:
        presence: Whether both drew something, or neither did.
        dice: Dice overlap in [0, 1]; 1 when both are empty.
        surface_dice: Share of both surfaces within the tolerance of the other; 1 when both are
            empty (Nikolov et al. 2018, counted by surface voxels).
        distance_mm: Distance of the centres of mass, None where one is empty.
    """

    presence: bool
    dice: float
    surface_dice: float
    distance_mm: float | None


def compare_outlines(one: Volume, other: Volume, tolerance_mm: float = 2.0) -> Agreement:
    """Compare two outlines on the same grid.

    Args:
        one: Boolean mask.
        other: Boolean mask.
        tolerance_mm: Distance up to which two borders count as the same.

    Raises:
        GeometryError: If the grids differ.
    """
    one.grid.require_same(other.grid, "second outline", "Carry both to one grid.")
    a, b = int(one.array.sum()), int(other.array.sum())
    if not a or not b:
        same = a == b
        return Agreement(same, float(same), float(same), None)
    dice = 2 * int((one.array & other.array).sum()) / (a + b)
    ours, theirs = (v.grid.to_mm(np.argwhere(_surface(v.array))) for v in (one, other))
    there = cKDTree(theirs).query(ours)[0] <= tolerance_mm
    back = cKDTree(ours).query(theirs)[0] <= tolerance_mm
    near = (there.sum() + back.sum()) / (len(there) + len(back))
    centres = [v.grid.to_mm(np.argwhere(v.array)).mean(axis=0) for v in (one, other)]
    return Agreement(True, dice, float(near), float(np.linalg.norm(centres[0] - centres[1])))


@dataclass(frozen=True, eq=False)
class Consensus:
    """What STAPLE makes of several outlines.

    Args:
        mask: Voxels of probability one half or more.
        probability: Probability that a voxel is lesion, on the same grid, 0 outside the box.
        sensitivity: Of each reader.
        specificity: Of each reader, in the box.
    """

    mask: Volume
    probability: Volume
    sensitivity: tuple[float, ...]
    specificity: tuple[float, ...]


def staple(outlines: Sequence[Volume]) -> Consensus:
    """Joint estimate of truth and readers (Warfield, Zou and Wells 2004), by SimpleITK.

    The filter takes the share of the image that is marked for its prior, so a small lesion
    would drown in background: only the box around all outlines, 10 mm wider, is looked at.

    Args:
        outlines: Boolean masks on one grid, three or more.

    Raises:
        SettingsError: If there are fewer than three, or all are empty.
        GeometryError: If the grids differ.
    """
    if len(outlines) < _FEWEST_READERS:
        raise SettingsError(
            "readers", f"{len(outlines)} outlines", f"{_FEWEST_READERS} or more",
            "Compare two outlines, and let a third reader decide.",
        )  # fmt: skip
    grid = outlines[0].grid
    for outline in outlines[1:]:
        outline.grid.require_same(grid, "outline", "Carry all to one grid.")
    box = _box(outlines)
    images = [
        sitk.GetImageFromArray(np.ascontiguousarray(o.array[box], np.uint8)) for o in outlines
    ]
    filter_ = sitk.STAPLEImageFilter()
    filter_.SetForegroundValue(1)
    found = sitk.GetArrayFromImage(filter_.Execute(images))
    probability = np.zeros(grid.shape, np.float32)
    probability[box] = found
    return Consensus(
        Volume(probability >= _HALF, grid), Volume(probability, grid),
        tuple(filter_.GetSensitivity()), tuple(filter_.GetSpecificity()),
    )  # fmt: skip


def _box(outlines: Sequence[Volume]) -> tuple[slice, ...]:
    union = np.any([o.array for o in outlines], axis=0)
    found = bounding_box(union)
    if found is None:
        raise SettingsError("readers", "only empty outlines", "at least one that is not",
                            "Nobody saw a lesion: there is nothing to estimate.")  # fmt: skip
    margins = [int(np.ceil(_MARGIN_MM / mm)) for mm in outlines[0].grid.spacing_mm]
    return tuple(slice(max(0, s.start - m), min(n, s.stop + m))
                 for s, m, n in zip(found, margins, union.shape, strict=True))  # fmt: skip


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    padded = np.pad(mask, 1)
    inner = ndimage.binary_erosion(padded)[1:-1, 1:-1, 1:-1]
    return np.asarray(mask & ~inner)
