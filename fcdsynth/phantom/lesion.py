"""Nature's lesion: what it covers and how it moves and blurs the grey-white border.

Its shape follows one of three laws, none of which grows along paths: stage 1 does that, and
must not be tested on its own assumptions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.phantom import shape_field, shape_funnel, shape_rebel
from fcdsynth.phantom.head import Head
from fcdsynth.phantom.lesionspec import LesionSpec
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.placement import choose_centre
from fcdsynth.phantom.surroundings import Box, surroundings
from fcdsynth.phantom.tail import transmantle

SHAPES = {"field": shape_field.shape, "funnel": shape_funnel.shape, "rebel": shape_rebel.shape}
_APART_MM = 12.0  # between two lesions of one patient


@dataclass(frozen=True, eq=False)
class Lesion:
    """A lesion in a brain, on a box of the head's grid.

    Args:
        spec: What was wanted.
        box: Slices of the box in the head's grid.
        grid: Grid of the box.
        share: Lesion share of each voxel in [0, 1].
        tail: Share of the transmantle band alone.
        grey: Grey matter share after thickening and blurring, in cortex and white matter.
        changed: How much of a voxel's border is redrawn, in [0, 1].
        parts: Parts of the box before the lesion.
        border_mm: Signed distance to the grey-white border, positive in white matter.
        free: Cortex and white matter of the box that belong to no earlier lesion.
        centre: Cortical voxel of the box that it was grown around.
        centre_mm: Centre of mass in the T1w world.
    """

    spec: LesionSpec
    box: Box
    grid: Grid
    share: NDArray[np.float32]
    tail: NDArray[np.float32]
    grey: NDArray[np.float32]
    changed: NDArray[np.float32]
    parts: NDArray[np.uint8]
    border_mm: NDArray[np.float32]
    free: NDArray[np.bool_]
    centre: tuple[int, int, int]
    centre_mm: tuple[float, float, float]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Voxels of which at least half is lesion."""
        return self.share >= 0.5


def taken_by(lesions: tuple[Lesion, ...], head: Head) -> NDArray[np.bool_]:
    """Voxels of a head within 12 mm of lesions, shape of the head."""
    taken = np.zeros(head.parts.shape, bool)
    for lesion in lesions:
        away = ndimage.distance_transform_edt(~lesion.mask) * lesion.grid.spacing_mm[0]
        taken[lesion.box] |= away <= _APART_MM
    return taken


def grow(spec: LesionSpec, head: Head, earlier: tuple[Lesion, ...] = ()) -> Lesion:
    """Place a lesion in a head.

    Args:
        spec: What is wanted.
        head: The head.
        earlier: Lesions it has to keep away from.

    Raises:
        SettingsError: If the anatomy has no cortex of the wanted lobe and side.
    """
    taken = taken_by(earlier, head) if earlier else None
    centre = choose_centre(spec, head, taken)
    reach = 46.0 if spec.tail else 22.0 + 9.0 * float(np.cbrt(spec.volume_ml))
    near = surroundings(head, centre, spec.side, reach, taken)
    spacing, border, free = near.spacing_mm, near.border_mm, near.free
    lesion = SHAPES[spec.law](spec, near)
    tissue = (near.parts == Part.CORTEX) | (near.parts == Part.WHITE)
    share = ndimage.gaussian_filter(lesion.astype(np.float32), 0.5 / spacing)
    share = np.where(tissue, np.maximum(share, 0.62 * lesion), 0).astype(np.float32)
    tail = transmantle(lesion, near) if spec.tail else np.zeros_like(share)
    envelope = ndimage.gaussian_filter(lesion.astype(np.float32), 1.4 / spacing)
    envelope = np.clip(envelope * 1.3, 0, 1)
    width = 0.35 + spec.blur_mm * envelope / 2
    grey = 1 / (1 + np.exp(np.clip((border - spec.thickening_mm * envelope) / width, -30, 30)))
    changed = np.clip(envelope * 2.5, 0, 1) * tissue
    share = np.maximum(share, tail)
    weight = share / share.sum()
    x, y, z = (
        float((weight.sum(axis=others) * a).sum())
        for a, others in zip(near.axes, ((1, 2), (0, 2), (0, 1)), strict=True)
    )
    return Lesion(spec, near.box, near.grid, share, tail, grey.astype(np.float32),
                  changed.astype(np.float32), near.parts, border, free, near.centre,
                  (x, y, z))  # fmt: skip
