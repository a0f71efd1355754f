"""Thicker cortex in a lesion: measured on real lesions, and given to the labels of a host.

Dysplastic cortex is often thickened and its border to white matter blurred, and whoever segments
a patient's scan finds more cortex and less of that border. A generator learns lesions under such
labels. Asked to draw one under the labels of a healthy host, it keeps a thin sharp cortex.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import CEREBRAL, Tissue
from fcdsynth.synthesis.regions import Spacing, box_around, near

_RING_MM = 12.0
_LEAST_FACES = 20  # a share of fewer says nothing
_STEPS = 24


@dataclass(frozen=True, eq=False)
class _Place:
    """A mask in its surroundings, and how dense the border is around it."""

    box: tuple[slice, slice, slice]
    lesion: NDArray[np.bool_]
    around: float

    @classmethod
    def of(
        cls, tissue: NDArray[Any], lesion: NDArray[np.bool_], spacing_mm: Spacing
    ) -> _Place | None:
        if not lesion.any():
            return None
        box = box_around(lesion, [int(_RING_MM // mm) + 2 for mm in spacing_mm])
        tissue, lesion = tissue[box], lesion[box]
        ring = near(lesion, _RING_MM, spacing_mm) & ~lesion
        if min(_faces(tissue, mask) for mask in (ring, lesion)) < _LEAST_FACES:
            return None
        return cls(box, lesion, _density(tissue, ring))

    def border(self, tissue: NDArray[Any]) -> float:
        return _density(tissue, self.lesion) / self.around


def _faces(tissue: NDArray[Any], mask: NDArray[np.bool_]) -> int:
    cortex, white = tissue == Tissue.CORTEX, tissue == Tissue.WHITE_MATTER
    cortex, white = cortex & mask, white & mask
    total = 0
    for axis in range(3):
        ahead, behind = (
            tuple(part if a == axis else slice(None) for a in range(3))
            for part in (slice(1, None), slice(None, -1))
        )
        total += int((cortex[ahead] & white[behind]).sum() + (white[ahead] & cortex[behind]).sum())
    return total


def _density(tissue: NDArray[Any], mask: NDArray[np.bool_]) -> float:
    mantle = np.isin(tissue, CEREBRAL) & mask
    return _faces(tissue, mask) / max(int(mantle.sum()), 1)


def border_ratio(tissue: NDArray[Any], lesion: NDArray[np.bool_], spacing_mm: Spacing) -> float:
    """How dense the grey-white border is in a mask, relative to the 12 mm around it.

    Density is the number of voxel faces between cortex and white matter over that of their voxels.

    Args:
        tissue: Labels, shape (x, y, z).
        lesion: Mask, same shape.
        spacing_mm: Voxel sizes.

    Returns:
        1 where it is as dense; NaN where mask or surroundings hold too little of it.
    """
    place = _Place.of(tissue, lesion, spacing_mm)
    return float("nan") if place is None else place.border(tissue[place.box])


def thickened(
    tissue: NDArray[Any], lesion: NDArray[np.bool_], wanted: float, spacing_mm: Spacing
) -> NDArray[Any]:
    """Labels with a lesion's cortex thick enough.

    White matter of the lesion becomes cortex, the voxels with most cortex around them first, until
    `border_ratio` is closest to what is wanted. A border as sparse stays as it is.

    Args:
        tissue: Labels, shape (x, y, z).
        lesion: Mask, same shape.
        wanted: Ratio to come down to.
        spacing_mm: Voxel sizes.

    Returns:
        A new array; the same one where nothing changes.
    """
    place = _Place.of(tissue, lesion, spacing_mm)
    if place is None:
        return tissue
    labels = tissue[place.box]
    best, least = labels, place.border(labels) - wanted
    if not least > 0:
        return tissue
    share = ndimage.gaussian_filter((labels == Tissue.CORTEX).astype(np.float32), 1.0)
    white = np.flatnonzero(place.lesion & (labels == Tissue.WHITE_MATTER) & (share > 0))
    order = white[np.argsort(-share.ravel()[white], kind="stable")]
    for count in np.unique(np.linspace(0, len(order), _STEPS + 1).astype(int))[1:]:
        tried = labels.copy()
        tried.ravel()[order[:count]] = Tissue.CORTEX
        missed = abs(place.border(tried) - wanted)
        if missed < least:
            best, least = tried, missed
    made = tissue.copy()
    made[place.box] = best
    return made
