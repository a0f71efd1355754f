"""From evidence to probability: against controls, then by a logistic from validation subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import minimize
from scipy.special import expit

from fcdsynth.core.volume import Volume

LEAST_CONTROLS = 5
# Of 35 simulated controls at 2 mm: median 5.1, robust SD 0.53, with the weights as they are.
_HEIGHT, _SPREAD, _LEAST_SPREAD = 5.0, 0.5, 0.25
_MAD_TO_SD = 1.4826
_OUTSIDE = -20.0
_APART_MM = 10.0
_PEAKS = 20


@dataclass(frozen=True)
class Standard:
    """What turns evidence into log odds: ``slope * (evidence - height) / spread + intercept``.

    Args:
        height: Evidence at the highest place of a typical control.
        spread: Robust SD of that between controls.
        slope: Of the logistic.
        intercept: Of the logistic; as it is by default, a place as evident as the highest of a
            typical control gets one half.
    """

    height: float = _HEIGHT
    spread: float = _SPREAD
    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def of_controls(cls, heights: Sequence[float]) -> Standard:
        """From the controls' largest evidence; by default values when there are fewer than 5.

        Median and 1.4826 times the median absolute deviation, the latter at least 0.25: a few
        controls may be alike by chance.
        """
        if len(heights) < LEAST_CONTROLS:
            return cls()
        middle = float(np.median(heights))
        spread = _MAD_TO_SD * float(np.median(np.abs(np.asarray(heights) - middle)))
        return cls(middle, max(spread, _LEAST_SPREAD))

    def logits(self, evidence: Volume) -> NDArray[np.float32]:
        """Log odds, float32, (x, y, z); -20 where there is no evidence (NaN)."""
        above = (evidence.array - self.height) / self.spread
        odds = np.clip(self.slope * above + self.intercept, _OUTSIDE, -_OUTSIDE)
        return np.nan_to_num(odds, nan=_OUTSIDE).astype(np.float32)

    def probability(self, evidence: Volume) -> Volume:
        """Pseudo-probability, float32 in [0, 1]; 0 where there is no evidence (NaN)."""
        known = np.isfinite(evidence.array)
        return Volume(
            np.where(known, expit(self.logits(evidence)), 0).astype(np.float32), evidence.grid
        )

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)


def highest_peaks(
    logits: NDArray[np.float32], brain: NDArray[np.bool_], spacing_mm: Sequence[float]
) -> NDArray[np.int64]:
    """Voxels that stand highest within 5 mm to each side, the 20 highest of them.

    Args:
        logits: (x, y, z).
        brain: Where to look, (x, y, z).
        spacing_mm: Voxel size.

    Returns:
        Voxel indices, shape (n, 3), highest first.
    """
    size = [2 * max(round(_APART_MM / 2 / mm), 1) + 1 for mm in spacing_mm]
    top = ndimage.maximum_filter(np.where(brain, logits, -np.inf), size, mode="nearest")
    found = np.argwhere(brain & (logits == top))
    order = np.argsort(-logits[tuple(found.T)], kind="stable")
    return np.asarray(found[order[:_PEAKS]])


def fit_logistic(
    values: NDArray[np.floating], hits: NDArray[np.bool_]
) -> tuple[float, float] | None:
    """Slope and intercept that turn a peak's log odds into those of lying in a lesion.

    Platt (1999), with his softened targets, as validation lesions are few. The slope is kept
    within 0.1 to 10, so that a higher peak never counts less.

    Args:
        values: Heights of peaks, shape (n,).
        hits: Whether each lies in a lesion.

    Returns:
        Slope and intercept; None where all peaks or no peaks are hits.
    """
    positive, negative = int(hits.sum()), int((~hits).sum())
    if not positive or not negative:
        return None
    target = np.where(hits, (positive + 1) / (positive + 2), 1 / (negative + 2))
    x = values.astype(np.float64)

    def loss(parameters: NDArray[np.float64]) -> float:
        odds = np.exp(parameters[0]) * x + parameters[1]
        return float(np.mean(np.logaddexp(0, odds) - target * odds))

    limits = ((np.log(0.1), np.log(10.0)), (-30.0, 30.0))
    best = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=limits)
    return round(float(np.exp(best.x[0])), 4), round(float(best.x[1]), 4)
