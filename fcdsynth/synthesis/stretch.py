"""How far the codes of lesions are spread, so that drawn lesions differ as much as real ones.

A code carries part of what makes lesions differ; the network draws the mean of the rest, and
lesions drawn by the codes of real ones differ less than these. How much less is measured on the
training lesions, each redrawn with the code of another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fcdsynth.synthesis.conditions import (
    LESION,
    REGION,
    TISSUES,
    blanked,
    to_prepared,
)
from fcdsynth.synthesis.contrasts import Contrasts, ring_contrasts
from fcdsynth.synthesis.networks import Generator

LEAST_LESIONS = 8  # a standard deviation of fewer says nothing
TRIED = (1.0, 1.25, 1.5, 1.75, 2.0)
_DEALS = 2


def stretched(
    codes: NDArray[np.float64], centre: NDArray[np.float64], stretch: float
) -> NDArray[np.float64]:
    """Codes farther from a centre by a factor; shape (..., code), the centre's (code,)."""
    return np.asarray(centre + stretch * (codes - centre))


def best_stretch(tried: Sequence[float], ratios: NDArray[np.float64]) -> float:
    """The factor at which drawn lesions vary as much as real ones.

    Args:
        tried: Factors in rising order.
        ratios: SD of drawn over SD of real contrasts, shape (factor, contrast), above 0.

    Returns:
        Where the squared logarithms, in between interpolated, have their least sum over contrasts.
    """
    fine = np.linspace(tried[0], tried[-1], 101)
    logs = np.stack([np.interp(fine, tried, column) for column in np.log(ratios).T])
    return round(float(fine[np.square(logs).sum(0).argmin()]), 4)


@torch.no_grad()
def stretch_of(
    generator: Generator, lesions: Iterable[tuple[Tensor, Tensor]], codes: NDArray[np.float64]
) -> float:
    """Measure it on the training lesions.

    Args:
        generator: The averaged generator.
        lesions: True image in [-1, 1] and labels of a patch around each, batches of one; asked
            for once, and not kept.
        codes: Mean code of each, shape (lesion, code).

    Returns:
        At least 1; 1 where lesions are few.
    """
    if len(codes) < LEAST_LESIONS:
        return 1.0
    given = [stretched(codes, codes.mean(0), factor) for factor in TRIED]
    real: list[Contrasts] = []
    drawn: list[list[Contrasts]] = [[] for _ in TRIED]
    for place, (image, labels) in enumerate(lesions):
        real.append(_contrasts(image, labels))
        source = torch.Generator().manual_seed(place)
        noise = generator.draw_noise(1, image.shape[2:], source).to(image)
        context, region = blanked(image, labels), labels[:, REGION : REGION + 1]
        for rows, those in zip(drawn, given, strict=True):
            for shift in range(1, _DEALS + 1):
                code = torch.tensor(those[(place + shift) % len(those)]).to(image)[None]
                _, fake = generator(context, labels, code, noise)
                rows.append(_contrasts(image + region * (fake - image), labels))
    return best_stretch(TRIED, np.stack([_spread(rows) for rows in drawn]) / _spread(real))


def _contrasts(image: Tensor, labels: Tensor) -> Contrasts:
    shown, told = to_prepared(image[0]).float().cpu().numpy(), labels[0].cpu().numpy()
    tissue = told[:TISSUES].argmax(0)
    return ring_contrasts(shown, told[LESION] > 0, told[REGION] > 0, tissue)


def _spread(rows: Sequence[Contrasts]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(np.nanstd(np.asarray(rows, dtype=float), axis=0), 1e-6))
