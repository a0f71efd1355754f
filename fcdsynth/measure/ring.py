"""Contrast of a place against what lies around it, tissue for tissue."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from fcdsynth.core.tissue import CEREBRAL


def ring_contrast(
    image: NDArray[Any], lesion: NDArray[Any], region: NDArray[Any], tissue: NDArray[Any]
) -> float:
    """Mean inside minus mean of the ring; divided by `INTENSITY_PER_SD`, robust SD of the brain.

    The ring is the region's cortex and white matter outside the lesion, in the tissue mix of
    the lesion: the two tissues are compared each with its own and weighted by the lesion's
    voxels, so that a lesion in cortex is not judged against white matter.

    Args:
        image: Prepared intensities, shape (x, y, z).
        lesion: Mask, same shape.
        region: Mask around it, same shape.
        tissue: Labels, same shape.

    Returns:
        The contrast, NaN where no tissue is in both.
    """
    total, weight = 0.0, 0
    for label in CEREBRAL:
        inside = lesion.astype(bool) & (tissue == label)
        ring = region.astype(bool) & ~lesion.astype(bool) & (tissue == label)
        if inside.any() and ring.any():
            count = int(inside.sum())
            total += count * (float(image[inside].mean()) - float(image[ring].mean()))
            weight += count
    return total / weight if weight else float("nan")
