"""Thicker cortex in a lesion: measured on real lesions, and given to the labels of a host.

Dysplastic cortex is often thickened and its border to white matter blurred, and whoever segments
a patient's scan calls more of it cortex. A generator learns lesions under such labels. Asked to
draw one under the labels of a healthy host, it keeps a thin sharp cortex.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.regions import Spacing, box_around, near

_RING_MM = 12.0
_LEAST_BORDER = 8  # voxels; a mean over fewer says nothing
_STEPS = 24
_FACES = ndimage.generate_binary_structure(3, 1)


@dataclass(frozen=True, eq=False)
class _Place:
    """A mask in its surroundings, and the thickness of the cortex around it."""

    box: tuple[slice, slice, slice]
    lesion: NDArray[np.bool_]
    outer_mm: NDArray[np.float64]
    around_mm: float

    @classmethod
    def of(
        cls, tissue: NDArray[Any], lesion: NDArray[np.bool_], spacing_mm: Spacing
    ) -> _Place | None:
        if not lesion.any():
            return None
        box = box_around(lesion, [int(3 * _RING_MM // mm) + 1 for mm in spacing_mm])
        tissue, lesion = tissue[box], lesion[box]
        # White matter that becomes cortex does not move the outer border.
        mantle = np.isin(tissue, (Tissue.CORTEX, Tissue.WHITE_MATTER))
        outer = np.asarray(ndimage.distance_transform_edt(mantle, sampling=spacing_mm))
        ring = near(lesion, _RING_MM, spacing_mm) & ~lesion & _border(tissue)
        if ring.sum() < _LEAST_BORDER:
            return None
        return cls(box, lesion, outer, float(outer[ring].mean()))

    def excess_mm(self, tissue: NDArray[Any]) -> float:
        border = _border(tissue) & self.lesion
        if border.sum() < _LEAST_BORDER:
            return float("nan")
        return float(self.outer_mm[border].mean()) - self.around_mm


def _border(tissue: NDArray[Any]) -> NDArray[np.bool_]:
    white = ndimage.binary_dilation(tissue == Tissue.WHITE_MATTER, _FACES)
    return np.asarray((tissue == Tissue.CORTEX) & white)


def excess_mm(tissue: NDArray[Any], lesion: NDArray[np.bool_], spacing_mm: Spacing) -> float:
    """How much thicker cortex is in a mask than around it.

    Thickness is the mean distance of cortex that borders on white matter from whatever is neither.

    Args:
        tissue: Labels, shape (x, y, z).
        lesion: Mask, same shape.
        spacing_mm: Voxel sizes.

    Returns:
        mm; NaN where mask or surroundings hold too little of that border.
    """
    place = _Place.of(tissue, lesion, spacing_mm)
    return float("nan") if place is None else place.excess_mm(tissue[place.box])


def thickened(
    tissue: NDArray[Any], lesion: NDArray[np.bool_], wanted_mm: float, spacing_mm: Spacing
) -> NDArray[Any]:
    """Labels with a lesion's cortex thick enough.

    White matter of the lesion becomes cortex, the voxels with most cortex around them first, until
    `excess_mm` comes closest to what is wanted. Cortex that is as thick already stays as it is.

    Args:
        tissue: Labels, shape (x, y, z).
        lesion: Mask, same shape.
        wanted_mm: Excess to reach.
        spacing_mm: Voxel sizes.

    Returns:
        A new array; the same one where nothing changes.
    """
    place = _Place.of(tissue, lesion, spacing_mm)
    if place is None:
        return tissue
    labels = tissue[place.box]
    best, least = labels, wanted_mm - place.excess_mm(labels)
    if not least > 0:
        return tissue
    share = ndimage.gaussian_filter((labels == Tissue.CORTEX).astype(np.float32), 1.0)
    white = np.flatnonzero(place.lesion & (labels == Tissue.WHITE_MATTER) & (share > 0))
    order = white[np.argsort(-share.ravel()[white], kind="stable")]
    for count in np.unique(np.linspace(0, len(order), _STEPS + 1).astype(int))[1:]:
        tried = labels.copy()
        tried.ravel()[order[:count]] = Tissue.CORTEX
        missed = abs(place.excess_mm(tried) - wanted_mm)
        if missed < least:
            best, least = tried, missed
    made = tissue.copy()
    made[place.box] = best
    return made
