"""Lesion contrast, synthetic against real: two distributions, and pairs where the mask is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fcdsynth.synthesis.proof.sample import Split, interval

_BOOTSTRAPS = 2000
_QUANTILES = np.linspace(0.05, 0.95, 19)


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval from 2000 bootstrap samples of subjects."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Against:
    """The lesion contrast of one image contrast, in robust SD of the brain.

    Args:
        contrast: Which image.
        n_synthetic: Synthetic lesions with a known contrast.
        n_real: Real ones.
        synthetic: Mean and SD of the synthetic lesions.
        real: Mean and SD of the real ones.
        difference: Synthetic mean less real mean, over the real SD.
        difference_null: 95 % of the same between halves of the real lesions.
        sd_ratio: Synthetic SD over real SD.
        sd_ratio_null: 95 % of the same between halves of the real lesions.
        ks: Kolmogorov-Smirnov statistic.
        ks_p: Its p value, taking lesions as independent.
        quantile_bias: Mean over the 5 to 95 % quantiles of synthetic less real.
        quantile_limits: That mean less and plus 1.96 SD of those differences: limits of
            agreement (Bland and Altman 1986) of the distributions, not of pairs.
    """

    contrast: str
    n_synthetic: int
    n_real: int
    synthetic: tuple[float, float]
    real: tuple[float, float]
    difference: Estimate
    difference_null: tuple[float, float]
    sd_ratio: Estimate
    sd_ratio_null: tuple[float, float]
    ks: float
    ks_p: float
    quantile_bias: float
    quantile_limits: tuple[float, float]


@dataclass(frozen=True)
class Paired:
    """Synthetic contrast beside that of the real lesion whose mask it has.

    Args:
        contrast: Which image.
        n: Pairs.
        bias: Mean difference, synthetic less real, robust SD of the brain.
        limits: Limits of agreement, bias less and plus 1.96 SD of the differences.
        correlation: Pearson's correlation; NaN below 3 pairs.
    """

    contrast: str
    n: int
    bias: Estimate
    limits: tuple[float, float]
    correlation: float


@dataclass(frozen=True)
class Together:
    """Correlation of the T1w and the FLAIR contrast over lesions.

    Args:
        synthetic: Over the synthetic lesions.
        real: Over the real ones.
        gap: Synthetic less real.
        gap_null: 95 % of the same between halves of the real lesions.
    """

    synthetic: Estimate
    real: Estimate
    gap: float
    gap_null: tuple[float, float]


def against(
    contrast: str,
    synthetic: NDArray[np.float64],
    real: NDArray[np.float64],
    splits: Sequence[Split],
    seed: int,
) -> Against | None:
    """Compare two distributions of contrast.

    Args:
        contrast: Which image.
        synthetic: One value a synthetic lesion, NaN where unknown.
        real: One value a real lesion.
        splits: Halves of the real lesions.
        seed: Seed of the bootstrap.

    Returns:
        The comparison; None where either side has fewer than 2 known values.
    """
    a, b = synthetic[~np.isnan(synthetic)], real[~np.isnan(real)]
    if min(len(a), len(b)) < 2:
        return None
    rng = np.random.default_rng([seed, 2])
    draws = [(rng.choice(a, len(a)), rng.choice(b, len(b))) for _ in range(_BOOTSTRAPS)]
    null = [(real[s.other], real[s.reference]) for s in splits]
    gaps = np.quantile(a, _QUANTILES) - np.quantile(b, _QUANTILES)
    spread = 1.96 * float(gaps.std(ddof=1))
    ks = stats.ks_2samp(a, b)
    return Against(
        contrast, len(a), len(b), (float(a.mean()), _sd(a)), (float(b.mean()), _sd(b)),
        Estimate(_apart(a, b), *interval([_apart(*d) for d in draws])),
        interval([_apart(*d) for d in null]),
        Estimate(_ratio(a, b), *interval([_ratio(*d) for d in draws])),
        interval([_ratio(*d) for d in null]),
        float(ks.statistic), float(ks.pvalue), float(gaps.mean()),
        (float(gaps.mean()) - spread, float(gaps.mean()) + spread),
    )  # fmt: skip


def paired(
    contrast: str, synthetic: NDArray[np.float64], real: NDArray[np.float64], seed: int
) -> Paired | None:
    """Compare pairs (Bland and Altman 1986, Lancet).

    Args:
        contrast: Which image.
        synthetic: One value a pair, NaN where unknown.
        real: The real lesion's, same shape.
        seed: Seed of the bootstrap.

    Returns:
        The comparison; None below 2 pairs.
    """
    known = ~(np.isnan(synthetic) | np.isnan(real))
    a, b = synthetic[known], real[known]
    if len(a) < 2:
        return None
    gaps = a - b
    rng = np.random.default_rng([seed, 3])
    means = [float(rng.choice(gaps, len(gaps)).mean()) for _ in range(_BOOTSTRAPS)]
    bias, spread = float(gaps.mean()), 1.96 * _sd(gaps)
    limits = (bias - spread, bias + spread)
    return Paired(contrast, len(a), Estimate(bias, *interval(means)), limits, _related(a, b))


def together(
    synthetic: NDArray[np.float64], real: NDArray[np.float64], splits: Sequence[Split], seed: int
) -> Together:
    """Compare how T1w and FLAIR contrast go together.

    Args:
        synthetic: T1w and FLAIR contrast of synthetic lesions, shape (n, 2), NaN where unknown.
        real: The same of real ones, shape (m, 2).
        splits: Halves of the real lesions.
        seed: Seed of the bootstrap.
    """
    rng = np.random.default_rng([seed, 4])
    sides = []
    for side in (synthetic, real):
        rows = side[~np.isnan(side).any(axis=1)]
        draws = [rows[rng.integers(len(rows), size=len(rows))] for _ in range(_BOOTSTRAPS)] \
            if len(rows) else []  # fmt: skip
        sides.append(Estimate(_of(rows), *interval([_of(d) for d in draws])))
    null = [_of(real[s.other]) - _of(real[s.reference]) for s in splits]
    return Together(sides[0], sides[1], sides[0].value - sides[1].value, interval(null))


def _of(rows: NDArray[np.float64]) -> float:
    rows = rows[~np.isnan(rows).any(axis=1)]
    return _related(rows[:, 0], rows[:, 1])


def _related(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _sd(values: NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def _apart(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    spread = _sd(b)
    return float(a.mean() - b.mean()) / spread if len(a) and spread > 0 else float("nan")


def _ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a[~np.isnan(a)], b[~np.isnan(b)]
    spread = _sd(b)
    return _sd(a) / spread if spread > 0 else float("nan")
