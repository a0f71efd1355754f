"""A lesion before it meets a brain: every number that was drawn for it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LesionSpec:
    """A lesion before it meets a brain.

    Args:
        lobe: Code as in ds004199 (``FL``, ``PL``, ``TL``, ``OL``, ``IL``) of its centre.
        beside: Another lobe that the centre lies next to, for a lesion that spans both; or empty.
        side: ``L`` or ``R``.
        volume_ml: Wanted volume; the achieved one is in the truth.
        subtype: ``IIa`` or ``IIb``.
        subtle: Whether contrast, thickening and blurring are slight.
        law: Shape law, one of `fcdsynth.phantom.world.LAWS`.
        variant: For ``rebel`` shapes ``across``, ``patchy`` or ``deep``; empty otherwise.
        contrast_sd: Mean FLAIR change over the lesion in robust standard deviations of the
            healthy tissue around, counted towards dark in a mid-cortex that is darkened and
            towards bright elsewhere; above 0.
        t1w_sd: Mean T1w change in the same unit, beside what thickening and blurring change.
        cortex_share: FLAIR change at mid-cortex relative to the strongest, -1 to 1; negative
            for a mid-cortex darker than normal.
        below_share: FLAIR rise below the cortex relative to the strongest, 0 to 1.
        thickening_mm: How far the grey-white border moves into the white matter.
        blur_mm: Width of the blurred border.
        tail: Whether a transmantle band runs to the ventricle.
        roughness: Size of the random field against the envelope.
        at_bottom: Whether the centre lies at the bottom of a sulcus.
        mri_negative: Whether a radiologist would report nothing.
        preset: Name of the difficulty preset it was drawn under.
        seed: Seed of place and shape.
    """

    lobe: str
    beside: str
    side: str
    volume_ml: float
    subtype: str
    subtle: bool
    law: str
    variant: str
    contrast_sd: float
    t1w_sd: float
    cortex_share: float
    below_share: float
    thickening_mm: float
    blur_mm: float
    tail: bool
    roughness: float
    at_bottom: bool
    mri_negative: bool
    preset: str
    seed: int

    @property
    def visibility(self) -> float:
        """Contrast times the cube root of the volume, SD ml^(1/3)."""
        return float(self.contrast_sd * self.volume_ml ** (1 / 3))
