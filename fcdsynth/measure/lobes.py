"""Lobes of the cerebrum by place in MNI space, and the labels of a map of lobes and sides."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOBES = ("FL", "PL", "TL", "OL", "IL")
LOBE_WORDS: Mapping[str, str] = MappingProxyType(
    {"FL": "frontal", "PL": "parietal", "TL": "temporal", "OL": "occipital", "IL": "insula"}
)
# Lesions by lobe and by side in the 85 patients of ds004199 (participants.tsv, v1.0.6; six
# lesions span two lobes).
BONN_LOBES: Mapping[str, int] = MappingProxyType({"FL": 55, "PL": 18, "TL": 10, "OL": 5, "IL": 3})
BONN_SIDES: Mapping[str, int] = MappingProxyType({"L": 46, "R": 39})
RIGHT = 10  # added to the label of a lobe on the right

# One quadric a lobe in u = (|x|, y, z) / 50 mm; a point belongs to the lobe with the largest
# value. Coefficients of 1, z, z2, y, yz, y2, x, xz, xy, x2.
_QUADRICS = np.array(
    [
        [8.0, 1.0, 4.9, 10.2, 2.2, 4.6, -6.4, 14.0, 7.7, 0.2],
        [8.5, 2.0, 1.7, 7.9, -1.1, 4.4, -21.6, 14.0, -6.1, 12.2],
        [-11.2, -12.5, 13.4, -12.0, -3.1, -3.6, 6.9, -7.2, -0.9, 6.8],
        [-8.2, -2.6, -3.6, -11.6, -4.6, -0.2, -8.1, -14.8, -2.7, 10.8],
        [2.9, 12.1, -16.4, 5.6, 6.5, -5.2, 29.2, -6.0, 2.0, -30.0],
    ]
)


def lobe_index(points_mm: ArrayLike) -> NDArray[np.int8]:
    """Lobe of MNI points, as an index into `LOBES`.

    Quadric borders fitted to where the gyri of Desikan et al. (2006), grouped into lobes as by
    Klein and Tourville (2012), lie on average in MNI152: 93 % of 404,000 cortical voxels of
    that average fall on the right side of all borders (straight landmark lines: 86 %). The
    cingulate gyrus is split between the frontal and the parietal lobe.

    Args:
        points_mm: MNI coordinates of points in or near the cerebral cortex, shape (..., 3),
            RAS+ mm.

    Returns:
        Indices, shape (...).
    """
    points = np.asarray(points_mm, dtype=np.float32) / np.float32(50)
    x, y, z = np.abs(points[..., 0]), points[..., 1], points[..., 2]
    best = np.full(x.shape, -np.inf, dtype=np.float32)
    lobe = np.zeros(x.shape, dtype=np.int8)
    for number, row in enumerate(_QUADRICS.astype(np.float32)):
        c, cz, czz, cy, cyz, cyy, cx, cxz, cxy, cxx = row
        value = c + z * (cz + czz * z) + y * (cy + cyz * z + cyy * y)
        value = value + x * (cx + cxz * z + cxy * y + cxx * x)
        better = value > best
        best = np.where(better, value, best)
        lobe[better] = number
    return lobe


def name_of(label: int) -> tuple[str, str]:
    """Lobe code and side (``L`` or ``R``) of a label of a lobe map.

    Args:
        label: 1 to 5 for the lobes of the left, `RIGHT` more for those of the right.

    Raises:
        KeyError: If the label means nothing.
    """
    side, number = ("R", label - RIGHT) if label > RIGHT else ("L", label)
    if not 1 <= number <= len(LOBES):
        raise KeyError(label)
    return LOBES[number - 1], side


def label_of(lobe: str, side: str) -> int:
    """Label of a lobe and a side, the inverse of `name_of`."""
    return LOBES.index(lobe) + 1 + (RIGHT if side == "R" else 0)
