"""What an outline itself tells: its tissue, its roughness, its holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import Tissue
from fcdsynth.relabel.profile.zones import Cut

_RIM_MM = 3.4
_CLOSE_MM = 3.0


def outline_numbers(cut: Cut) -> dict[str, float]:
    """Numbers of a component's form; none depends on a lesion's brightness.

    ``share_*`` and ``rim_*``: shares of each tissue inside, and up to 3.4 mm outside;
    ``surface``: border voxels over volume to the power 2/3; ``fullness``: volume over its
    bounding box; ``closing`` and ``opening``: volume after each over volume, 3 mm and one voxel;
    ``holes``: number of cavities; ``thickest_mm``: largest distance to the outline.
    """
    own = cut.own
    voxels = int(own.sum())
    rim = (cut.distance_mm > 0) & (cut.distance_mm <= _RIM_MM)
    found: dict[str, float] = {}
    for label in Tissue:
        key = label.name.lower()
        found[f"share_{key}"] = float(np.mean(cut.tissue[own] == label))
        found[f"rim_{key}"] = float(np.mean(cut.tissue[rim] == label)) if rim.any() else np.nan
    padded = np.pad(own, 1)
    border = padded & ~ndimage.binary_erosion(padded)
    times = max(1, round(_CLOSE_MM / max(cut.spacing_mm)))
    wide = np.pad(own, times + 1)
    box = own.any(axis=(1, 2)).sum() * own.any(axis=(0, 2)).sum() * own.any(axis=(0, 1)).sum()
    found |= {
        "log_volume": float(np.log(voxels * float(np.prod(cut.spacing_mm)) / 1000)),
        "surface": float(border.sum()) / voxels ** (2 / 3),
        "fullness": voxels / float(box),
        "closing": float(ndimage.binary_closing(wide, iterations=times).sum()) / voxels,
        "opening": float(ndimage.binary_opening(own).sum()) / voxels,
        "holes": float(_cavities(own)),
        "thickest_mm": float(-cut.distance_mm.min()),
    }
    return found


def _cavities(own: NDArray[np.bool_]) -> int:
    return int(ndimage.label(~np.pad(own, 1))[1]) - 1
