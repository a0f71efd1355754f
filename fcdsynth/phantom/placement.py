"""A lesion before it meets a brain, and the choice of its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from fcdsynth.core.errors import SettingsError
from fcdsynth.measure.lobes import label_of
from fcdsynth.phantom.head import Head
from fcdsynth.phantom.parts import BRAIN, Part

_DEEPEST_MM = 30.0
_MIDLINE_MM = 6.0
_DEPTH_STEP_MM = 3.0


@dataclass(frozen=True)
class LesionSpec:
    """A lesion before it meets a brain.

    Args:
        lobe: Code as in ds004199 (``FL``, ``PL``, ``TL``, ``OL``, ``IL``).
        side: ``L`` or ``R``.
        volume_ml: Wanted volume; the achieved one is in the truth table.
        subtype: ``IIa`` or ``IIb``.
        contrast_sd: Mean FLAIR change over the lesion in robust standard deviations of the
            surrounding tissue; negative for a dark lesion.
        t1w_sd: The same for T1w, beside what thickening and blurring change.
        thickening_mm: How far the grey-white border moves into the white matter.
        blur_mm: Width of the blurred border.
        cortex_share: Change in the cortex relative to the one below it.
        tail: Whether a transmantle band runs to the ventricle.
        roughness: Size of the random field against the envelope.
        depth_bias: Preference for deep cortex (sulcal bottoms), per unit of relative depth.
        mri_negative: Whether a radiologist would report nothing.
        seed: Seed of place and shape.
    """

    lobe: str
    side: str
    volume_ml: float
    subtype: str
    contrast_sd: float
    t1w_sd: float
    thickening_mm: float
    blur_mm: float
    cortex_share: float
    tail: bool
    roughness: float
    depth_bias: float
    mri_negative: bool
    seed: int


def choose_centre(spec: LesionSpec, head: Head) -> tuple[int, int, int]:
    """Draw a cortical voxel of the wanted lobe and side, deep ones preferred.

    Args:
        spec: The lesion.
        head: The head.

    Raises:
        SettingsError: If the anatomy has no cortex there.
    """
    parts, spacing_mm = head.parts, head.grid.spacing_mm[0]
    wanted = head.lobes == label_of(spec.lobe, spec.side)
    candidates = np.argwhere(wanted & (parts == Part.CORTEX) & (np.abs(head.mm[0]) > _MIDLINE_MM))
    if len(candidates) == 0:
        raise SettingsError(
            f"{spec.lobe} {spec.side}", "no cortex of this lobe and side in the anatomy",
            "a whole brain", "Leave this anatomy out of the folder.",
        )  # fmt: skip
    step = max(1, round(_DEPTH_STEP_MM / spacing_mm))
    brain = np.isin(parts[::step, ::step, ::step], [Part.CSF, *BRAIN])
    depth = ndimage.distance_transform_edt(brain) * (step * spacing_mm)
    at = tuple(candidates.T // step)
    weight = np.exp(spec.depth_bias * np.minimum(depth[at], _DEEPEST_MM) / _DEEPEST_MM * 2)
    rng = np.random.default_rng([spec.seed, 0])
    chosen = candidates[rng.choice(len(candidates), p=weight / weight.sum())]
    return (int(chosen[0]), int(chosen[1]), int(chosen[2]))
