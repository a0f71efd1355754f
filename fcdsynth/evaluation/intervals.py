"""Intervals of 95 %: Wilson, exact Poisson, DeLong, and the bootstrap over subjects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval.

    Args:
        low: Lower end, None where there is no interval.
        high: Upper end, None where there is no interval.
        method: How it was made.
    """

    low: float | None
    high: float | None
    method: str


NO_INTERVAL = Interval(None, None, "none")


def wilson(count: int, n: int) -> Interval:
    """Wilson score interval (Wilson 1927) of a proportion of independent subjects.

    Args:
        count: Successes.
        n: Trials.

    Example:
        >>> low_high = wilson(22, 61)
        >>> f"{low_high.low:.3f} {low_high.high:.3f}"
        '0.252 0.486'
    """
    if n == 0:
        return NO_INTERVAL
    low, high = proportion_confint(count, n, alpha=1 - LEVEL, method="wilson")
    return Interval(float(low), float(high), "Wilson")


def strata_of(labels: Sequence[tuple[str, str]]) -> NDArray[np.intp]:
    """Number the strata of a bootstrap.

    A stratum of one subject would never vary, so that such strata are pooled within their
    group, and with the group's smallest other stratum where one alone is left over.

    Args:
        labels: Group and site of each subject.

    Returns:
        Stratum of each subject, shape (n,).
    """
    names = list(labels)
    sizes = Counter(names)
    names = [(g, "(pooled)") if sizes[g, s] == 1 else (g, s) for g, s in names]
    sizes = Counter(names)
    for group in {g for g, _ in names}:
        others = sorted((n, s) for (g, s), n in sizes.items() if g == group and s != "(pooled)")
        if sizes[group, "(pooled)"] == 1 and others:
            host = (group, others[0][1])
            names = [host if name == (group, "(pooled)") else name for name in names]
    _, numbers = np.unique([f"{g}\t{s}" for g, s in names], return_inverse=True)
    return np.asarray(numbers, dtype=np.intp)


def resampling_counts(strata: NDArray[np.intp], draws: int, seed: int) -> NDArray[np.float64]:
    """How often each subject occurs in each bootstrap sample.

    Args:
        strata: Stratum of each subject, shape (n,).
        draws: Number of bootstrap samples.
        seed: Seed.

    Returns:
        Counts, shape (draws, n); each stratum keeps its size in every sample.
    """
    rng = np.random.default_rng([seed, 1])
    counts = np.zeros((draws, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        counts[:, members] = rng.multinomial(
            len(members), np.full(len(members), 1 / len(members)), size=draws
        )
    return counts


def bootstrap_ratio(tops: ArrayLike, bottoms: ArrayLike, counts: NDArray[np.float64]) -> Interval:
    """Percentile bootstrap (Efron 1979) of a ratio of sums over subjects.

    Args:
        tops: Numerator of each subject, shape (n,).
        bottoms: Denominator of each subject, shape (n,).
        counts: What `resampling_counts` gave, shape (draws, n).

    Returns:
        No interval when fewer than two subjects contribute, or when half of the samples have
        no denominator.
    """
    top, bottom = np.asarray(tops, dtype=float), np.asarray(bottoms, dtype=float)
    if np.count_nonzero(bottom) < 2:
        return NO_INTERVAL
    below = counts @ bottom
    usable = below > 0
    if usable.mean() < 0.5:
        return NO_INTERVAL
    low, high = _percentiles((counts @ top)[usable] / below[usable])
    return Interval(low, high, "bootstrap over subjects")


def clustered_proportion(
    tops: ArrayLike, bottoms: ArrayLike, counts: NDArray[np.float64]
) -> Interval:
    """Interval of a proportion whose units (lesions, clusters) are nested in subjects.

    The subject bootstrap, but a proportion of 0 or 1 would get no width: there Wilson's
    interval with the number of contributing subjects as n, which is on the wide side.

    Args:
        tops: Successes of each subject, shape (n,).
        bottoms: Units of each subject, shape (n,).
        counts: What `resampling_counts` gave, shape (draws, n).
    """
    top, bottom = np.asarray(tops, dtype=float), np.asarray(bottoms, dtype=float)
    if bottom.sum() > 0 and top.sum() in (0, bottom.sum()):
        n = int(np.count_nonzero(bottom))
        edge = wilson(n if top.sum() else 0, n)
        return Interval(edge.low, edge.high, "Wilson on subjects")
    return bootstrap_ratio(top, bottom, counts)


def mean_count(values: ArrayLike, counts: NDArray[np.float64]) -> Interval:
    """Interval of a mean count per subject.

    The subject bootstrap; when every count is 0, the exact Poisson interval (Garwood 1936).

    Args:
        values: Count of each subject, shape (n,).
        counts: What `resampling_counts` gave, shape (draws, n).
    """
    array = np.asarray(values, dtype=float)
    if array.size and not array.any():
        high = float(stats.chi2.ppf((1 + LEVEL) / 2, 2) / 2 / array.size)
        return Interval(0.0, high, "exact Poisson")
    return bootstrap_ratio(array, np.ones_like(array), counts)


def auroc(positives: ArrayLike, negatives: ArrayLike) -> tuple[float | None, Interval]:
    """Area under the ROC curve with DeLong's interval (DeLong et al. 1988).

    Args:
        positives: Scores of patients, shape (m,).
        negatives: Scores of controls, shape (n,).

    Returns:
        The area, None when a group is empty, and its interval on the logit scale; no interval
        with fewer than two subjects in a group or at an area of 0 or 1.
    """
    x, y = np.asarray(positives, dtype=float), np.asarray(negatives, dtype=float)
    if not x.size or not y.size:
        return None, NO_INTERVAL
    wins = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
    area = float(wins.mean())
    if min(x.size, y.size) < 2 or area in (0.0, 1.0):
        return area, NO_INTERVAL
    variance = wins.mean(1).var(ddof=1) / x.size + wins.mean(0).var(ddof=1) / y.size
    half = stats.norm.ppf((1 + LEVEL) / 2) * np.sqrt(variance) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    ends = 1 / (1 + np.exp(-(logit + np.array([-half, half]))))
    return area, Interval(float(ends[0]), float(ends[1]), "DeLong, logit scale")


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)
