"""CarveMix's arithmetic: a lesion and some of its surroundings, carved out and laid over a head.

After Zhang et al. 2021 (MICCAI): with the signed distance d to the donor's lesion, negative inside
and d_min at its deepest, a level is drawn from U(d_min / 2, 0) or from U(0, |d_min|), each with
probability one half; what lies below the level is carved out of the donor and laid over the host,
and so are its labels. There the heads lie as they are; here the donor can be moved by whole voxels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.crops import cut, paste
from fcdsynth.synthesis.regions import Spacing, box_around


@dataclass(frozen=True, eq=False)
class Donor:
    """A head that a piece is carved out of.

    Args:
        id: Subject id.
        image: Prepared intensities, shape (contrast, x, y, z).
        tissue: Labels, shape (x, y, z).
        lesion: Mask that is carved along, same shape, not empty.
        spacing_mm: Voxel sizes.
    """

    id: str
    image: NDArray[np.float32]
    tissue: NDArray[Any]
    lesion: NDArray[np.bool_]
    spacing_mm: Spacing


@dataclass(frozen=True, eq=False)
class Made:
    """A host with a lesion put in.

    Args:
        image: Prepared intensities, shape (contrast, x, y, z); the host's outside ``touched``.
        lesion: Its lesion mask, shape (x, y, z).
        touched: Voxels that may differ from the host's, same shape.
    """

    image: NDArray[np.float32]
    lesion: NDArray[np.bool_]
    touched: NDArray[np.bool_]


def signed_distance(mask: NDArray[Any], spacing_mm: Spacing) -> NDArray[np.float64]:
    """Distance to the other side of a mask's border in mm, negative inside; shape of the mask."""
    inside = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    outside = ndimage.distance_transform_edt(~mask.astype(bool), sampling=spacing_mm)
    return np.asarray(outside - inside)


def carve_level(rng: np.random.Generator, deepest_mm: float) -> float:
    """Draw CarveMix's level from the least signed distance of a lesion, which is negative."""
    if rng.random() < 0.5:
        return float(rng.uniform(deepest_mm / 2, 0))
    return float(rng.uniform(0, -deepest_mm))


def centre_vox(mask: NDArray[Any]) -> NDArray[np.float64]:
    """Centre of mass of a mask in voxels, shape (3,)."""
    return np.asarray(np.argwhere(mask).mean(0))


def carve(
    image: NDArray[np.float32],
    tissue: NDArray[Any],
    donor: Donor,
    rng: np.random.Generator,
    shift_vox: NDArray[np.int_] | None = None,
) -> Made:
    """Lay a donor's lesion and some of its surroundings over a host.

    Args:
        image: The host's prepared intensities, shape (contrast, x, y, z).
        tissue: The host's labels, shape (x, y, z). Nothing is laid outside its brain, nor
            where the donor's brain ends.
        donor: The donor, on a lattice of the same spacing and axes.
        rng: Source of the level.
        shift_vox: How far the donor is moved, shape (3,); not at all if None.
    """
    # The carved piece reaches no farther from the lesion than the lesion is deep.
    depth = float(-signed_distance(np.pad(donor.lesion, 1), donor.spacing_mm).min())
    margin = [int(depth // mm) + 1 for mm in donor.spacing_mm]
    edges = box_around(donor.lesion, (0, 0, 0))
    low = np.array([e.start - m for e, m in zip(edges, margin, strict=True)])
    high = np.array([e.stop + m for e, m in zip(edges, margin, strict=True)])
    x, y, z = (int(n) for n in high - low)

    def piece(array: NDArray[Any], at: NDArray[np.int_]) -> NDArray[Any]:
        return cut(array, (int(at[0]), int(at[1]), int(at[2])), (x, y, z))

    lesion = piece(donor.lesion, low).astype(bool)
    distance = signed_distance(lesion, donor.spacing_mm)
    there = low if shift_vox is None else low + shift_vox
    put = distance < carve_level(rng, float(distance.min()))
    put &= piece(tissue, there) != Tissue.BACKGROUND
    put &= piece(donor.tissue, low) != Tissue.BACKGROUND
    laid = np.where(put, piece(donor.image, low), piece(image, there))
    new, label = image.copy(), np.zeros(tissue.shape, dtype=bool)
    touched = np.zeros(tissue.shape, dtype=bool)
    corner = (int(there[0]), int(there[1]), int(there[2]))
    for whole, part in ((new, laid), (label, put & lesion), (touched, put)):
        paste(whole, part, corner)
    return Made(new, label, touched)
