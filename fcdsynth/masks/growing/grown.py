"""A grown mask, as a list of voxels: most of a volume is not lesion."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.grid import Grid
from fcdsynth.masks.host import Host
from fcdsynth.measure.shape import Shape, shape_features

LEAST_SOFT = 0.01


@dataclass(frozen=True, eq=False)
class Grown:
    """A grown mask.

    Args:
        vox: Its voxels, each once, shape (n, 3).
        soft: Soft value of each, 1 at the seed falling to 0.01 at the front, shape (n,).
        on_track: Whether each belongs to the transmantle track, shape (n,).
    """

    vox: NDArray[np.int64]
    soft: NDArray[np.float32]
    on_track: NDArray[np.bool_]

    @cached_property
    def box(self) -> tuple[slice, slice, slice]:
        """The smallest box that holds the mask."""
        low, high = self.vox.min(axis=0), self.vox.max(axis=0) + 1
        x, y, z = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        return x, y, z

    @cached_property
    def in_box(self) -> NDArray[np.bool_]:
        """The mask within its box."""
        mask = np.zeros([s.stop - s.start for s in self.box], dtype=bool)
        mask[tuple((self.vox - [s.start for s in self.box]).T)] = True
        return mask

    def mask_on(self, grid: Grid) -> NDArray[np.bool_]:
        """The mask as a boolean array of the host's grid."""
        mask = np.zeros(grid.shape, dtype=bool)
        mask[tuple(self.vox.T)] = True
        return mask

    def soft_on(self, grid: Grid) -> NDArray[np.float32]:
        """The soft map on the host's grid, 0 outside the mask."""
        soft = np.zeros(grid.shape, dtype=np.float32)
        soft[tuple(self.vox.T)] = self.soft
        return soft


def shape_in(host: Host, grown: Grown) -> Shape:
    """Shape features of a mask in its host."""
    box, inside = grown.box, grown.in_box
    # Features of shape do not ask where the box's grid begins.
    grid = Grid.of(inside.shape, host.grid.matrix)
    return shape_features(inside, grid, host.tissue[box], host.depth_mm[box])


def soft_of(time: NDArray[np.float64]) -> NDArray[np.float32]:
    """Soft values of voxels in order of arrival: 1 - T / T_last, at least 0.01."""
    last = max(float(time[-1]), 1e-9)
    return np.clip(1 - time / last, LEAST_SOFT, 1).astype(np.float32)
