"""What real lesions, and healthy places of the same law, show against the tissue around them."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.tissue import Tissue
from fcdsynth.measure.ring import ring_contrast
from fcdsynth.synthesis.crops import cut
from fcdsynth.synthesis.heads import Head
from fcdsynth.synthesis.patches import SynthesisPatches
from fcdsynth.synthesis.regions import Spacing, box_around, near

Contrasts = tuple[float, ...]


def rng_for(seed: int, name: str) -> np.random.Generator:
    """Random numbers of one subject: its id decides, not its row or its process."""
    digest = hashlib.sha256(name.encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest, dtype="<u4").tolist()])


def redrawn_region(
    shape: NDArray[Any], tissue: NDArray[Any], margin_mm: float, spacing_mm: Spacing
) -> NDArray[np.bool_]:
    """A drawn shape and a rim around it, inside the brain: what is blanked and redrawn."""
    inside: NDArray[np.bool_] = tissue != Tissue.BACKGROUND
    return near(shape, margin_mm, spacing_mm) & inside


def ring_contrasts(
    image: NDArray[Any], mask: NDArray[Any], region: NDArray[Any], tissue: NDArray[Any]
) -> Contrasts:
    """`ring_contrast` of every channel.

    Args:
        image: Prepared intensities, shape (contrast, x, y, z).
        mask: Lesion or healthy shape, shape (x, y, z).
        region: Mask with the ring around it, same shape.
        tissue: Labels, same shape.

    Returns:
        One number per channel, NaN where no tissue lies both in the mask and around it.
    """
    if not region.any():
        return (float("nan"),) * len(image)
    box = box_around(region, (0, 0, 0))
    return tuple(
        ring_contrast(channel[box], mask[box], region[box], tissue[box]) for channel in image
    )


def lesion_contrasts(head: Head, margin_mm: float) -> Contrasts:
    """What a real lesion shows, with the ring that synthesis would redraw around it."""
    region = redrawn_region(head.lesion, head.tissue, margin_mm, head.spacing_mm)
    return ring_contrasts(head.image, head.lesion, region, head.tissue)


def healthy_contrasts(
    patches: SynthesisPatches, head: Head, margin_mm: float, crop: int, places: int
) -> tuple[Contrasts, ...]:
    """What untouched places show, drawn by the law of the healthy regions of training.

    Args:
        patches: The law.
        head: A real subject.
        margin_mm: Width of the ring.
        crop: Side of the box that a place must fit in, voxels.
        places: Number of places; the subject's id decides which.
    """
    rng, found = rng_for(0, head.id), []
    for _ in range(places):
        corner, shape = patches.healthy_place(head, rng, crop)
        tissue = cut(head.tissue, corner, shape.shape)
        image = cut(head.image, corner, shape.shape)
        region = redrawn_region(shape, tissue, margin_mm, head.spacing_mm)
        found.append(ring_contrasts(image, shape, region, tissue))
    return tuple(found)
