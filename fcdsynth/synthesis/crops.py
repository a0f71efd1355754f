"""Cut a crop out of a volume and put it back, also where it reaches over the volume's edge."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.synthesis.regions import box_around

Corner = tuple[int, int, int]


def _overlap(shape: Corner, corner: Corner, size: Corner) -> tuple[Any, Any]:
    inside, local = [], []
    for n, first, length in zip(shape, corner, size, strict=True):
        low, high = max(first, 0), min(first + length, n)
        high = max(high, low)
        inside.append(slice(low, high))
        local.append(slice(low - first, high - first))
    return tuple(inside), tuple(local)


def cut(array: NDArray[Any], corner: Corner, size: Corner) -> NDArray[Any]:
    """Copy a box out of the last three axes; what lies outside the volume is 0.

    Args:
        array: Shape (..., x, y, z).
        corner: First voxel of the box, may be negative.
        size: Sizes of the box.
    """
    crop = np.zeros((*array.shape[:-3], *size), dtype=array.dtype)
    inside, local = _overlap(array.shape[-3:], corner, size)
    crop[(..., *local)] = array[(..., *inside)]
    return crop


def paste(array: NDArray[Any], crop: NDArray[Any], corner: Corner) -> None:
    """Write a box back in place; what lies outside the volume is dropped."""
    inside, local = _overlap(array.shape[-3:], corner, crop.shape[-3:])
    array[(..., *inside)] = crop[(..., *local)]


def around(centre: NDArray[Any], size: Corner) -> Corner:
    """Corner of a box of a size around a voxel."""
    x, y, z = (int(c) - s // 2 for c, s in zip(centre, size, strict=True))
    return (x, y, z)


def enclosing(
    mask: NDArray[Any], margin: int, multiple: int, least: int = 1
) -> tuple[Corner, Corner]:
    """Corner and size of a box around a mask, its middle the mask's.

    Args:
        mask: Not empty, shape (x, y, z).
        margin: Least number of voxels of surroundings on every side.
        multiple: Sides are rounded up to a multiple of this.
        least: Sides are no shorter than this.
    """
    edges = box_around(mask, (0, 0, 0))
    sides = (max(e.stop - e.start + 2 * margin, least) for e in edges)
    x, y, z = (-(-side // multiple) * multiple for side in sides)
    middle = np.array([(edge.start + edge.stop) // 2 for edge in edges])
    return around(middle, (x, y, z)), (x, y, z)
