"""The brain's closed surface: the mask it bounds, and the depth below it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.measure.components import label_components

_BRAIN_CLOSING_MM = 10.0
_DEPTH_CLOSING_MM = 12.0
_LEAST_PIECE_ML = 0.5
_SOLID = (Tissue.CORTEX, Tissue.WHITE_MATTER, Tissue.DEEP_GREY, Tissue.VENTRICLE,
          Tissue.INFRATENTORIAL)  # fmt: skip


def _inward_mm(
    mask: NDArray[np.bool_], spacing: tuple[float, ...], mm: float
) -> NDArray[np.float64]:
    """Distance below the surface of a mask closed by a ball, above 0 inside it."""
    pad = [int(np.ceil(mm / size)) + 1 for size in spacing]
    padded = np.pad(mask, [(n, n) for n in pad])
    grown = ndimage.distance_transform_edt(~padded, sampling=spacing) <= mm
    # Eroding the grown set by the same ball and measuring depth are one distance map.
    inward = ndimage.distance_transform_edt(grown, sampling=spacing) - mm
    return np.asarray(inward[tuple(slice(n, -n) for n in pad)])


def closed_brain(tissue: Volume, within: Volume | None = None) -> Volume:
    """The brain with the fluid in its sulci: solid tissue and ventricles closed by 10 mm.

    Fluid between the gyral crowns and the dura, which atrophy makes wide, is left out.

    Args:
        tissue: Tissue labels; pieces below 0.5 ml are dropped.
        within: Mask that the result stays in, same grid.
    """
    solid, _ = label_components(np.isin(tissue.array, _SOLID), tissue.grid, _LEAST_PIECE_ML)
    kept = solid.array > 0
    closed = kept | (_inward_mm(kept, tissue.grid.spacing_mm, _BRAIN_CLOSING_MM) > 0)
    if within is not None:
        closed &= within.array
    return Volume(closed, tissue.grid)


def depth_below_hull(brain: Volume) -> NDArray[np.float32]:
    """Distance of every brain voxel from the brain's closed surface.

    The surface bridges sulci and fissures up to 24 mm wide (closing by a ball), so that the
    bottom of a sulcus is deep and a gyral crown is not.

    Args:
        brain: Brain mask.

    Returns:
        Millimetres, shape (x, y, z), 0 outside the mask.
    """
    inward = _inward_mm(brain.array, brain.grid.spacing_mm, _DEPTH_CLOSING_MM)
    return np.where(brain.array, np.maximum(inward, 0.0), 0.0).astype(np.float32)
