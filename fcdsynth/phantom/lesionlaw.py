"""Draw lesions and their outlines from a world, a difficulty and a kind of annotator."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fcdsynth.phantom.annotator import AnnotatorSpec, Reader, draw_annotator, draw_reader
from fcdsynth.phantom.difficulty import PRESETS, Difficulty
from fcdsynth.phantom.lesionspec import LesionSpec
from fcdsynth.phantom.world import BONN, VARIANTS, World

SMALL_ML = 3.0  # Besson and Bernasconi (2006) found the small lesions below 3.09 ml
SMALLEST_ML = 0.15
_QUANTILE_DRAWS = 4000
_SUBTLE = 0.45  # the part of the range of contrasts that subtle lesions keep to
_FULL_BORDER_SD = 2.0  # contrast from which thickening and blurring have their full range


_ANY_READER = draw_reader(0, 1)


@dataclass(frozen=True)
class LesionLaw:
    """What decides about lesions and their outlines.

    Args:
        difficulty: Contrast, size and blur.
        world: Hidden laws of nature.
        reader: Who outlines.
        error_share: Share of outlines with a planted error.
        mix: Which errors, see `fcdsynth.phantom.annotator.MIXES`.
        dealt: Error of this patient in the mix ``dealt``; empty draws one.
    """

    difficulty: Difficulty = PRESETS["study"]
    world: World = BONN
    reader: Reader = _ANY_READER
    error_share: float = 0.0
    mix: str = "none"
    dealt: str = ""

    def overlooked_below(self, site_number: int) -> float:
        """Visibility (SD ml^(1/3)) below which a lesion is overlooked at a scanner.

        The quantile of the law itself that makes the world's share of MRI-negative lesions.
        """
        rng = np.random.default_rng(0)
        volumes_ml, _, contrasts_sd = _draw_visible(rng, self, site_number, _QUANTILE_DRAWS)
        return float(np.quantile(contrasts_sd * np.cbrt(volumes_ml), self.world.negative_share))


@dataclass(frozen=True)
class Disease:
    """What a patient has and what the annotator made of it.

    Args:
        lesion: The lesion.
        second: A second, smaller lesion of some patients.
        annotator: How they were outlined.
    """

    lesion: LesionSpec
    second: LesionSpec | None
    annotator: AnnotatorSpec


def draw_volumes_ml(
    rng: np.random.Generator, n: int, world: World = BONN, factor: float = 1.0
) -> NDArray[np.float64]:
    """Draw from a world's truncated log-normal law, its median times a factor; shape (n,)."""
    low, high = world.volume_range_ml
    kept = np.empty(0)
    while len(kept) < n:
        volumes = world.median_ml * factor * np.exp(world.spread * rng.standard_normal(n))
        kept = np.concatenate([kept, volumes[(low <= volumes) & (volumes <= high)]])
    return kept[:n]


def _draw_visible(
    rng: np.random.Generator, law: LesionLaw, site_number: int, n: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Volumes (ml), whether subtle, and contrasts (SD): what visibility rests on; shape (n,)."""
    volumes_ml = draw_volumes_ml(rng, n, law.world, law.difficulty.size_factor)
    subtle = rng.random(n) < law.world.subtle_share
    at = law.world.contrast_at(site_number)
    place = rng.beta(at.mean * at.concentration, (1 - at.mean) * at.concentration, n)
    low, high = law.difficulty.contrast_sd
    return volumes_ml, subtle, low + (high - low) * place * np.where(subtle, _SUBTLE, 1.0)


def draw_lesion(rng: np.random.Generator, law: LesionLaw, site_number: int = 1) -> LesionSpec:
    """Draw a lesion: place, size, type and looks.

    Lobe and side decide about nothing else, so that they may be replaced afterwards.

    Args:
        rng: Source of randomness.
        law: The laws.
        site_number: Scanner, from 1.
    """
    world = law.world
    volumes_ml, subtles, contrasts_sd = _draw_visible(rng, law, site_number, 1)
    volume_ml, contrast_sd = float(volumes_ml[0]), float(contrasts_sd[0])
    subtle = bool(subtles[0])
    dark = rng.random() < world.contrast_at(site_number).dark_share
    subtype = "IIb" if rng.random() < world.iib_share else "IIa"
    variant = str(rng.choice(VARIANTS)) if world.law == "rebel" else ""
    bottom = world.bottom_small if volume_ml < SMALL_ML else world.bottom_large
    # A border that moves and blurs much changes FLAIR by itself: weak lesions have less of it.
    strength = float(np.clip(contrast_sd / _FULL_BORDER_SD, 0.25, 1.0))
    border = law.difficulty.border_factor * strength * (0.6 if subtle else 1.0)
    shares = np.array(list(world.lobes.values()))
    return LesionSpec(
        lobe=str(rng.choice(list(world.lobes), p=shares / shares.sum())),
        beside="",
        side="L" if rng.random() < world.left_share else "R",
        volume_ml=volume_ml,
        subtype=subtype,
        subtle=subtle,
        law=world.law,
        variant=variant,
        contrast_sd=contrast_sd,
        t1w_sd=float(-contrast_sd * rng.uniform(0.05, 0.35)),
        cortex_share=float(-rng.uniform(0.4, 1.0) if dark else rng.uniform(0.2, 1.0)),
        # Balloon cells (IIb) shine below the cortex; type IIa changes the cortex itself.
        below_share=float(rng.uniform(0.7, 1.0) if subtype == "IIb" else rng.uniform(0.2, 0.8)),
        thickening_mm=float(rng.uniform(0.3, 1.8)) * border,
        blur_mm=float(rng.uniform(0.6, 2.4)) * border,
        tail=bool(rng.random() < world.tail_share and subtype == "IIb" and not subtle),
        roughness=float(rng.uniform(0.3, 0.8)),
        # Two banks that face each other across a sulcus are its walls, not its bottom.
        at_bottom=bool(rng.random() < bottom and variant != "across"),
        mri_negative=bool(contrast_sd * volume_ml ** (1 / 3) < law.overlooked_below(site_number)),
        preset=law.difficulty.name,
        seed=int(rng.integers(2**31)),
    )


def _draw_smaller(
    rng: np.random.Generator, law: LesionLaw, site_number: int, first: LesionSpec
) -> LesionSpec:
    """A second lesion on the side of the first, a quarter to six tenths of its volume."""
    drawn = draw_lesion(rng, law, site_number)
    volume_ml = max(first.volume_ml * float(rng.uniform(0.25, 0.6)), SMALLEST_ML)
    return replace(drawn, side=first.side, subtype=first.subtype, volume_ml=volume_ml, tail=False)


def draw_disease(rng: np.random.Generator, law: LesionLaw, site_number: int = 1) -> Disease:
    """Draw a patient's lesions and how they were outlined.

    Args:
        rng: Source of randomness.
        law: The laws.
        site_number: Scanner, from 1.
    """
    lesion = draw_lesion(rng, law, site_number)
    annotator = draw_annotator(rng, law.error_share, law.mix, law.reader, law.dealt)
    second = _draw_smaller(rng, law, site_number, lesion)
    false = _draw_smaller(rng, law, site_number, lesion)
    has_second = rng.random() < law.world.second_share or annotator.error == "missed"
    if annotator.error == "false":
        annotator = replace(annotator, false_lesion=false)
    return Disease(lesion, second if has_second else None, annotator)
