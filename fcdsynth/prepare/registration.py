"""Rigid and affine registration by mutual information, from several starts, coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.volume import Volume
from fcdsynth.prepare.itk import affine_of, matrix_of, one_thread, rigid_of, to_itk
from fcdsynth.prepare.plausible import Match, apart, nats_by_chance, settled

_LEVELS_MM = (8.0, 4.0, 1.5)
_FINE_MM = 3.0
_SAMPLES, _FINE_SAMPLES = 60_000, 30_000
_TILT_DEG = 20.0
_REFINED_STARTS = 3
_SEED = 20_24
_BINS = 32


def _upright(volume: Volume, spacing_mm: float) -> Volume:
    """The volume on an axis-aligned isotropic grid over its own field of view."""
    corners = volume.grid.corners_mm()
    grid = Grid.covering(corners.min(axis=0), corners.max(axis=0) + 1e-3, spacing_mm)
    return resample(volume, grid)


def pyramid(volume: Volume, levels_mm: Sequence[float]) -> list[Volume]:
    """Copies of a volume at growing fineness, none finer than its own mean spacing."""
    own = float(np.prod(volume.grid.spacing_mm) ** (1 / 3))
    wanted = [max(level, 0.95 * own) for level in levels_mm]
    finest = _upright(volume, wanted[-1])
    return [*(_upright(finest, mm) for mm in wanted[:-1]), finest]


def _centre(volume: Volume) -> NDArray[np.float64]:
    """Centre of mass of a head, world mm; the top of the histogram is cut so that it is shape."""
    array = volume.array.astype(np.float32)
    weights = np.clip(array, 0, max(float(np.quantile(array, 0.9)), 1e-6))
    index = np.stack(np.nonzero(weights), -1)
    weight = weights[weights > 0]
    if not len(weight):
        return np.asarray(volume.grid.corners_mm().mean(axis=0))
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


@dataclass(frozen=True, eq=False)
class _Level:
    """One step of the pyramid as ITK wants it."""

    fixed: sitk.Image
    moving: sitk.Image
    mask: sitk.Image | None
    centre_mm: NDArray[np.float64]
    spacing_mm: float
    share: float
    fine: bool

    @classmethod
    def of(cls, fixed: Volume, moving: Volume, mask: Volume | None, fine: bool = False) -> _Level:
        inside = None if mask is None else resample_mask(mask, fixed.grid)
        n_voxels = int(np.prod(fixed.grid.shape))
        if fine and inside is not None:  # ITK draws samples everywhere and keeps those inside
            n_voxels = max(int(inside.array.sum()), 1)
        wanted = _FINE_SAMPLES if fine else _SAMPLES
        return cls(
            to_itk(fixed),
            to_itk(moving),
            None if inside is None else to_itk(inside),
            _centre(fixed if inside is None else inside),
            max(fixed.grid.spacing_mm),
            min(1.0, wanted / n_voxels),
            fine,
        )

    def method(self) -> sitk.ImageRegistrationMethod:
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMattesMutualInformation(_BINS)
        method.SetInterpolator(sitk.sitkLinear)
        if self.mask is not None:
            method.SetMetricFixedMask(self.mask)
        if self.share < 1:
            method.SetMetricSamplingStrategy(method.RANDOM)
            method.SetMetricSamplingPercentage(self.share, _SEED)
        if self.fine:
            # ITK's smoothed gradients pull the optimum by 0.2 mm at 2 mm voxels (phantoms).
            method.MetricUseFixedImageGradientFilterOff()
            method.MetricUseMovingImageGradientFilterOff()
        return method

    def information(self, matrix: NDArray[np.float64]) -> float:
        """Mutual information under a matrix, minus infinity where nothing overlaps."""
        method = self.method()
        method.SetInitialTransform(affine_of(matrix))
        try:
            return -float(method.MetricEvaluate(self.fixed, self.moving))
        except RuntimeError:  # ITK: all samples map outside the moving image
            return -np.inf

    def climb(
        self, start: NDArray[np.float64], affine: bool, along_gradient: bool
    ) -> tuple[float, NDArray[np.float64]]:
        """Improve a matrix, as a rigid or an affine transform."""
        transform = (affine_of if affine else rigid_of)(start, self.centre_mm)
        method = self.method()
        if along_gradient:
            method.SetOptimizerAsRegularStepGradientDescent(
                self.spacing_mm / 4, 1e-3, 60, 0.6, 1e-8
            )
        else:
            # From afar the sampled metric's gradient points anywhere; line searches do not mind.
            method.SetOptimizerAsPowell(10, 50, 1.0, 1e-3, 1e-4)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(transform, inPlace=True)
        try:
            method.Execute(self.fixed, self.moving)
        except RuntimeError:  # as in information
            return -np.inf, start
        return -float(method.GetMetricValue()), matrix_of(transform)


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

    Mutual information after Mattes et al. (IEEE Trans Med Imaging 2003). All starts are scored at
    the coarsest level, the best few are climbed there line by line, the winner is refined
    level by level. A rigid result that is no better than the headers' own alignment, or that no
    two scans of one head in one session can need, is refused: the identity is given back.

    Args:
        fixed: Fixed volume.
        moving: Moving volume.
        mask: Where in the fixed volume to compare, or None for everywhere.
        affine: Twelve degrees of freedom at the finer levels instead of six.
        scale: Size of the moving head over that of the fixed one, for the starts.
        levels_mm: Voxel sizes of the pyramid, coarse to fine.
        subject: Who it is, for messages.

    Raises:
        CohortError: If the images overlap neither as their headers say nor from any other start.
    """
    fixed_levels = pyramid(fixed, levels_mm)
    moving_levels = pyramid(moving, levels_mm)
    levels = [
        _Level.of(f, m, mask, fine=not affine and mm < _FINE_MM)
        for f, m, mm in zip(fixed_levels, moving_levels, levels_mm, strict=True)
    ]
    with one_thread():
        first = levels[0]
        tried = starts(fixed_levels[0], moving_levels[0], scale)
        values = [first.information(start) for start in tried]
        order = np.argsort(values, kind="stable")[::-1][:_REFINED_STARTS]
        climbed = [first.climb(tried[i], affine=False, along_gradient=False) for i in order]
        best, matrix = max(climbed, key=lambda item: item[0])
        if not np.isfinite(best) and affine:
            raise apart(subject)
        for number, level in enumerate(levels[1:], start=1):
            before = level.information(matrix)
            # A rigid search goes line by line once more; its last steps, and affine ones, follow
            # the gradient.
            refined = level.climb(matrix, affine, along_gradient=affine or number > 1)
            best, matrix = max((before, matrix), refined, key=lambda item: item[0])
        if affine:
            return Match(matrix, best)
        at_header = levels[-1].information(np.eye(4))
    region = fixed_levels[-1] if mask is None else resample_mask(mask, fixed_levels[-1].grid)
    n_samples = min(_FINE_SAMPLES, int((region.array > 0).sum()))
    unrelated = nats_by_chance(_BINS, n_samples)
    return settled(Match(matrix, best), at_header, region, moving.grid, unrelated, subject)


def compare(
    fixed: Volume, moving: Volume, mask: Volume, search: bool = True
) -> tuple[float, float]:
    """Mutual information of two volumes as they lie, and after a short rigid search from there.

    Args:
        fixed: Fixed volume.
        moving: Moving volume, in the same world.
        mask: Where to compare.
        search: Whether to search; if not, both figures are the same.

    Returns:
        Two figures in nats, 0 where nothing can be compared.
    """
    level = _Level.of(fixed, moving, mask, fine=True)
    with one_thread():
        here = level.information(np.eye(4))
        best = level.climb(np.eye(4), affine=False, along_gradient=True)[0] if search else here
    return max(here, 0.0), max(here, best, 0.0)
