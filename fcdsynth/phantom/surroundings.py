"""What a lesion grows into: a box of a head, with the grey-white border and its direction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.phantom.fields import Axes, SmoothField
from fcdsynth.phantom.head import Head
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.pose import axes_of

Box = tuple[slice, slice, slice]
JUXTACORTICAL_MM = 3.5
_REACH_MM = 46.0


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A box around the centre of a lesion.

    Args:
        box: Slices of the box in the head's grid.
        grid: Grid of the box.
        centre: Voxel of the centre in the box.
        parts: Parts of the box.
        free: Cortex and cerebral white matter of the wanted side that nothing else has taken.
        border_mm: Signed distance to the grey-white border, positive in white matter.
    """

    box: Box
    grid: Grid
    centre: tuple[int, int, int]
    parts: NDArray[np.uint8]
    free: NDArray[np.bool_]
    border_mm: NDArray[np.float32]

    @property
    def spacing_mm(self) -> float:
        """Voxel size."""
        return self.grid.spacing_mm[0]

    @cached_property
    def axes(self) -> Axes:
        """World coordinates along the three axes, mm."""
        return axes_of(self.grid)

    @cached_property
    def centre_mm(self) -> tuple[float, float, float]:
        """The centre in the T1w world."""
        x, y, z = (float(a[i]) for a, i in zip(self.axes, self.centre, strict=True))
        return (x, y, z)

    @cached_property
    def offset_mm(self) -> tuple[NDArray[np.float32], ...]:
        """Coordinates relative to the centre, three arrays that broadcast to the box."""
        x, y, z = (
            (a - o).astype(np.float32) for a, o in zip(self.axes, self.centre_mm, strict=True)
        )
        return (x[:, None, None], y[None, :, None], z[None, None, :])

    @cached_property
    def radius_mm(self) -> NDArray[np.float32]:
        """Distance to the centre."""
        x, y, z = self.offset_mm
        return np.asarray(np.sqrt(x**2 + y**2 + z**2), np.float32)

    @cached_property
    def cortex(self) -> NDArray[np.bool_]:
        """Free cortex."""
        return np.asarray(self.free & (self.parts == Part.CORTEX))

    @cached_property
    def ribbon(self) -> NDArray[np.bool_]:
        """Free cortex and the white matter next to it."""
        return np.asarray(self.free & (self.border_mm <= JUXTACORTICAL_MM))

    @cached_property
    def below_mm(self) -> NDArray[np.float32]:
        """Depth below the cortex, 0 in it."""
        return np.maximum(self.border_mm, 0)

    @cached_property
    def normal(self) -> NDArray[np.float32]:
        """Unit vectors across the cortex, from the pia to the white matter, (3, x, y, z)."""
        smooth = ndimage.gaussian_filter(self.border_mm, 1.6 / self.spacing_mm)
        normal = np.stack(np.gradient(smooth))
        normal /= np.linalg.norm(normal, axis=0) + 1e-6
        return np.asarray(normal, np.float32)

    def direction(self, within_mm: float = 3.0) -> NDArray[np.float32]:
        """Mean normal of the cortex around the centre, a unit vector (0 where there is none)."""
        near = self.cortex & (self.radius_mm < max(within_mm, 1.8 * self.spacing_mm))
        mean = self.normal[:, near].mean(axis=1) if near.any() else np.zeros(3)
        return np.asarray(mean / (np.linalg.norm(mean) + 1e-6), np.float32)

    def field(self, seed: tuple[int, ...], knot_mm: float) -> NDArray[np.float32]:
        """A smooth random field on the box, the same at every spacing."""
        low, high = (tuple(o + s * _REACH_MM for o in self.centre_mm) for s in (-1, 1))
        return SmoothField(seed, low, high, knot_mm).on(self.axes)  # type: ignore[arg-type]


def crop(head: Grid, centre: tuple[int, int, int], reach_mm: float) -> tuple[Box, Grid]:
    """The box around a voxel, as slices of the head's grid and as a grid of its own."""
    reach = round(reach_mm / head.spacing_mm[0])
    x, y, z = (
        slice(max(0, c - reach), min(n, c + reach + 1))
        for c, n in zip(centre, head.shape, strict=True)
    )
    affine = head.matrix.copy()
    affine[:3, 3] = head.to_mm([x.start, y.start, z.start])
    return (x, y, z), Grid.of([s.stop - s.start for s in (x, y, z)], affine)


def signed_distance_mm(inside: NDArray[np.bool_], spacing_mm: float) -> NDArray[np.float32]:
    """Distance to the border of a region, positive inside, mm."""
    deep = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    deep = deep.astype(np.float32) * np.float32(spacing_mm)
    return np.asarray(deep - np.sign(deep) * np.float32(spacing_mm / 2), np.float32)


def surroundings(
    head: Head, centre: tuple[int, int, int], side: str, reach_mm: float = _REACH_MM,
    taken: NDArray[np.bool_] | None = None,
) -> Surroundings:  # fmt: skip
    """Cut the surroundings of a centre out of a head.

    Args:
        head: The head.
        centre: Voxel of the head's grid.
        side: ``L`` or ``R``; the other hemisphere is not free.
        reach_mm: Half the edge of the box, at most 46 mm.
        taken: Voxels of the head that are not free.
    """
    box, grid = crop(head.grid, centre, min(reach_mm, _REACH_MM))
    parts = head.parts[box]
    white = parts == Part.WHITE
    x = head.mm[(0, *box)]
    free = (white | (parts == Part.CORTEX)) & ((x < -1) if side == "L" else (x > 1))
    if taken is not None:
        free &= ~taken[box]
    x_, y_, z_ = (c - s.start for c, s in zip(centre, box, strict=True))
    border = signed_distance_mm(white, head.grid.spacing_mm[0])
    return Surroundings(box, grid, (x_, y_, z_), parts, free, border)
