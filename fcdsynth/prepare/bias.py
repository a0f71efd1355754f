"""Bias field correction: N4 on a coarse copy, its smooth log field taken off at full resolution."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.volume import Volume
from fcdsynth.prepare.itk import from_itk, one_thread, to_itk

_WORKING_MM = 6.0
_ITERATIONS = (25, 20, 10)


def correct_bias(volume: Volume, brain: Volume) -> Volume:
    """Take the slowly varying gain off an image (N4, Tustison et al., IEEE Trans Med Imaging 2010).

    Args:
        volume: Non-negative intensities.
        brain: Mask on the same grid; the field is fitted inside it.

    Returns:
        Corrected intensities, float32, same median inside the mask.
    """
    spacing = max(_WORKING_MM, *volume.grid.spacing_mm)
    corners = volume.grid.corners_mm()
    grid = Grid.covering(corners.min(axis=0), corners.max(axis=0) + 1e-3, spacing)
    small = resample(volume, grid)
    inside = resample_mask(brain, grid)
    floor = max(float(np.median(small.array[inside.array])) * 1e-3, 1e-6)
    with one_thread():
        filter_ = sitk.N4BiasFieldCorrectionImageFilter()
        filter_.SetMaximumNumberOfIterations(_ITERATIONS)
        filter_.Execute(to_itk(Volume(np.maximum(small.array, floor), grid)), to_itk(inside))
        log_field = from_itk(filter_.GetLogBiasFieldAsImage(to_itk(small)))
    field = np.exp(carried(log_field, volume.grid))
    corrected = volume.array / field
    before, after = (float(np.median(a[brain.array])) for a in (volume.array, corrected))
    gain = before / after if after > 0 else 1.0
    return Volume((corrected * gain).astype(np.float32), volume.grid)


def carried(volume: Volume, grid: Grid) -> np.ndarray:
    """A coarse smooth field on a finer grid; beyond its last centre the border's value holds."""
    padded = np.pad(volume.array, 2, mode="edge")
    matrix = volume.grid.matrix.copy()
    matrix[:3, 3] = volume.grid.to_mm([-2, -2, -2])
    return resample(Volume(padded, Grid.of(padded.shape, matrix)), grid).array
