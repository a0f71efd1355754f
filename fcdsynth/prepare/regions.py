"""Lobe and side of every voxel of cerebral cortex and white matter, by its place in MNI space."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.tissue import CEREBRAL
from fcdsynth.measure.lobes import RIGHT, lobe_index


def label_lobes(tissue: NDArray[np.uint8], places_mm: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Labels of `fcdsynth.measure.lobes`.

    The sides are parted by the plane x = 0 of MNI space as the diffeomorphic map bends it, not
    by the world's.

    Args:
        tissue: Tissue labels, shape (x, y, z).
        places_mm: Place of every voxel in MNI space, shape (x, y, z, 3), RAS+ mm.

    Returns:
        1 to 5 for the lobes of the left, `RIGHT` more on the right, 0 outside cerebral cortex and
        white matter; shape (x, y, z).
    """
    inside = np.isin(tissue, CEREBRAL)
    places = places_mm[inside]
    lobes = np.zeros(tissue.shape, dtype=np.uint8)
    lobes[inside] = lobe_index(places) + 1 + RIGHT * (places[:, 0] > 0)
    return lobes
