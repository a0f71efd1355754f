"""Approximate lobes by planes in MNI space, enough to weight a site prior and to name a draw."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOBES = ("FL", "PL", "TL", "OL", "IL")

# Lesions by lobe in the 85 patients of ds004199 (participants.tsv; six lesions span two lobes).
BONN_LOBES: Mapping[str, float] = MappingProxyType(
    {"FL": 55.0, "PL": 18.0, "TL": 10.0, "OL": 5.0, "IL": 3.0}
)


def lobe_index(points_mm: ArrayLike) -> NDArray[np.int8]:
    """Lobe of MNI points, as an index into `LOBES`.

    Own rules: the Sylvian fissure rises backwards, the central sulcus runs from the vertex
    forwards and down, the parieto-occipital sulcus backwards and up; the insula is a box. They
    are wrong by a centimetre in places, and meant for weights, not for anatomy.

    Args:
        points_mm: MNI coordinates, shape (..., 3), RAS+ mm.

    Returns:
        Indices, shape (...).
    """
    points = np.asarray(points_mm, dtype=float)
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    sylvian = np.where(y > 0, -6 - 0.9 * y, -6 - 0.55 * y)
    insula = (x > 27) & (x < 43) & (y > -22) & (y < 24) & (z > -12) & (z < 16)
    occipital = y < -66 - 0.5 * np.clip(z - 10, 0, None)
    temporal = (x > 14) & (y < 24) & (z < sylvian) & (z < 24)
    frontal = y > -5 - 0.42 * (z - 12)
    rules = [insula, occipital, temporal, frontal]
    return np.select(rules, [4, 3, 2, 0], 1).astype(np.int8)
