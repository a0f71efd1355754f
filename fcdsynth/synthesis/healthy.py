"""Healthy regions of the law of the training lesions: their masks, laid elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.crops import paste
from fcdsynth.synthesis.regions import Spacing

_TISSUES = tuple(t for t in Tissue if t != Tissue.BACKGROUND)


@dataclass(frozen=True, eq=False)
class Donor:
    """A training lesion's shape and the tissue it is made of.

    Args:
        subject: Id of its patient.
        mask: Its mask, cut to its box, shape (x, y, z).
        middle: The mask's voxel nearest to its centre.
        voxels: Number of its voxels of each tissue, background left out.
    """

    subject: str
    mask: NDArray[np.bool_]
    middle: tuple[int, int, int]
    voxels: dict[int, int]

    @classmethod
    def of(cls, subject: str, lesion: NDArray[Any], tissue: NDArray[Any]) -> Donor:
        """Cut a donor out of a patient's mask and labels, both of shape (x, y, z), not empty."""
        where = np.argwhere(lesion)
        low, high = where.min(0), where.max(0) + 1
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        x, y, z = where[np.argmin(np.square(where - where.mean(0)).sum(1))] - low
        counts = np.bincount(tissue[lesion > 0].astype(np.int64), minlength=len(Tissue))
        voxels = {int(t): int(counts[t]) for t in _TISSUES if counts[t]}
        return cls(subject, lesion[box] > 0, (int(x), int(y), int(z)), voxels)


@dataclass(frozen=True)
class Turn:
    """How a donor's mask is laid.

    Args:
        axes: Order of its axes.
        mirrored: Which of them are turned round afterwards.
    """

    axes: tuple[int, int, int]
    mirrored: tuple[bool, bool, bool]


def draw_turn(rng: np.random.Generator, spacing_mm: Spacing) -> Turn:
    """Draw one of the turns that keep millimetres: all 48 where voxels are cubes, else 8."""
    cubes = np.allclose(spacing_mm, spacing_mm[0], rtol=0.01)
    x, y, z = rng.permutation(3) if cubes else np.arange(3)
    a, b, c = rng.random(3) < 0.5
    return Turn((int(x), int(y), int(z)), (bool(a), bool(b), bool(c)))


def laid(
    donor: Donor, turn: Turn, tissue: NDArray[Any], seed: NDArray[Any], spacing_mm: Spacing
) -> NDArray[np.bool_]:
    """Lay a donor's mask with its middle on a voxel, and let it follow the tissue there.

    Of each tissue as many voxels are taken as the lesion held, those deepest inside the laid mask
    first and then those nearest to it. So volume and make-up are the lesion's own, as far as the
    place has enough of each tissue, and the shape is its own as far as the place allows.

    Args:
        donor: The lesion.
        turn: How it lies.
        tissue: Labels, shape (x, y, z); background where nothing may be taken.
        seed: Voxel index of the place; it always belongs to the region.
        spacing_mm: Voxel sizes in mm.
    """
    mask = donor.mask.transpose(turn.axes)
    middle = [donor.middle[axis] for axis in turn.axes]
    for axis, mirrored in enumerate(turn.mirrored):
        if mirrored:
            mask = np.flip(mask, axis)
            middle[axis] = mask.shape[axis] - 1 - middle[axis]
    place = np.zeros(tissue.shape, dtype=bool)
    x, y, z = (int(s) - m for s, m in zip(seed, middle, strict=True))
    paste(place, mask, (x, y, z))
    away = ndimage.distance_transform_edt(~place, sampling=spacing_mm)
    away = away - ndimage.distance_transform_edt(place, sampling=spacing_mm)
    region = np.zeros(tissue.shape, dtype=bool)
    for kind, count in donor.voxels.items():
        of_kind = np.flatnonzero(tissue.ravel() == kind)
        nearest = np.argsort(away.ravel()[of_kind], kind="stable")[:count]
        region.ravel()[of_kind[nearest]] = True
    region[tuple(seed)] = True
    return region
