"""Depth below the brain's closed hull."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.volume import Volume

_CLOSING_MM = 12.0


def depth_below_hull(brain: Volume) -> NDArray[np.float32]:
    """Distance of every brain voxel from the brain's closed surface.

    The surface bridges sulci and fissures up to 24 mm wide (closing by a ball), so that the
    bottom of a sulcus is deep and a gyral crown is not.

    Args:
        brain: Brain mask.

    Returns:
        Millimetres, shape (x, y, z), 0 outside the mask.
    """
    spacing = brain.grid.spacing_mm
    pad = [int(np.ceil(_CLOSING_MM / mm)) + 1 for mm in spacing]
    padded = np.pad(brain.array, [(n, n) for n in pad])
    grown = ndimage.distance_transform_edt(~padded, sampling=spacing) <= _CLOSING_MM
    # Eroding the grown set by the same ball and measuring depth are one distance map.
    inward = ndimage.distance_transform_edt(grown, sampling=spacing) - _CLOSING_MM
    core = tuple(slice(n, -n) for n in pad)
    return np.where(brain.array, np.maximum(inward[core], 0.0), 0.0).astype(np.float32)
