"""Anatomy: a head that can be sampled at any point of a canonical space.

Axes and size of canonical space follow MNI152 (RAS+ mm) roughly, so that the shape of the head
can be told by coordinates; lobes come from a registration (`fcdsynth.phantom.lobemap`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.phantom import shells
from fcdsynth.phantom.fields import Axes, SmoothField
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.pose import PoseSpec
from fcdsynth.phantom.ribbon import Ribbon
from fcdsynth.phantom.ventricles import Ventricles

_RIPPLE_KNOT_MM = 14.0


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A head to be deformed.

    Args:
        name: Name of the template or of the label map's file.
        parts: `Part` labels, shape (x, y, z).
        lobes: Lobe and side labels (`fcdsynth.measure.lobes`) of cortex and cerebral white
            matter, same shape.
        to_vox: 4 x 4 matrix from canonical mm to voxel indices of the arrays.
        scale: Size of the head relative to canonical space.
        lower_mm: Lowest corner of the head, canonical mm.
        upper_mm: Highest corner of the head, canonical mm.
        ribbon: Distances around the grey-white border.
        ventricles: The flow that makes the ventricles larger or smaller.
        shares: Grey and white matter shares in 1/255 where the source has them.
        outside: Distance from the brain, where skull and scalp have to be added.
    """

    name: str
    parts: NDArray[np.uint8]
    lobes: NDArray[np.uint8]
    to_vox: NDArray[np.float64]
    scale: float
    lower_mm: tuple[float, float, float]
    upper_mm: tuple[float, float, float]
    ribbon: Ribbon
    ventricles: Ventricles
    shares: tuple[NDArray[np.uint8], NDArray[np.uint8]] | None = None
    outside: shells.Outside | None = None

    def sample(
        self, mm: NDArray[np.float32], axes: Axes, shell: shells.ShellSpec, pose: PoseSpec
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Parts and lobes at canonical points.

        Args:
            mm: Canonical coordinates, shape (3, x, y, z).
            axes: World coordinates (mm) of the lattice the points belong to.
            shell: Thickness of skull and scalp, for anatomies without them.
            pose: Where the individual course of the tissue borders comes from.

        Returns:
            `Part` labels, and lobe and side labels of cortex and cerebral white matter with 0
            elsewhere; both of shape (x, y, z).
        """
        m = self.to_vox.astype(np.float32)
        vox = (m[:3, :3] @ mm.reshape(3, -1)).reshape(mm.shape)
        vox += m[:3, 3, None, None, None]
        flat = np.zeros(mm.shape[1:], dtype=np.int32)
        inside = np.ones(mm.shape[1:], dtype=bool)
        for place, size in zip(vox, self.parts.shape, strict=True):
            nearest = np.rint(place).astype(np.int32)
            inside &= (nearest >= 0) & (nearest < size)
            flat *= size
            flat += np.clip(nearest, 0, size - 1)
        parts: NDArray[np.uint8] = self.parts.ravel()[flat]
        parts[~inside] = Part.AIR
        if self.shares is not None:
            _draw_borders(parts, vox, self.shares, axes, pose.seed)
        if pose.thicker_mm or pose.ripple_mm:
            ripple = SmoothField((pose.seed, 9), *_box(axes), _RIPPLE_KNOT_MM).on(axes)
            shift = np.float32(pose.thicker_mm) + np.float32(pose.ripple_mm) * ripple
            self.ribbon.move_border(parts, vox, shift, float(np.cbrt(np.prod(pose.stretch))))
        ribbon = (parts == Part.CORTEX) | (parts == Part.WHITE)
        lobes = np.where(ribbon, self.lobes.ravel()[flat], np.uint8(0))
        if self.outside is not None:
            shells.add_shells(parts, mm, self.outside, shell)
        return parts, lobes


def _box(axes: Axes) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    x, y, z = ((float(axis[0]), float(axis[-1])) for axis in axes)
    return (x[0], y[0], z[0]), (x[1], y[1], z[1])


def _draw_borders(
    parts: NDArray[np.uint8],
    vox: NDArray[np.float32],
    shares: tuple[NDArray[np.uint8], NDArray[np.uint8]],
    axes: Axes,
    seed: int,
) -> None:
    """Draw individual tissue borders through the blurred folds of an average brain, in place."""
    where = np.isin(parts, [Part.CSF, Part.CORTEX, Part.WHITE, Part.LOWER_GREY])
    points = vox[:, where]
    grey, white = (
        ndimage.map_coordinates(s, points, np.float32, order=1) / np.float32(255) for s in shares
    )

    def noise(number: int, knot_mm: float) -> NDArray[np.float32]:
        return SmoothField((seed, number), *_box(axes), knot_mm).on(axes)[where]

    csf = 1 - grey - white + 0.06 * noise(1, 9.0) + 0.06 * noise(2, 3.5)
    below = parts[where] == Part.LOWER_GREY
    new = np.where(white > grey, Part.WHITE, Part.CORTEX).astype(np.uint8)
    new[below] = np.where(new[below] == Part.WHITE, Part.LOWER_WHITE, Part.LOWER_GREY)
    new[csf > np.maximum(grey, white)] = Part.CSF
    parts[where] = new
