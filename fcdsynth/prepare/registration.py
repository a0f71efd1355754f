"""Rigid and affine registration by mutual information, from several starts, coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.volume import Volume
from fcdsynth.prepare.itk import affine_of, matrix_of, rigid_of, to_itk

_LEVELS_MM = (8.0, 4.0, 2.0)
_SAMPLES = 60_000
_TILT_DEG = 20.0
_REFINED_STARTS = 3
_SEED = 20_24


@dataclass(frozen=True, eq=False)
class Match:
    """The result of a registration.

    Args:
        matrix: 4 x 4, from the fixed image's world to the moving image's (RAS+ mm).
        information: Mattes mutual information at the end, nats; larger is better.
    """

    matrix: NDArray[np.float64]
    information: float


def _box(volume: Volume, spacing_mm: float) -> Volume:
    """The volume on an upright isotropic grid over its own field of view."""
    corners = volume.grid.corners_mm()
    grid = Grid.covering(corners.min(axis=0), corners.max(axis=0) + 1e-3, spacing_mm)
    return resample(volume, grid)


def pyramid(volume: Volume, levels_mm: Sequence[float]) -> list[Volume]:
    """Copies of a volume at growing fineness, none finer than its own mean spacing."""
    own = float(np.prod(volume.grid.spacing_mm) ** (1 / 3))
    wanted = [max(level, 0.95 * own) for level in levels_mm]
    finest = _box(volume, wanted[-1])
    return [finest if mm == wanted[-1] else resample(finest, _box_grid(finest, mm))
            for mm in wanted]  # fmt: skip


def _box_grid(volume: Volume, spacing_mm: float) -> Grid:
    corners = volume.grid.corners_mm()
    return Grid.covering(corners.min(axis=0), corners.max(axis=0) + 1e-3, spacing_mm)


def _centre(volume: Volume) -> NDArray[np.float64]:
    """Centre of mass of a head, world mm; the top of the histogram is cut so that it is shape."""
    array = volume.array.astype(np.float32)
    weights = np.clip(array, 0, max(float(np.quantile(array, 0.9)), 1e-6))
    index = np.stack(np.nonzero(weights), -1)
    weight = weights[weights > 0]
    if not len(weight):
        return volume.grid.corners_mm().mean(axis=0)
    return volume.grid.to_mm((index * weight[:, None]).sum(axis=0) / weight.sum())


def _turned(tilt_deg: Sequence[float], centre: NDArray[np.float64], shift: NDArray[np.float64],
            scale: float = 1.0) -> NDArray[np.float64]:  # fmt: skip
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", tilt_deg, degrees=True).as_matrix() * scale
    matrix[:3, 3] = centre + shift - matrix[:3, :3] @ centre
    return matrix


def starts(fixed: Volume, moving: Volume, scale: float = 1.0) -> list[NDArray[np.float64]]:
    """Start matrices: the scanner's own alignment and matched centres, upright and tilted."""
    centre = _centre(fixed)
    middle = moving.grid.corners_mm().mean(axis=0) - fixed.grid.corners_mm().mean(axis=0)
    shifts = (np.zeros(3), _centre(moving) - centre, middle)
    tilts = list(product((0.0, -_TILT_DEG, _TILT_DEG), repeat=3))
    return [_turned(tilt, centre, shift, scale) for shift, tilt in product(shifts, tilts)]


def _method(fixed: Volume, mask: Volume | None) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums in another order would give another result
    method.SetMetricAsMattesMutualInformation(32)
    method.SetInterpolator(sitk.sitkLinear)
    n_voxels = int(np.prod(fixed.grid.shape))
    if mask is not None:
        method.SetMetricFixedMask(to_itk(mask))
    if n_voxels > _SAMPLES:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(_SAMPLES / n_voxels, _SEED)
    return method


