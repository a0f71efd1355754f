"""A lesion against its surroundings: ring, residuals from the ring's tissues, shells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import CEREBRAL, INTENSITY_PER_SD
from fcdsynth.synthesis.regions import Spacing, box_around

Box = tuple[slice, slice, slice]
SHELLS = ("deep", "edge", "beside", "away")
_RING_MM = 8.0
_SHELL_MM = 2.0


def reach_mm(spacing_mm: Spacing) -> float:
    """How far the ring reaches from the lesion: 8 mm, on coarse grids two voxels."""
    return max(_RING_MM, 2 * max(spacing_mm))


def margin_vox(margin_mm: float, spacing_mm: Spacing) -> list[int]:
    """Voxels along each axis that hold a margin in mm."""
    return [int(np.ceil(margin_mm / mm)) + 1 for mm in spacing_mm]


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A lesion and its ring, cut out of the volume.

    Args:
        box: Where they were cut out.
        lesion: Mask in the box, shape (x, y, z).
        ring: Voxels no farther from it than `reach_mm`, same shape.
        tissue: Labels, same shape.
        residual: Intensity less the mean of the voxel's tissue in the ring, in robust SD of the
            brain, shape (contrast, x, y, z); NaN outside cortex and white matter, away from
            lesion and ring, and where the ring has none of the tissue.
        shells: By name in `SHELLS`: inside and more than 2 mm (a voxel) from the border, inside
            next to it, outside next to it, and the rest of the ring.
    """

    box: Box
    lesion: NDArray[np.bool_]
    ring: NDArray[np.bool_]
    tissue: NDArray[Any]
    residual: NDArray[np.float32]
    shells: Mapping[str, NDArray[np.bool_]]

    @classmethod
    def of(
        cls, image: NDArray[Any], tissue: NDArray[Any], lesion: NDArray[Any], spacing_mm: Spacing
    ) -> Surroundings:
        """Cut out a lesion.

        Args:
            image: Prepared intensities, shape (contrast, x, y, z).
            tissue: Labels, shape (x, y, z).
            lesion: Mask, not empty, same shape.
            spacing_mm: Voxel sizes in mm.
        """
        reach = reach_mm(spacing_mm)
        box = box_around(lesion, margin_vox(reach, spacing_mm))
        inside, labels = lesion[box].astype(bool), tissue[box]
        out = ndimage.distance_transform_edt(~inside, sampling=spacing_mm)
        padded = np.pad(inside, 1)
        deep = ndimage.distance_transform_edt(padded, sampling=spacing_mm)[1:-1, 1:-1, 1:-1]
        ring = (out <= reach) & ~inside
        residual = np.full((len(image), *inside.shape), np.nan, dtype=np.float32)
        for label in CEREBRAL:
            here, around = labels == label, (labels == label) & ring
            if not around.any():
                continue
            wanted = here & (inside | ring)
            for values, cut in zip(residual, image[(slice(None), *box)], strict=True):
                values[wanted] = (cut[wanted] - cut[around].mean()) / INTENSITY_PER_SD
        width = max(_SHELL_MM, *spacing_mm)
        shells = {
            "deep": inside & (deep > width),
            "edge": inside & (deep <= width),
            "beside": ring & (out <= width),
            "away": ring & (out > width),
        }
        return cls(box, inside, ring, labels, residual, shells)
