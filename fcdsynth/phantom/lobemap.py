"""The lobe map of an anatomy: MNI coordinates by registration, sides by its own labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.measure.lobes import RIGHT, lobe_index
from fcdsynth.measure.warp import warp_to
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.regions import below_tentorium

# Brightness for the registration; anything that keeps tissues apart, and the occipital lobe from
# the cerebellum that lies against it.
_GREY, _WHITE, _LOWER = 0.6, 1.0, 0.35
_BRIGHTNESS = {
    Part.CORTEX: _GREY, Part.DEEP_GREY: _GREY, Part.WHITE: _WHITE,
    Part.LOWER_GREY: _GREY * _LOWER, Part.LOWER_WHITE: _WHITE * _LOWER,
}  # fmt: skip


def labels_at(points_mm: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Lobe and side labels (`fcdsynth.measure.lobes`) of MNI points, shape (n, 3)."""
    return np.asarray(lobe_index(points_mm) + 1 + RIGHT * (points_mm[:, 0] > 0), np.uint8)


def average_brain(grey: Volume, white: Volume) -> Volume:
    """What anatomies are registered to, from the tissue shares of the ICBM152 brain, 0 to 255."""
    index = np.ogrid[tuple(slice(0, n) for n in grey.grid.shape)]
    x, y, z = (
        grey.grid.matrix[i, i] * v.astype(np.float32) + np.float32(grey.grid.matrix[i, 3])
        for i, v in enumerate(index)
    )
    lower, _ = below_tentorium((x, y, z))
    shares = (_GREY * grey.array + _WHITE * white.array) / 255
    return Volume(np.where(lower, _LOWER * shares, shares).astype(np.float32), grey.grid)


def tissue_image(parts: NDArray[np.uint8], grid: Grid) -> Volume:
    """An anatomy in the brightness of `average_brain`, 0 outside the brain."""
    value = np.zeros(len(Part), dtype=np.float32)
    for part, brightness in _BRIGHTNESS.items():
        value[part] = brightness
    return Volume(value[parts], grid)


def lobe_map(
    parts: NDArray[np.uint8],
    sides: NDArray[np.int8],
    grid: Grid,
    to_mni: NDArray[np.float64],
    average: Volume,
) -> NDArray[np.uint8]:
    """Lobe and side labels of an anatomy's cortex and cerebral white matter.

    The tissue of the anatomy is registered to the tissue shares of the ICBM152 brain, and its
    voxels take the lobes of the places they come to lie on.

    Args:
        parts: `Part` labels, shape (x, y, z).
        sides: -1 where the source says left, 1 where it says right, 0 where it says nothing.
        grid: Grid of both.
        to_mni: 4 x 4 matrix that brings the anatomy roughly onto the average.
        average: From `average_brain`.

    Returns:
        Labels of `fcdsynth.measure.lobes`, 0 elsewhere; same shape as the parts.
    """
    warp = warp_to(tissue_image(parts, grid), average, to_mni)
    ribbon = (parts == Part.CORTEX) | (parts == Part.WHITE)
    labels = labels_at(warp.points(grid.to_mm(np.argwhere(ribbon))))
    side = sides[ribbon]
    labels = np.where((side < 0) & (labels > RIGHT), labels - RIGHT, labels)
    labels = np.where((side > 0) & (labels < RIGHT), labels + RIGHT, labels)
    lobes = np.zeros(parts.shape, dtype=np.uint8)
    lobes[ribbon] = labels
    return lobes
