"""Landmark rules in MNI152 space: what is what in the ICBM152 maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fcdsynth.phantom.parts import Part

Coordinates = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


def below_tentorium(mm: Coordinates) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cerebellum with brainstem, and the brainstem alone, by coordinates that broadcast."""
    x, y, z = np.abs(mm[0]), mm[1], mm[2]
    tentorium = -4 - 0.5 * x - 0.3 * np.clip(-60 - y, 0, None)
    stem = (x < 18) & (y > -42) & (y < -8) & (z < -13)
    return ((y <= -40) & (z < tentorium)) | stem, stem


def template_parts(
    grey: NDArray[np.float32],
    white: NDArray[np.float32],
    brain: NDArray[np.bool_],
    depth_mm: NDArray[np.float32],
    mm: Coordinates,
) -> NDArray[np.uint8]:
    """Name the parts of the ICBM152 brain by tissue share and place.

    Args:
        grey: Grey matter share in [0, 1], shape (x, y, z).
        white: White matter share in [0, 1].
        brain: Brain mask.
        depth_mm: Depth below the brain's surface.
        mm: Coordinates as three arrays that broadcast to the shape.
    """
    x, y, z = np.abs(mm[0]), mm[1], mm[2]
    csf = 1 - grey - white
    parts = np.where(white > grey, Part.WHITE, Part.CORTEX).astype(np.uint8)
    parts[csf > np.maximum(grey, white)] = Part.CSF

    lower, stem = below_tentorium(mm)
    parts[lower & (parts == Part.WHITE)] = Part.LOWER_WHITE
    parts[lower & (parts == Part.CORTEX)] = Part.LOWER_GREY
    parts[stem & np.isin(parts, [Part.LOWER_GREY, Part.LOWER_WHITE])] = Part.LOWER_WHITE

    core = ((x / 32) ** 2 + ((y + 5) / 31) ** 2 + ((z - 4) / 19) ** 2 < 1) & ~lower
    parts[core & (grey > 0.45) & (csf < 0.4)] = Part.DEEP_GREY
    roof = (x < 30) & (y > -50) & (y < 33) & (z > -6) & (z < 29) & (depth_mm > 26)
    third = (x < 5) & (y > -32) & (y < 8) & (z > -14) & (z < 8)
    fourth = (x < 9) & (y > -54) & (y < -34) & (z > -48) & (z < -18)
    parts[(roof | third | fourth) & (parts == Part.CSF)] = Part.VENTRICLE
    parts[~brain] = Part.AIR
    return parts
