"""Intervals of 95 %: Wilson, quasi-Poisson, DeLong, and the bootstrap over subjects.

How they cover with few subjects or with families is simulated in
``benchmarks/evaluation_simulations.py``; the corrections below are those that made them hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from fcdsynth.evaluation.statistics.delong import area_variance, influence
from fcdsynth.evaluation.statistics.resampling import Freedom

LEVEL = 0.95
# With fewer units the range of all bootstrap samples covers less than 95 %: 1 - 2 / 2^5 = 94 %.
_FEW_UNITS = 6


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
ONE_UNIT = Interval(None, None, "none: nothing varies independently")


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


def bootstrap_ratio(tops: ArrayLike, bottoms: ArrayLike, counts: NDArray[np.float64]) -> Interval:
    """Bootstrap (Efron 1979) of a ratio of sums over subjects.

    Bias-corrected and accelerated percentiles (BCa, Efron 1987), which follow skewness, expanded
    for small samples (Hesterberg 2015), as the lost degrees of freedom would make them too
    narrow. With fewer than six subjects or families, whose samples cannot reach far enough, the
    bootstrap's standard error and Student's t instead.

    Args:
        tops: Numerator of each subject, shape (n,).
        bottoms: Denominator of each subject, shape (n,).
        counts: What `resampling_counts` gave, shape (draws, n).

    Returns:
        No interval when fewer than two subjects or families contribute, or when half of the
        samples have no denominator.
    """
    top, bottom = np.asarray(tops, dtype=float), np.asarray(bottoms, dtype=float)
    known = Freedom.of(bottom, counts)
    if known.units < 2 or known.degrees <= 0:
        return ONE_UNIT if known.families else NO_INTERVAL
    values = _ratios(top, bottom, counts)
    if values is None:
        return NO_INTERVAL
    value = float(top.sum() / bottom.sum())
    if known.units >= _FEW_UNITS:
        left = known.without_each(np.stack([top, bottom], axis=1))
        return _bca(value, values, left[:, 0] / left[:, 1], known)
    half = _t(known) * float(values.std()) / np.sqrt(known.shrink)
    # A mean of shares is a share, a mean of differences of shares no more than one apart.
    least, most = (-1.0, 1.0) if (np.abs(top) <= bottom).all() else (-np.inf, np.inf)
    least = 0.0 if (top >= 0).all() else least
    low, high = np.clip([value - half, value + half], least, most)
    return Interval(float(low), float(high), f"bootstrap error over {known.noun}, Student's t")


def bootstrap_of(
    sums: ArrayLike,
    counts: NDArray[np.float64],
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Interval:
    """Bootstrap of any statistic that is computed from sums over subjects.

    BCa percentiles as in `bootstrap_ratio`; the bias correction matters here: an expected
    calibration error, for example, tends to be larger in resampled than in whole data.

    Args:
        sums: What each subject contributes, shape (n, k); subjects of nothing but zeros do not
            count as units.
        counts: What `resampling_counts` gave, shape (draws, n).
        statistic: From summed contributions, shape (draws, k), to values, shape (draws,); NaN
            where a sample gives none.

    Returns:
        No interval with fewer than six subjects or families, without a value, or when half of
        the samples have none.
    """
    table = np.asarray(sums, dtype=float)
    known = Freedom.of(table.any(axis=1).astype(float), counts)
    if known.units < _FEW_UNITS or known.degrees <= 0:
        return ONE_UNIT if known.families and known.units < 2 else NO_INTERVAL
    value = float(statistic(table.sum(axis=0, keepdims=True))[0])
    values = statistic(counts @ table)
    usable = np.isfinite(values)
    if not np.isfinite(value) or usable.mean() < 0.5:
        return NO_INTERVAL
    return _bca(value, values[usable], statistic(known.without_each(table)), known)


def clustered_proportion(
    tops: ArrayLike, bottoms: ArrayLike, counts: NDArray[np.float64]
) -> Interval:
    """Interval of a proportion whose units may hang together within subjects or families.

    Wilson's interval. Plain for one trial a subject and no families. Otherwise with the
    effective number of trials: n divided by the design effect (Kish 1965; at least 1, as Korn &
    Graubard 1998), the variance being the bootstrap's, and Student's t in place of the normal
    quantile (Dean & Pagano 2015). Where all or none succeed, no variance can be seen: there
    with the number of contributing subjects or families as n, which is on the wide side; the
    same when all come from one family.

    Args:
        tops: Successes of each subject, shape (n,).
        bottoms: Trials of each subject, shape (n,): lesions, clusters, or the subject itself.
        counts: What `resampling_counts` gave, shape (draws, n).
    """
    top, bottom = np.asarray(tops, dtype=float), np.asarray(bottoms, dtype=float)
    n = float(bottom.sum())
    known = Freedom.of(bottom, counts)
    if not n:
        return NO_INTERVAL
    if not known.families and bottom.max() <= 1:
        return wilson(round(top.sum()), round(n))
    share = float(top.sum()) / n
    values = _ratios(top, bottom, counts)
    if share in (0.0, 1.0) or values is None or known.units < 2 or known.degrees <= 0:
        low, high = _score(share, known.units, _Z)
        return Interval(low, high, f"Wilson on {known.noun}")
    effect = max(1.0, float(values.var()) / known.shrink * n / (share * (1 - share)))
    low, high = _score(share, n / effect, _t(known))
    return Interval(low, high, f"Wilson with effective n over {known.noun}")


def mean_count(values: ArrayLike, counts: NDArray[np.float64]) -> Interval:
    """Interval of a mean count per subject.

    The score interval of a quasi-Poisson mean: like Wilson's it is never below 0 and leans to
    the long side, where percentiles of such skewed counts are too short. The dispersion (at
    least 1, Poisson's own) is the bootstrap variance over the mean, the quantile Student's t.
    When every count is 0, the exact Poisson interval (Garwood 1936) with the number of subjects
    or families as n.

    Args:
        values: Count of each subject, shape (n,).
        counts: What `resampling_counts` gave, shape (draws, n).
    """
    array = np.asarray(values, dtype=float)
    if not array.size:
        return NO_INTERVAL
    ones = np.ones_like(array)
    known = Freedom.of(ones, counts)
    if not array.any():
        high = float(stats.chi2.ppf((1 + LEVEL) / 2, 2) / 2 / max(known.units, 1))
        return Interval(0.0, high, f"exact Poisson{' on families' if known.families else ''}")
    drawn = _ratios(array, ones, counts)
    if drawn is None or known.units < 2 or known.degrees <= 0:
        return ONE_UNIT if known.families else NO_INTERVAL
    mean = float(array.mean())
    dispersion = max(1.0, float(drawn.var()) / known.shrink * array.size / mean)
    reach = _t(known) ** 2 * dispersion / array.size
    middle, half = mean + reach / 2, np.sqrt(reach * mean + reach**2 / 4)
    method = f"quasi-Poisson score, bootstrap variance over {known.noun}"
    return Interval(float(middle - half), float(middle + half), method)


def auroc(
    positives: ArrayLike, negatives: ArrayLike, families: Sequence[str] | None = None
) -> tuple[float | None, Interval]:
    """Area under the ROC curve with DeLong's interval (DeLong et al. 1988).

    Args:
        positives: Scores of patients, shape (m,).
        negatives: Scores of controls, shape (n,).
        families: Family of each patient, then of each control; empty for one on its own. With
            families the variance is Obuchowski's (1997).

    Returns:
        The area, None when a group is empty, and its interval on the logit scale; no interval
        with fewer than two subjects in a group, two families, or at an area of 0 or 1.
    """
    if not np.size(positives) or not np.size(negatives):
        return None, NO_INTERVAL
    area, patients, controls = influence(positives, negatives)
    if min(patients.size, controls.size) < 2 or area in (0.0, 1.0):
        return area, NO_INTERVAL
    grouped = families is not None and any(families)
    if grouped and "" not in families and len(set(families)) < 2:  # type: ignore[operator,arg-type]
        return area, ONE_UNIT
    variance = area_variance(patients, controls, families)
    half = _Z * np.sqrt(variance) / (area * (1 - area))
    logit = np.log(area / (1 - area))
    ends = 1 / (1 + np.exp(-(logit + np.array([-half, half]))))
    name = "DeLong by family, logit scale" if grouped else "DeLong, logit scale"
    return area, Interval(float(ends[0]), float(ends[1]), name)


_Z = float(stats.norm.ppf((1 + LEVEL) / 2))


def _t(known: Freedom) -> float:
    return float(stats.t.ppf((1 + LEVEL) / 2, known.degrees))


def _ratios(
    top: NDArray[np.float64], bottom: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """The ratio in each sample that has one; None when fewer than half of them have."""
    below = counts @ bottom
    usable = below > 0
    return (counts @ top)[usable] / below[usable] if usable.mean() >= 0.5 else None


def _score(share: float, n: float, quantile: float) -> tuple[float, float]:
    """Wilson's formula for any n, in which a quantile of t may stand for the normal one."""
    width = quantile**2 / n
    middle = (share + width / 2) / (1 + width)
    half = np.sqrt(width * (share * (1 - share) + width / 4)) / (1 + width)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _bca(
    value: float, values: NDArray[np.float64], without: NDArray[np.float64], known: Freedom
) -> Interval:
    """Expanded BCa percentiles.

    Args:
        value: The statistic of the whole sample.
        values: Of the bootstrap samples.
        without: Without each unit in turn (jackknife), for the acceleration.
        known: Degrees of freedom and what the bootstrap's variance lacks.
    """
    edge = 0.5 / len(values)
    below = (values < value).mean() + (values == value).mean() / 2
    bias = float(stats.norm.ppf(np.clip(below, edge, 1 - edge)))
    pulls = without.mean() - without
    spread = float((pulls**2).sum())
    skew = float((pulls**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    reach = bias + _t(known) / np.sqrt(known.shrink) * np.array([-1, 1])
    levels = stats.norm.cdf(bias + reach / np.maximum(1 - skew * reach, 0.1))
    low, high = np.percentile(values, 100 * levels)
    return Interval(
        min(float(low), value), max(float(high), value), f"BCa bootstrap over {known.noun}"
    )  # fmt: skip
