"""Whether the image still shows the labels it was made from: cortex and white matter by T1w."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.filters import threshold_multiotsu

from fcdsynth.core.tissue import Tissue

CLASSES = {"cortex": Tissue.CORTEX, "white": Tissue.WHITE_MATTER}
_MANTLE = (Tissue.CSF, Tissue.CORTEX, Tissue.WHITE_MATTER)


def reclassified(t1w: NDArray[Any], tissue: NDArray[Any]) -> NDArray[np.uint8]:
    """Label the mantle anew by T1w alone: fluid, cortex, white matter from dark to bright.

    Two thresholds by the multi-level rule of Otsu (Liao et al. 2001) over the voxels that the
    given labels call fluid, cortex or white matter; deep grey matter, ventricles and what lies
    below the tentorium are left out.

    Args:
        t1w: Prepared intensities, shape (x, y, z).
        tissue: Labels the image was made from, same shape.

    Returns:
        Labels, same shape; 0 where nothing is labelled.
    """
    mantle = np.isin(tissue, _MANTLE)
    values = np.asarray(t1w)[mantle]
    labels = np.zeros(tissue.shape, dtype=np.uint8)
    if len(np.unique(values)) < len(_MANTLE):
        return labels
    limits = threshold_multiotsu(values, classes=len(_MANTLE))
    labels[mantle] = np.array(_MANTLE, dtype=np.uint8)[np.digitize(values, limits)]
    return labels


def agreement(
    found: NDArray[np.uint8], tissue: NDArray[Any], where: NDArray[np.bool_]
) -> dict[str, float]:
    """Dice of cortex and of white matter with the given labels, within a mask.

    Args:
        found: Labels of `reclassified`, shape (x, y, z).
        tissue: Given labels, same shape.
        where: Voxels that count, same shape; those outside the mantle are left out.

    Returns:
        ``cortex`` and ``white``; NaN where neither side has the tissue.
    """
    counted = where & np.isin(tissue, _MANTLE)
    dice = {}
    for name, label in CLASSES.items():
        a, b = found[counted] == label, tissue[counted] == label
        total = int(a.sum()) + int(b.sum())
        dice[name] = 2 * int((a & b).sum()) / total if total else float("nan")
    return dice
