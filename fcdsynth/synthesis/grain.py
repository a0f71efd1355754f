"""The noise of a scan, measured around a region and drawn anew inside it; and slow variation."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.pyramid import neighbours

# The style's guess of the noise counts as much as this many measured voxels.
_GUESS_VOX = 64.0
_LEAST_RATIO = 0.4  # the smoothest noise that three taps can make
_WAVE_VOX, _WAVE_REACH = 2.0, 4  # a Gaussian's SD, and where it is cut


def measured_grain(image: Tensor, labels: Tensor, where: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Standard deviation and smoothness of the voxel noise of white matter.

    From mean absolute differences of voxels one and two apart, with white matter between them.
    Of white noise both are equal; noise filtered by (a, 1, a) along an axis, which resampling
    and thick slices come close to, has a ratio of variances

        r = (1 + 2 a^2 - 2 a) / (1 + a^2),    so    a = (1 - sqrt(1 - (2 - r) (1 - r))) / (2 - r).

    Args:
        image: Shape (batch, contrast, x, y, z).
        labels: Shape (batch, `conditions.LABELS`, x, y, z).
        where: Voxels that may be looked at, in {0, 1}, shape (batch, 1, x, y, z).

    Returns:
        Standard deviations, shape (batch, contrast); taps a along the axes, shape
        (batch, contrast, 3); and the number of voxels behind them, shape (batch, 1).
    """
    white = where * labels[:, Tissue.WHITE_MATTER : Tissue.WHITE_MATTER + 1]
    variances, taps, counts = [], [], []
    with torch.autocast(image.device.type, enabled=False):
        image, white = image.float(), white.float()
        for axis in (2, 3, 4):
            length = image.shape[axis] - 2
            a, b, c = (image.narrow(axis, start, length) for start in range(3))
            inside = torch.ones_like(white.narrow(axis, 0, length))
            for start in range(3):
                inside = inside * white.narrow(axis, start, length)
            count = inside.sum((2, 3, 4))
            near, far = (
                (difference.abs() * inside).sum((2, 3, 4)) / count.clamp_min(1)
                for difference in (b - a, c - a)
            )
            ratio = (near / far.clamp_min(1e-6)).square().clamp(_LEAST_RATIO, 1)
            tap = (1 - (1 - (2 - ratio) * (1 - ratio)).clamp_min(0).sqrt()) / (2 - ratio)
            kept = 1 - tap.square() / (1 + 2 * tap.square())
            variances.append(math.pi / 4 * far.square() / kept)
            taps.append(tap)
            counts.append(count)
    return torch.stack(variances).mean(0).sqrt(), torch.stack(taps, 2), torch.stack(counts).amin(0)


def grain_of(
    guess: Tensor, image: Tensor, labels: Tensor, where: Tensor
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Noise of the surroundings; where there is little to measure, that of the style.

    Args:
        guess: Standard deviations that belong to the style, shape (batch, contrast).
        image: As in `measured_grain`.
        labels: As in `measured_grain`.
        where: As in `measured_grain`.

    Returns:
        Standard deviations, shape (batch, contrast), and taps, shape (batch, contrast, 3).
    """
    found, taps, count = measured_grain(image, labels, where)
    share = count / (count + _GUESS_VOX)
    return share * found + (1 - share) * guess, share[..., None] * taps


def smoothed(noise: Tensor, taps: Tensor) -> Tensor:
    """Filter white noise by (a, 1, a) along each axis; its variance stays one.

    Args:
        noise: Shape (batch, contrast, x, y, z).
        taps: Shape (batch, contrast, 3).
    """
    for number, axis in enumerate((2, 3, 4)):
        tap = taps[:, :, number, None, None, None]
        before, _, after = neighbours(noise, axis)
        noise = (noise + tap * (before + after)) / (1 + 2 * tap.square()).sqrt()
    return noise


def waves(noise: Tensor) -> Tensor:
    """White noise made slow: filtered by a Gaussian of 2 voxels; its variance stays one.

    Tissue varies over more than a voxel, and a network that draws the mean of what fits leaves
    that out.

    Args:
        noise: Shape (batch, contrast, x, y, z).
    """
    at = torch.arange(-_WAVE_REACH, _WAVE_REACH + 1).to(noise)
    taps = (-0.5 * (at / _WAVE_VOX).square()).exp()
    taps = taps / taps.square().sum().sqrt()
    channels = noise.shape[1]
    for axis in range(3):
        shape, padding = [1, 1, 1], [0, 0, 0]
        shape[axis], padding[axis] = len(taps), _WAVE_REACH
        kernel = taps.reshape(1, 1, *shape).expand(channels, 1, *shape)
        noise = F.conv3d(noise, kernel, padding=padding, groups=channels)
    return noise
