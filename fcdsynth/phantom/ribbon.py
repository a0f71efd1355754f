"""The cortical ribbon of an anatomy, and the moving of its grey-white border."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.phantom.parts import Part

THINNEST_MM = 1.2
_BLADE_MM = 0.5  # half the width of white matter that is left in the core of a gyrus
_FARTHEST_MM = 2.4
_UNITS = 50  # distances are kept as integers of 1/50 mm


@dataclass(frozen=True, eq=False)
class Ribbon:
    """Distances around the grey-white border of an anatomy, on a box of its lattice.

    Args:
        lower_vox: First voxel of the box.
        border: Signed distance to the border between cortex and white matter in 1/50 mm,
            positive in white matter, cut at 2.4 mm; int8 of shape (x, y, z).
        depth: Distance from what is neither cortex nor white matter in 1/50 mm, cut at 5 mm.
        room: Largest distance to the cortex in the white matter around, cut at 2.4 mm.
    """

    lower_vox: tuple[int, int, int]
    border: NDArray[np.int8]
    depth: NDArray[np.uint8]
    room: NDArray[np.int8]

    def move_border(
        self,
        parts: NDArray[np.uint8],
        vox: NDArray[np.float32],
        shift_mm: NDArray[np.float32],
        mm_per_unit: float,
    ) -> None:
        """Move the grey-white border of a head, in place.

        Cortex is nowhere thinned below 1.2 mm, and white matter in the core of a gyrus keeps
        1 mm where it has that much.

        Args:
            parts: `Part` labels of the head, shape (x, y, z).
            vox: Places of its voxels in the anatomy's lattice, shape (3, x, y, z).
            shift_mm: How far the border moves into the white matter, shape (x, y, z).
            mm_per_unit: Length in the subject of 1 mm in the anatomy.
        """
        ribbon = np.flatnonzero((parts == Part.CORTEX) | (parts == Part.WHITE))
        points = vox.reshape(3, -1)[:, ribbon] - np.asarray(self.lower_vox, np.float32)[:, None]
        index = [
            np.clip(np.rint(p).astype(np.int32), 0, n - 1)
            for p, n in zip(points, self.border.shape, strict=True)
        ]
        flat = np.ravel_multi_index(index, self.border.shape)  # type: ignore[call-overload]
        # Only what lies close to the border can change sides.
        near = np.flatnonzero(np.abs(self.border.ravel()[flat]) < (_FARTHEST_MM - 0.6) * _UNITS)
        ribbon, flat = ribbon[near], flat[near]
        unit = np.float32(mm_per_unit / _UNITS)
        border = ndimage.map_coordinates(
            self.border, points[:, near], np.float32, order=1, mode="nearest"
        )
        border *= unit
        level = shift_mm.ravel()[ribbon]
        labels = parts.ravel()[ribbon]
        white = labels == Part.WHITE
        thin = self.depth.ravel()[flat] * unit < THINNEST_MM
        blade = border > self.room.ravel()[flat] * unit - _BLADE_MM
        labels[white & (border <= level) & ~blade] = Part.CORTEX
        labels[~white & (border > level) & ~thin] = Part.WHITE
        parts.reshape(-1)[ribbon] = labels


def measure_ribbon(parts: NDArray[np.uint8], spacing_mm: tuple[float, float, float]) -> Ribbon:
    """Distances around the grey-white border of a label map.

    Args:
        parts: `Part` labels, shape (x, y, z).
        spacing_mm: Voxel size.
    """
    both = (parts == Part.CORTEX) | (parts == Part.WHITE)
    lower, upper = [], []
    for axis in range(3):
        found = np.flatnonzero(both.any(axis=tuple(a for a in range(3) if a != axis)))
        lower.append(max(int(found[0]) - 3, 0))
        upper.append(min(int(found[-1]) + 4, parts.shape[axis]))
    box = tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))
    half = min(spacing_mm) / 2  # a voxel's centre is half a voxel from its face

    def away(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        found = ndimage.distance_transform_edt(~mask, sampling=spacing_mm) - half
        return np.asarray(found, np.float32)

    to_white, to_cortex = away(parts[box] == Part.WHITE), away(parts[box] == Part.CORTEX)
    border = np.where(to_cortex < to_white, -to_white, to_cortex)
    border = np.rint(np.clip(border, -_FARTHEST_MM, _FARTHEST_MM) * _UNITS).astype(np.int8)
    depth = np.clip(np.rint(away(~both[box]) * _UNITS), 0, 250).astype(np.uint8)
    return Ribbon(
        (lower[0], lower[1], lower[2]), border, depth, ndimage.maximum_filter(border, size=5)
    )
