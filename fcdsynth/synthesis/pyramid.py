"""Halve, double and move volumes about their middle, so that a crop's size moves no cell."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

Size = tuple[int, int, int]


def halved(size: Sequence[int]) -> Size:
    """Sizes one scale coarser: half of the next multiple of 4, never below 2."""
    x, y, z = (-(-n // 4) * 2 for n in size)
    return (x, y, z)


def scales(size: Sequence[int], count: int) -> list[Size]:
    """Sizes of a number of scales, the finest first."""
    x, y, z = size
    sizes: list[Size] = [(x, y, z)]
    while len(sizes) < count:
        sizes.append(halved(sizes[-1]))
    return sizes


def evened(volume: Tensor) -> Tensor:
    """Zeros around a volume up to multiples of 4, split between both sides.

    The halves are then even and the middle of the volume falls between two cells at every scale.
    Crops of 48, 64 and 96 voxels around one place are cut into the same cells.

    Args:
        volume: Shape (batch, channel, x, y, z).
    """
    widths: list[int] = []
    for n in reversed(volume.shape[2:]):
        missing = -n % 4
        widths += [missing // 2, missing - missing // 2]
    return F.pad(volume, widths) if any(widths) else volume


def halve(volume: Tensor) -> Tensor:
    """Mean over cells of 2 x 2 x 2 voxels; volume of shape (batch, channel, x, y, z)."""
    return F.avg_pool3d(evened(volume), 2)


def double(volume: Tensor, size: Sequence[int]) -> Tensor:
    """Repeat every cell 2 x 2 x 2 times and cut off what `halve` had added.

    Args:
        volume: Shape (batch, channel, *halved(size)).
        size: Sizes of the result.
    """
    finer = F.interpolate(volume, scale_factor=2.0, mode="nearest")
    for axis, n in enumerate(size, start=2):
        finer = finer.narrow(axis, (finer.shape[axis] - n) // 2, n)
    return finer


def neighbours(volume: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
    """A volume moved by one voxel either way along an axis, with itself between; zeros come in.

    Args:
        volume: Shape (batch, channel, x, y, z).
        axis: 2, 3 or 4.
    """
    edge, length = [0] * 6, volume.shape[axis]
    edge[2 * (4 - axis)] = edge[2 * (4 - axis) + 1] = 1
    wide = F.pad(volume, edge)
    before, same, after = (wide.narrow(axis, start, length) for start in range(3))
    return before, same, after
