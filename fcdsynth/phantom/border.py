"""The border that an annotator draws around one lesion: habits, and errors of extent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.phantom.annotator import AnnotatorSpec
from fcdsynth.phantom.fields import SmoothField
from fcdsynth.phantom.lesion import Lesion
from fcdsynth.phantom.patch import Patch
from fcdsynth.phantom.pose import axes_of
from fcdsynth.phantom.surroundings import signed_distance_mm

_KNOT_MM = 4.0
_SMOOTH_MM = 1.0
_REACH_MM = 60.0
_AT_LEAST = 0.25  # share of a lesion that no eraser takes
# An outline that is too large or too small is so by at least this much of the volume.
_LARGE, _SMALL = 1.3, 0.7


def _level_of(distance_mm: NDArray[np.float32], n_voxels: int) -> float:
    """The level that holds a number of voxels."""
    values = distance_mm.ravel()
    n = min(max(n_voxels, 1), values.size)
    return float(np.partition(values, n - 1)[n - 1])


def draw_border(lesion: Lesion, spec: AnnotatorSpec, number: int = 0) -> Patch:
    """Outline a lesion, never as nothing.

    Annotators smooth: they outline a blob, not every fold, and may cross into CSF a little.
    ``too_large`` and ``too_small`` move the border by the amount in mm, on the white matter
    side alone when one-sided (a transmantle band is cut off, then); ``wobbly`` lets it wander
    at the volume of the truth.

    Args:
        lesion: The lesion.
        spec: The annotator.
        number: Which of his outlines, so that each wanders in its own way.
    """
    spacing = lesion.grid.spacing_mm[0]
    whole = core = lesion.mask
    cuts_tail = spec.error == "too_small" and spec.one_sided
    if cuts_tail or not spec.keeps_tail:
        core = whole & ~((lesion.tail >= 0.5) & (lesion.tail >= lesion.share))
    core = core if core.any() else whole
    outwards = -signed_distance_mm(core, spacing)
    outwards = ndimage.gaussian_filter(outwards, _SMOOTH_MM / spacing)

    bias, wobble = spec.bias_mm, spec.wobble_mm
    if spec.error == "too_large":
        bias = max(bias, 0.0) + spec.amount
    elif spec.error == "too_small":
        bias = min(bias, 0.0) - spec.amount
    elif spec.error == "wobbly":
        bias, wobble = 0.0, spec.amount
    low, high = (tuple(c + s * _REACH_MM for c in lesion.centre_mm) for s in (-1, 1))
    field = SmoothField((spec.seed, number), low, high, _KNOT_MM)  # type: ignore[arg-type]
    distance = outwards - wobble * field.on(axes_of(lesion.grid))
    # No wandering border leaves islands far from the lesion.
    distance[outwards > max(4 * wobble + abs(bias), 2 * spacing)] = np.inf

    # Smoothing and wandering would take volume from thin lesions, which is not their meaning.
    n_whole, n_core = int(whole.sum()), int(core.sum())
    if spec.error != "too_small":
        distance -= _level_of(distance, n_core)
    moved = np.full(core.shape, bias, np.float32)
    if spec.one_sided:
        moved *= np.clip(lesion.border_mm / spacing + 0.5, 0, 1)
    distance -= moved
    level = max(0.0, _level_of(distance, round(_AT_LEAST * n_core)))
    if spec.error == "too_large":
        level = max(level, _level_of(distance, round(_LARGE * n_whole)))
    elif spec.error == "too_small":
        level = min(level, _level_of(distance, round(_SMALL * n_whole)))
    drawn = distance <= level
    return Patch(lesion.grid, drawn.astype(np.float32))
