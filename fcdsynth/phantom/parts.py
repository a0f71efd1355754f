"""Parts of a simulated head, and how FreeSurfer labels and true tissue maps relate to them."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.tissue import Tissue


class Part(IntEnum):
    """Label values of a simulated head."""

    AIR = 0
    CSF = 1
    CORTEX = 2
    WHITE = 3
    DEEP_GREY = 4
    VENTRICLE = 5
    LOWER_GREY = 6
    LOWER_WHITE = 7
    BONE = 8
    MARROW = 9
    FAT = 10
    MUSCLE = 11
    SKIN = 12
    MUCOSA = 13
    EYE = 14
    VESSEL = 15


CEREBRAL = (Part.CORTEX, Part.WHITE, Part.DEEP_GREY, Part.VENTRICLE)
BRAIN = (*CEREBRAL, Part.LOWER_GREY, Part.LOWER_WHITE)

# FreeSurfer values; those from 500 are the extra-cerebral ones of the SynthSeg training maps
# (Billot et al. 2023), told apart by their place in the head.
_FREESURFER: dict[Part, tuple[int, ...]] = {
    Part.AIR: (0,),
    Part.CSF: (24, 122, 257),
    Part.CORTEX: (3, 42, *range(1000, 3000), *range(11100, 12176)),
    Part.WHITE: (2, 41, 25, 57, 77, 78, 79, 85, *range(251, 256), *range(3000, 5000), 5001, 5002),
    Part.DEEP_GREY: (10, 49, 11, 50, 12, 51, 13, 52, 17, 53, 18, 54, 26, 58, 28, 60),
    Part.VENTRICLE: (4, 43, 5, 44, 14, 15, 72, 31, 63),
    Part.LOWER_GREY: (8, 47),
    Part.LOWER_WHITE: (7, 46, 16, 512),
    Part.VESSEL: (30, 62, 502, 514),
    Part.EYE: (506, 530, 508),
    Part.FAT: (507,),
    Part.MUCOSA: (509,),
    Part.SKIN: (511,),
    Part.BONE: (515, 165),
    Part.MARROW: (516,),
}
_LEFT = (2, 3, *range(1000, 2000), *range(3000, 4000), 5001, *range(11100, 11176))
_RIGHT = (41, 42, *range(2000, 3000), *range(4000, 5000), 5002, *range(12100, 12176))
OUTER_LABELS_FROM = 500
_TOP = 12200

TO_TISSUE: dict[Part, Tissue] = {
    Part.CSF: Tissue.CSF,
    Part.CORTEX: Tissue.CORTEX,
    Part.WHITE: Tissue.WHITE_MATTER,
    Part.DEEP_GREY: Tissue.DEEP_GREY,
    Part.VENTRICLE: Tissue.VENTRICLE,
    Part.LOWER_GREY: Tissue.INFRATENTORIAL,
    Part.LOWER_WHITE: Tissue.INFRATENTORIAL,
}
UNKNOWN = 255


def from_freesurfer(labels: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Translate FreeSurfer labels to `Part` values; labels without a part become `UNKNOWN`."""
    table = np.full(_TOP, UNKNOWN, dtype=np.uint8)
    for part, values in _FREESURFER.items():
        table[list(values)] = part
    if labels.size and labels.min() >= 0 and labels.max() < _TOP:
        return table[labels]
    known = (labels >= 0) & (labels < _TOP)
    return np.where(known, table[np.where(known, labels, 0)], np.uint8(UNKNOWN))


def side_of(labels: NDArray[np.int16]) -> NDArray[np.int8]:
    """Side of FreeSurfer labels of cerebral cortex and white matter: -1 left, 1 right, else 0."""
    table = np.zeros(_TOP, dtype=np.int8)
    table[list(_LEFT)] = -1
    table[list(_RIGHT)] = 1
    known = (labels >= 0) & (labels < _TOP)
    return np.asarray(np.where(known, table[np.where(known, labels, 0)], np.int8(0)))


def to_tissue(parts: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Translate parts to the tissue labels of `fcdsynth.core.tissue`, head tissues to 0."""
    table = np.zeros(len(Part), dtype=np.uint8)
    for part, tissue in TO_TISSUE.items():
        table[part] = tissue
    return table[parts]
