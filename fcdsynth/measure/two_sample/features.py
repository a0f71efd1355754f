"""Feature by feature: Kolmogorov-Smirnov tests and Wasserstein distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats
from statsmodels.stats.multitest import multipletests

from fcdsynth.core.errors import SettingsError
from fcdsynth.measure.two_sample.samples import FEWEST


@dataclass(frozen=True, slots=True)
class FeatureTest:
    """One feature of two samples.

    Args:
        name: Its name.
        n: Values in the first sample, gaps left out.
        m: Values in the second sample.
        ks: Kolmogorov-Smirnov statistic, the largest gap of the cumulated shares; None when
            either sample has fewer than 4 values.
        p: Its p value, taking rows as independent.
        p_holm: The same after Holm's correction over the features; None where p is.
        wasserstein: Wasserstein-1 distance over the pooled standard deviation.
        medians: Median of either sample.
    """

    name: str
    n: int
    m: int
    ks: float | None
    p: float | None
    p_holm: float | None
    wasserstein: float | None
    medians: tuple[float, float] | None


def feature_tests(x: ArrayLike, y: ArrayLike, names: Sequence[str]) -> tuple[FeatureTest, ...]:
    """Compare two samples feature by feature.

    Args:
        x: First sample, shape (n, k); NaN is a gap.
        y: Second sample, shape (m, k).
        names: Names of the k features.

    Raises:
        SettingsError: If shapes and names do not fit.
    """
    left, right = np.asarray(x, float), np.asarray(y, float)
    if left.ndim != 2 or right.ndim != 2 or {left.shape[1], right.shape[1]} != {len(names)}:
        raise SettingsError(
            "samples", f"shapes {left.shape} and {right.shape}, {len(names)} names",
            "two tables with one named column a feature", "Give the same features.",
        )  # fmt: skip
    found = [_one(name, left[:, k], right[:, k]) for k, name in enumerate(names)]
    tested = [test for test in found if test.p is not None]
    holm = multipletests([t.p for t in tested], method="holm")[1] if tested else []
    corrected = {t.name: float(p) for t, p in zip(tested, holm, strict=True)}
    return tuple(
        FeatureTest(t.name, t.n, t.m, t.ks, t.p, corrected.get(t.name), t.wasserstein, t.medians)
        for t in found
    )


def _one(name: str, x: np.ndarray, y: np.ndarray) -> FeatureTest:  # type: ignore[type-arg]
    x, y = x[~np.isnan(x)], y[~np.isnan(y)]
    if min(len(x), len(y)) < FEWEST:
        return FeatureTest(name, len(x), len(y), None, None, None, None, None)
    ks = stats.ks_2samp(x, y)
    # Around the sample means, so that a shift does not widen its own unit.
    variance = (len(x) * x.var() + len(y) * y.var()) / (len(x) + len(y))
    scale = float(np.sqrt(variance))
    distance = float(stats.wasserstein_distance(x, y))
    scaled = distance / scale if scale > 0 else (0.0 if distance == 0 else None)
    medians = (float(np.median(x)), float(np.median(y)))
    return FeatureTest(
        name, len(x), len(y), float(ks.statistic), float(ks.pvalue), None, scaled, medians
    )
