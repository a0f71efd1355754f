"""A whole head in few voxels, from which the style of its scan is taken."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.crops import Corner, cut
from fcdsynth.synthesis.regions import Spacing, box_around

STYLE_TARGET, STYLE_TISSUE, STYLE_LESION = "style_target", "style_tissue", "style_lesion"
_STEP_MM = 4.0
_SIDE_MM = 208.0  # longer than brains are; the rest of a longer one is left out


def thinned(
    image: NDArray[np.float32], tissue: NDArray[Any], lesion: NDArray[Any], spacing_mm: Spacing
) -> dict[str, NDArray[Any]]:
    """Take about one voxel every 4 mm of a head.

    Voxels are taken, not averaged: labels stay labels, the grain of the image stays, and so does
    every tissue's mean. The brain's box lies in the middle, so that empty surroundings of
    another width change nothing, and the size follows from the spacing alone.

    Args:
        image: Prepared intensities, shape (contrast, x, y, z).
        tissue: Labels, shape (x, y, z), not all of them background.
        lesion: Mask of what the image shows, same shape.
        spacing_mm: Voxel sizes.

    Returns:
        ``style_target`` (contrast, x, y, z), ``style_tissue`` and ``style_lesion`` (x, y, z).
    """
    steps = [max(1, round(_STEP_MM / mm)) for mm in spacing_mm]
    x, y, z = (int(np.ceil(_SIDE_MM / (step * mm))) * step
               for step, mm in zip(steps, spacing_mm, strict=True))  # fmt: skip
    size: Corner = (x, y, z)
    edges = box_around(tissue != Tissue.BACKGROUND, (0, 0, 0))
    a, b, c = ((e.start + e.stop) // 2 - n // 2 for e, n in zip(edges, size, strict=True))
    i, j, k = (slice(step // 2, None, step) for step in steps)

    def taken(array: NDArray[Any]) -> NDArray[Any]:
        return cut(array, (a, b, c), size)[..., i, j, k]

    return {
        STYLE_TARGET: taken(image).astype(np.float32),
        STYLE_TISSUE: taken(tissue).astype(np.int64),
        STYLE_LESION: taken(lesion).astype(np.float32),
    }
