"""FreeSurfer's label values: which are used, and which of our tissues and lobes they mean.

FreeSurfer, FastSurfer and SynthSeg share them (FreeSurferColorLUT).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.tissue import Tissue
from fcdsynth.measure.lobes import RIGHT, label_of

UNKNOWN = 255
_TOP = 16_384
_OUTSIDE = (0, 130, 165, 258, 259, *range(500, 531))
_TISSUES: dict[Tissue, Iterable[int]] = {
    Tissue.CSF: (24, 122, 257),
    Tissue.CORTEX: (3, 42, *range(1000, 3000), *range(11100, 11200), *range(12100, 12200)),
    Tissue.WHITE_MATTER: (2, 41, 25, 57, 77, 78, 79, 85, 155, 156, *range(251, 256),
                          *range(3000, 5000), 5001, 5002,
                          *range(13100, 13200), *range(14100, 14200)),
    Tissue.DEEP_GREY: (9, 10, 11, 12, 13, 17, 18, 26, 27, 28, 48, 49, 50, 51, 52, 53, 54, 58, 59,
                       60, 96, 97, 136, 137, 163, 164),
    Tissue.VENTRICLE: (4, 5, 14, 15, 31, 43, 44, 63, 72, 213, 221),
    Tissue.INFRATENTORIAL: (7, 8, 16, 46, 47, 170, 171, 172, 173, 174, 175, 177, 178, 179),
}  # fmt: skip
_VESSELS = (30, 62)
# Numbers of Desikan et al. (2006) and of DKT below 1000, grouped as by Klein and Tourville (2012);
# the cingulate gyrus goes with the lobe it borders on.
_GYRI: dict[str, tuple[int, ...]] = {
    "FL": (2, 3, 12, 14, 17, 18, 19, 20, 24, 26, 27, 28, 32),
    "PL": (8, 10, 22, 23, 25, 29, 31),
    "TL": (1, 6, 7, 9, 15, 16, 30, 33, 34),
    "OL": (5, 11, 13, 21),
    "IL": (35,),
}


def _tissue_table() -> NDArray[np.uint8]:
    table = np.full(_TOP, UNKNOWN, dtype=np.uint8)
    table[[*_OUTSIDE, *_VESSELS]] = Tissue.BACKGROUND
    for tissue, values in _TISSUES.items():
        table[list(values)] = tissue
    return table


def _lobe_table() -> NDArray[np.uint8]:
    table = np.zeros(_TOP, dtype=np.uint8)
    for lobe, gyri in _GYRI.items():
        for gyrus in gyri:
            # Cortex, and the white matter below it where a map (wmparc) divides that too.
            table[[1000 + gyrus, 3000 + gyrus]] = label_of(lobe, "L")
            table[[2000 + gyrus, 4000 + gyrus]] = label_of(lobe, "R")
    return table


_TO_TISSUE, _TO_LOBE = _tissue_table(), _lobe_table()


def _looked_up(
    labels: NDArray[np.integer], table: NDArray[np.uint8], other: int
) -> NDArray[np.uint8]:
    known = (labels >= 0) & (labels < _TOP)
    return np.where(known, table[np.where(known, labels, 0)], np.uint8(other))


def to_tissue(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Tissue of each label; `UNKNOWN` where FreeSurfer has no such brain structure."""
    return _looked_up(labels, _TO_TISSUE, UNKNOWN)


def to_lobe(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Lobe and side (`fcdsynth.measure.lobes`) of each label, 0 where it tells none."""
    return _looked_up(labels, _TO_LOBE, 0)


def to_side(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """0 left and `RIGHT` right for cerebral cortex and white matter, `UNKNOWN` elsewhere."""
    left = np.isin(labels, (2, 3, 25, 155)) | ((labels >= 1000) & (labels < 2000))
    left |= ((labels >= 3000) & (labels < 4000)) | (labels == 5001)
    left |= ((labels >= 11100) & (labels < 11200)) | ((labels >= 13100) & (labels < 13200))
    right = np.isin(labels, (41, 42, 57, 156)) | ((labels >= 2000) & (labels < 3000))
    right |= ((labels >= 4000) & (labels < 5000)) | (labels == 5002)
    right |= ((labels >= 12100) & (labels < 12200)) | ((labels >= 14100) & (labels < 14200))
    return np.select([left, right], [np.uint8(0), np.uint8(RIGHT)], np.uint8(UNKNOWN))
