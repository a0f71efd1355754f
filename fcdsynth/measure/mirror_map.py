"""How each place of the brain differs from its mirrored place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import INTENSITY_PER_SD, Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.measure.mirror import Midplane
from fcdsynth.measure.tissue_average import LEAST_SHARE, TissueAverage, compared_voxels
from fcdsynth.measure.warp import Warp, warp_to

_HERE_FWHM_MM = 6.0
_THERE_FWHM_MM = 8.0
_WORK_MM = 2.0
_WARP_MM = 3.0


def mirror_warp(t1w: Volume, plane: Midplane) -> Warp:
    """Register a brain with its own mirror image.

    Args:
        t1w: Prepared T1w, 0 outside the brain.
        plane: Its mid-sagittal plane.

    Returns:
        Map from a place to the anatomically matching place of the other side; the plane's
        reflection alone where the registration would fold space.
    """
    warp = warp_to(t1w, t1w, plane.reflection, max(_WARP_MM, *t1w.grid.spacing_mm))
    if warp.smallest_jacobian() > 0:
        return warp
    return Warp(warp.affine, np.zeros_like(warp.displacement_mm), warp.grid)


def mirror_difference(
    prepared: Volume,
    brain: Volume,
    tissue: Volume,
    plane: Midplane,
    warp: Warp | None = None,
) -> NDArray[np.float32]:
    """Difference between each place and its mirrored place, tissue for tissue.

    The two sides fold differently, so a plain reflection compares cortex with fluid. Here the
    mirror image is first registered to the brain, and then the average of a tissue around a voxel
    (6 mm FWHM) is compared with the average of the same tissue around its mirrored place
    (8 mm, as the match is not exact). On 10 simulated patients at 2 mm (0.5 to 10 ml, FLAIR
    contrast 2 to 3 SD) the lesion's mean stood 3.7 robust SD of the cortex above zero
    (median); with the reflection alone and both averages over 6 mm 2.9; voxel by voxel 1.4.

    Args:
        prepared: Prepared intensities (see `fcdsynth.core.tissue`), T1w or FLAIR.
        brain: Brain mask on the same grid.
        tissue: Tissue labels on the same grid.
        plane: Mid-sagittal plane.
        warp: What `mirror_warp` found on the subject's T1w; found on ``prepared`` when None.

    Returns:
        Here minus there in robust SD of the brain's intensities, shape (x, y, z); 0 outside
        cortex, white and deep grey matter, and where that tissue has no mirrored counterpart.
    """
    if warp is None:
        warp = mirror_warp(prepared, plane)
    grid = prepared.grid
    corners = grid.corners_mm()
    work = Grid.covering(
        corners.min(axis=0), corners.max(axis=0) + 1e-3, max(_WORK_MM, *grid.spacing_mm)
    )
    labels = np.where(brain.array, tissue.array, Tissue.BACKGROUND)
    least = LEAST_SHARE * work.voxel_ml / grid.voxel_ml
    difference = np.zeros(grid.shape, dtype=np.float32)
    for index in compared_voxels(labels).values():
        points = grid.to_mm(index)
        where = tuple(index.T)
        values = prepared.array[where]
        here = TissueAverage.of(points, values, work, _HERE_FWHM_MM).at(points, 0.0)
        there = TissueAverage.of(points, values, work, _THERE_FWHM_MM)
        gap = here - there.at(warp.points(points), least)
        difference[where] = np.nan_to_num(gap / np.float32(INTENSITY_PER_SD), nan=0.0)
    return difference
