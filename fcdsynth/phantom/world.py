"""Hidden worlds: what is true of the lesions of a phantom and told to nobody.

A method that was tuned on one law of nature must prove itself under others. Each world draws
its own laws of size, place, look and shape; none of its shape laws grows a lesion along the
cortex, which is what stage 1 does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fcdsynth.core.errors import SettingsError
from fcdsynth.measure.lobes import BONN_LOBES, BONN_SIDES

LAWS = ("field", "funnel", "rebel")
VARIANTS = ("across", "patchy", "deep")
_SITES = 8  # contrast laws; further scanners take them in turn
_BONN_LOBE_SHARES = {k: v / sum(BONN_LOBES.values()) for k, v in BONN_LOBES.items()}
_BONN_LEFT = BONN_SIDES["L"] / sum(BONN_SIDES.values())


@dataclass(frozen=True)
class ContrastLaw:
    """How strong lesions are at one scanner.

    Args:
        mean: Mean place of the contrast within the range of the preset, 0 to 1.
        concentration: Sum of the two parameters of the beta law around that mean.
        dark_share: Share of lesions with a mid-cortex darker than normal on FLAIR.
    """

    mean: float
    concentration: float
    dark_share: float


@dataclass(frozen=True)
class World:
    """Hidden hyperparameters of one world.

    Args:
        seed: Seed they were drawn from; -1 for the figures of Bonn and MELD as published.
        law: Shape law, one of `LAWS`.
        median_ml: Median volume of lesions.
        spread: Standard deviation of the natural logarithm of the volume.
        volume_range_ml: Smallest and largest volume; the law is cut there.
        lobes: Probability of each lobe code.
        left_share: Probability of the left side.
        iib_share: Share of type IIb.
        tail_share: Share of IIb lesions with a transmantle band.
        subtle_share: Share of subtle lesions.
        bottom_small: Share of lesions below 3 ml that lie at the bottom of a sulcus.
        bottom_large: The same for the others.
        negative_share: Share of lesions that a radiologist overlooks.
        second_share: Share of patients with a second, smaller lesion.
        contrasts: Contrast law by scanner; scanner n has the law n - 1, taken in turn.
    """

    seed: int
    law: str
    median_ml: float
    spread: float
    volume_range_ml: tuple[float, float]
    lobes: Mapping[str, float]
    left_share: float
    iib_share: float
    tail_share: float
    subtle_share: float
    bottom_small: float
    bottom_large: float
    negative_share: float
    second_share: float
    contrasts: tuple[ContrastLaw, ...]

    def contrast_at(self, site_number: int) -> ContrastLaw:
        """Contrast law of a scanner, numbered from 1."""
        return self.contrasts[(site_number - 1) % len(self.contrasts)]


# The published figures: sizes of MELD (Spitzer et al. 2022: areas turned into volumes), lobes,
# sides, histology and readings of ds004199 (Schuch et al. 2023), transmantle sign of Mellerio
# et al. (2012), small lesions at the bottom of a sulcus of Besson and Bernasconi (2006).
BONN = World(
    seed=-1, law="field", median_ml=2.8, spread=1.25, volume_range_ml=(0.3, 20.0),
    lobes=_BONN_LOBE_SHARES, left_share=_BONN_LEFT, iib_share=34 / 50, tail_share=0.64,
    subtle_share=0.25, bottom_small=13 / 16, bottom_large=0.5, negative_share=7 / 85,
    second_share=0.08, contrasts=(ContrastLaw(0.5, 2.0, 0.12),),
)  # fmt: skip


def draw_world(seed: int) -> World:
    """Draw a world around the published figures.

    The shape law goes by ``seed % 3``, so that three neighbouring seeds cover all three; all
    other numbers are random.

    Args:
        seed: 0 or more.

    Raises:
        SettingsError: If the seed is negative.
    """
    if seed < 0:
        raise SettingsError("world", str(seed), "0 or more", "Give another seed.")
    rng = np.random.default_rng([seed, 77])

    def near(share: float, weight: float) -> float:
        return float(rng.beta(share * weight, (1 - share) * weight))

    shares = rng.dirichlet([40 * v for v in _BONN_LOBE_SHARES.values()])
    mean = rng.uniform(0.3, 0.6)
    contrasts = tuple(
        ContrastLaw(
            float(np.clip(mean + rng.normal(0, 0.08), 0.15, 0.8)),
            float(rng.uniform(2.0, 5.0)),
            near(0.15, 20),
        )
        for _ in range(_SITES)
    )
    return World(
        seed=seed,
        law=LAWS[seed % len(LAWS)],
        median_ml=float(rng.uniform(1.5, 5.0)),
        spread=float(rng.uniform(0.8, 1.3)),
        volume_range_ml=(0.2, 35.0),
        lobes=dict(zip(_BONN_LOBE_SHARES, (float(v) for v in shares), strict=True)),
        left_share=near(_BONN_LEFT, 60),
        iib_share=near(34 / 50, 30),
        tail_share=near(0.64, 20),
        subtle_share=float(rng.uniform(0.15, 0.4)),
        bottom_small=near(13 / 16, 60),
        bottom_large=float(rng.uniform(0.35, 0.65)),
        negative_share=near(7 / 85, 60),
        second_share=near(0.08, 60),
        contrasts=contrasts,
    )
