"""What is true of one lesion once it is in a head: the record that is written down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcdsynth.measure.lobes import name_of
from fcdsynth.phantom.appearance import Achieved
from fcdsynth.phantom.head import Head
from fcdsynth.phantom.lesion import Lesion

_LOBE_SHARE = 0.2


@dataclass(frozen=True)
class LesionTruth:
    """Truth about one lesion.

    Args:
        subtype: ``IIa`` or ``IIb``.
        subtle: Whether its signs are slight.
        law: Shape law.
        variant: Variant of a ``rebel`` shape, empty otherwise.
        lobes: Lobe codes of all lobes with at least a fifth of the voxels, the largest first.
        side: Side with most voxels, ``L`` or ``R``.
        centre_mm: Centre of mass in the T1w world.
        volume_ml: Volume on the head's fine grid.
        white_share: Share of the lesion that was white matter.
        contrast_sd: Wanted FLAIR contrast.
        flair_change_sd: Achieved FLAIR change, see `fcdsynth.phantom.appearance.Achieved`.
        flair_cortex_sd: Mean FLAIR change in the cortex.
        flair_below_sd: Mean FLAIR change below it.
        flair_ring_z: FLAIR of the lesion against its ring.
        t1w_change_sd: Achieved T1w change.
        t1w_ring_z: T1w of the lesion against its ring.
        visibility: Contrast times the cube root of the volume achieved, SD ml^(1/3).
        difficulty: Preset it was drawn under.
        tail: Whether a transmantle band was drawn.
        at_bottom: Whether its centre was put at the bottom of a sulcus.
        mri_negative: Whether a radiologist would report nothing.
    """

    subtype: str
    subtle: bool
    law: str
    variant: str
    lobes: tuple[str, ...]
    side: str
    centre_mm: tuple[float, float, float]
    volume_ml: float
    white_share: float
    contrast_sd: float
    flair_change_sd: float
    flair_cortex_sd: float
    flair_below_sd: float
    flair_ring_z: float
    t1w_change_sd: float
    t1w_ring_z: float
    visibility: float
    difficulty: str
    tail: bool
    at_bottom: bool
    mri_negative: bool


def lobes_and_side(lesion: Lesion, head: Head) -> tuple[tuple[str, ...], str]:
    """Lobes with at least a fifth of a lesion's voxels, largest first, and its side."""
    labels = head.lobes[lesion.box][lesion.mask]
    names = [name_of(int(label)) for label in labels[labels > 0]]
    if not names:
        return (lesion.spec.lobe,), lesion.spec.side
    lobes, counts = np.unique([lobe for lobe, _ in names], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    kept = tuple(str(lobes[i]) for i in order if counts[i] >= _LOBE_SHARE * len(names))
    left = np.mean([side == "L" for _, side in names])
    return kept, "L" if left >= 0.5 else "R"


def truth_of(
    lesion: Lesion, place: tuple[tuple[str, ...], str], flair: Achieved, t1w: Achieved
) -> LesionTruth:
    """The record of one lesion.

    Args:
        lesion: The lesion.
        place: Its lobes and side, see `lobes_and_side`.
        flair: Contrast as painted on FLAIR.
        t1w: Contrast as painted on T1w.
    """
    spec, mask = lesion.spec, lesion.mask
    lobes, side = place
    volume_ml = float(mask.sum() * lesion.grid.voxel_ml)
    return LesionTruth(
        subtype=spec.subtype,
        subtle=spec.subtle,
        law=spec.law,
        variant=spec.variant,
        lobes=lobes,
        side=side,
        centre_mm=lesion.centre_mm,
        volume_ml=volume_ml,
        white_share=float((lesion.border_mm[mask] > 0).mean()),
        contrast_sd=spec.contrast_sd,
        flair_change_sd=flair.change_sd,
        flair_cortex_sd=flair.cortex_sd,
        flair_below_sd=flair.below_sd,
        flair_ring_z=flair.ring_z,
        t1w_change_sd=t1w.change_sd,
        t1w_ring_z=t1w.ring_z,
        visibility=float(flair.change_sd * volume_ml ** (1 / 3)),
        difficulty=spec.preset,
        tail=bool((lesion.tail >= 0.5).any()),
        at_bottom=spec.at_bottom,
        mri_negative=spec.mri_negative,
    )
