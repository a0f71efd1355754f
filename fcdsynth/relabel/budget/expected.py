"""Expected: how many masks a round's inspections will change, with a 95 % interval.

A reader with error rate e changes a mask that is wrong with probability P with probability

    q = P (1 - e) + (1 - P) e .

Independent masks give a Poisson-binomial number with mean sum(q). P rests on a base rate that all
masks share, and e on few planted errors, so both are drawn anew for each of many simulated rounds:
the base rate from a Beta distribution around the one that P was fitted with, which shifts the
log-odds of every P alike, and e from its own Beta distribution. Doubt about a single P on its own
does not widen the number (a Bernoulli variable with a random P is one with the mean of P); a doubt
that all share does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.relabel.budget.belief import Belief

DRAWS = 4000
_EDGE = 1e-4


@dataclass(frozen=True, slots=True)
class Expected:
    """Numbers of masks.

    Args:
        changed: Masks that the reader is expected to change, false alarms too.
        low: Lower end of the 95 % interval of that.
        high: Upper end.
        errors: Masks that are expected to be wrong and changed: errors confirmed.
        errors_low: Lower end of the 95 % interval of that.
        errors_high: Upper end.
        n: Masks that are inspected, planted ones not among them.
    """

    changed: float
    low: float
    high: float
    errors: float
    errors_low: float
    errors_high: float
    n: int

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "n": self.n,
            "changed": round(self.changed, 3),
            "interval": [self.low, self.high],
            "errors_confirmed": round(self.errors, 3),
            "errors_interval": [self.errors_low, self.errors_high],
        }


def expect(
    p_err: Sequence[float], base: Belief, errs: Belief, seed: int = 0, draws: int = DRAWS
) -> Expected:
    """Expect the outcome of inspections.

    Args:
        p_err: Calibrated P(wrong) of each mask.
        base: Share of wrong masks that ``p_err`` was fitted with, and what it is worth.
        errs: The reader's error rate.
        seed: Seed of the simulated rounds.
        draws: Number of simulated rounds.
    """
    p = np.asarray(p_err, dtype=float)
    if not len(p):
        return Expected(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)
    rng = np.random.default_rng([seed, 7])
    e = errs.mean
    changed = float(np.sum(p * (1 - e) + (1 - p) * e))
    (low, high), (errors_low, errors_high) = (
        np.quantile(counts, [0.025, 0.975], method="nearest")
        for counts in simulate(p, base, errs, rng, draws)
    )
    return Expected(changed, float(low), float(high), float(np.sum(p) * (1 - e)),
                    float(errors_low), float(errors_high), len(p))  # fmt: skip


def simulate(
    p: NDArray[np.float64], base: Belief, errs: Belief, rng: np.random.Generator, draws: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of changed masks, and of wrong ones among them, of simulated rounds: (draws,)."""
    drawn = np.clip(rng.beta(base.a, base.b, draws), _EDGE, 1 - _EDGE)
    shift = _logit(drawn) - _logit(np.clip(base.mean, _EDGE, 1 - _EDGE))
    e = rng.beta(errs.a, errs.b, draws)[:, None]
    shifted = 1 / (1 + np.exp(-(_logit(np.clip(p, _EDGE, 1 - _EDGE))[None] + shift[:, None])))
    wrong = rng.random(shifted.shape) < shifted
    misread = rng.random(shifted.shape) < e
    return (wrong != misread).sum(axis=1), (wrong & ~misread).sum(axis=1)


def _logit(p: Any) -> Any:
    return np.log(p) - np.log1p(-p)
