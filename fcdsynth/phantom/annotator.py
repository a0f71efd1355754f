"""What an annotator draws: the truth with a wandering border, a bias, sometimes a shift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.phantom.fields import SmoothField
from fcdsynth.phantom.lesion import Lesion
from fcdsynth.phantom.pose import axes_of


@dataclass(frozen=True)
class AnnotatorSpec:
    """How one lesion was outlined.

    Args:
        offset_mm: Mean error of the border, positive outwards.
        wobble_mm: Spread of the border's error around that.
        shift_mm: Shift of the whole outline.
        keeps_tail: Whether the transmantle band was outlined too.
        seed: Seed of the border's error.
    """

    offset_mm: float
    wobble_mm: float
    shift_mm: tuple[float, float, float]
    keeps_tail: bool
    seed: int


def outline(lesion: Lesion, spec: AnnotatorSpec) -> NDArray[np.float32]:
    """Outlined region on the lesion's box as 0 and 1, never empty.

    Annotators smooth: they outline a blob, not every fold, and may cross into CSF a little.
    """
    spacing = lesion.grid.spacing_mm[0]
    core = lesion.mask
    if not spec.keeps_tail:
        core = core & ~((lesion.tail >= 0.5) & (lesion.tail >= lesion.share))
    if not core.any():
        core = lesion.mask
    signed = ndimage.distance_transform_edt(~core) - ndimage.distance_transform_edt(core)
    signed = ndimage.gaussian_filter(signed.astype(np.float32) * spacing, 1.0 / spacing)
    axes = axes_of(lesion.grid)
    low, high = (tuple(c + s * 46.0 for c in lesion.centre_mm) for s in (-1, 1))
    field = SmoothField((spec.seed,), low, high, 4.0).on(axes)  # type: ignore[arg-type]
    signed = signed - spec.offset_mm - spec.wobble_mm * field
    # A small lesion is never rubbed out: the eraser stops above its last quarter.
    level = max(0.0, float(np.quantile(signed[core], 0.25)))
    drawn = (signed <= level).astype(np.float32)
    near = ndimage.distance_transform_edt(~core) * spacing
    drawn[near > max(4 * spec.wobble_mm + abs(spec.offset_mm), 2 * spacing)] = 0
    shift = np.asarray(spec.shift_mm) / spacing
    return np.asarray(ndimage.shift(drawn, shift, order=1), np.float32)