def _climb(fixed: Volume, moving: Volume, mask: Volume | None, start: NDArray[np.float64],
           affine: bool, along_gradient: bool) -> tuple[float, NDArray[np.float64]]:  # fmt: skip
    centre = _centre(fixed if mask is None else mask)
    transform = (affine_of if affine else rigid_of)(start, centre)
    method = _method(fixed, mask)
    if along_gradient:
        step = max(fixed.grid.spacing_mm) / 4
        method.SetOptimizerAsRegularStepGradientDescent(step, 1e-3, 60, 0.6, 1e-8)
    else:
        # From afar the gradient of the sampled metric points anywhere; line searches do not mind.
        method.SetOptimizerAsPowell(10, 50, 1.0, 1e-3, 1e-4)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(to_itk(fixed), to_itk(moving))
    except RuntimeError:  # ITK: all samples map outside the moving image
        return -np.inf, start
    return -float(method.GetMetricValue()), matrix_of(transform)


def information(fixed: Volume, moving: Volume, matrix: NDArray[np.float64],
                mask: Volume | None = None) -> float:  # fmt: skip
    """Mattes mutual information of two volumes under a matrix (fixed world to moving world)."""
    method = _method(fixed, mask)
    method.SetInitialTransform(affine_of(matrix))
    try:
        return -float(method.MetricEvaluate(to_itk(fixed), to_itk(moving)))
    except RuntimeError:
        return -np.inf


def _modes(affine: bool, level: int) -> tuple[tuple[bool, bool], ...]:
    """Climbs at a finer level, each as (affine or rigid, along the gradient or line by line)."""
    if level == 1:
        return ((False, False), (True, True)) if affine else ((False, False),)
    return ((affine, True),)


def register(
    fixed: Volume,
    moving: Volume,
    mask: Volume | None = None,
    affine: bool = False,
    scale: float = 1.0,
    levels_mm: Sequence[float] = _LEVELS_MM,
    subject: str = "registration",
) -> Match:
    """Register two volumes of one head (rigid) or of two heads (affine).

    Mutual information after Mattes et al. (IEEE Trans Med Imaging 2003). All starts are scored at the
    coarsest level, the best few are climbed there, the winner is refined level by level.

    Args:
        fixed: Fixed volume.
        moving: Moving volume.
        mask: Where in the fixed volume to compare, or None for everywhere.
        affine: Twelve degrees of freedom at the finer levels instead of six.
        scale: Size of the moving head over that of the fixed one, for the starts.
        levels_mm: Voxel sizes of the pyramid, coarse to fine.
        subject: Who it is, for messages.

    Raises:
        CohortError: If no start overlaps.
    """
    fixed_levels = pyramid(fixed, levels_mm)
    moving_levels = pyramid(moving, levels_mm)
    masks = [None if mask is None else resample_mask(mask, level.grid) for level in fixed_levels]
    coarse = (fixed_levels[0], moving_levels[0])
    scored = [(information(*coarse, start, masks[0]), number, start)
              for number, start in enumerate(starts(*coarse, scale))]  # fmt: skip
    scored.sort(key=lambda item: (-item[0], item[1]))
    climbed = [_climb(*coarse, masks[0], start, False, along_gradient=False)
               for _, _, start in scored[:_REFINED_STARTS]]  # fmt: skip
    best, matrix = max(climbed, key=lambda item: item[0])
    if not np.isfinite(best):
        raise CohortError(
            subject, "two images that do not overlap from any start", "scans of one head",
            "Look at both images; their headers may place them in different worlds.",
        )  # fmt: skip
    for level in range(1, len(fixed_levels)):
        images = (fixed_levels[level], moving_levels[level], masks[level])
        for mode, gradient in _modes(affine, level):
            before = information(images[0], images[1], matrix, images[2])
            value, refined = _climb(*images, matrix, mode, gradient)
            best, matrix = max((before, matrix), (value, refined), key=lambda item: item[0])
    return Match(matrix, best)
