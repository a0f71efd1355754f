"""Bright places on FLAIR that are no lesions, drawn: caps, spots and regions of bright cortex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REGIONS = ("insula", "cingulate", "hippocampus")
_SPOTTED = 0.4  # share of subjects with white matter spots


@dataclass(frozen=True)
class Spot:
    """A punctate bright focus of the white matter.

    Args:
        radius_mm: Its radius.
        flair: Rise of the brightness on FLAIR, relative to white matter.
        t1w: Change on T1w, relative to white matter.
    """

    radius_mm: float
    flair: float
    t1w: float


@dataclass(frozen=True)
class MimicSpec:
    """Bright places of one healthy or ill brain.

    Args:
        caps: Rise of the brightness on FLAIR around the ventricles, relative to white matter.
        cap_mm: How far it reaches at the horns; the rim elsewhere is a fifth as wide.
        spots: Foci in the white matter.
        regions: Rise of the grey matter on FLAIR by region and side, such as ``insula L``.
        seed: Seed of shapes and places.
    """

    caps: float
    cap_mm: float
    spots: tuple[Spot, ...]
    regions: dict[str, float]
    seed: int


def draw_mimics(rng: np.random.Generator) -> MimicSpec:
    """Draw the bright places of one subject; patients and controls follow one law."""
    number = 1 + min(int(rng.geometric(0.3)), 9) if rng.random() < _SPOTTED else 0
    regions = {}
    for name in REGIONS:
        both = rng.normal(0.12, 0.04)
        for side in ("L", "R"):
            regions[f"{name} {side}"] = float(both + rng.normal(0, 0.025))
    return MimicSpec(
        caps=float(rng.uniform(0.1, 0.6)),
        cap_mm=float(rng.uniform(1.5, 5.5)),
        spots=tuple(
            Spot(float(rng.uniform(1.2, 3.2)), float(rng.uniform(0.35, 0.9)),
                 float(rng.uniform(-0.25, -0.05)))
            for _ in range(number)
        ),
        regions=regions,
        seed=int(rng.integers(2**31)),
    )  # fmt: skip
