from itertools import product

import numpy as np
import pytest
from scipy.stats import norm, rankdata

from fcdsynth.evaluation.intervals import (
    NO_INTERVAL,
    auroc,
    bootstrap_ratio,
    clustered_proportion,
    mean_count,
    resampling_counts,
    strata_of,
    wilson,
)
from fcdsynth.evaluation.paired import holm, mcnemar_exact, wilcoxon_signed


@pytest.mark.parametrize(("count", "low", "high"), [(22, 25, 49), (27, 33, 57), (45, 62, 83)])
def test_wilson_of_the_published_arms(count, low, high):
    """Wilson 95 % of 22, 27 and 45 of 61: 25 to 49, 33 to 57, 62 to 83 %."""
    interval = wilson(count, 61)
    assert (round(100 * interval.low), round(100 * interval.high)) == (low, high)


def test_wilson_against_its_formula():
    z = 1.959963984540054
    for k, n in ((0, 5), (3, 7), (9, 9)):
        p = k / n
        centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        interval = wilson(k, n)
        assert interval.low == pytest.approx(centre - half, abs=1e-12)
        assert interval.high == pytest.approx(centre + half, abs=1e-12)
    assert wilson(0, 0) == NO_INTERVAL


def test_mcnemar_by_hand():
    """6 against 1: 2 * (C(7,0) + C(7,1)) / 2^7 = 16/128 = 0.125. 5 against 0: 2/32."""
    assert mcnemar_exact(6, 1) == 0.125
    assert mcnemar_exact(1, 6) == 0.125
    assert mcnemar_exact(5, 0) == pytest.approx(2 / 32)
    assert mcnemar_exact(3, 3) == 1
    assert mcnemar_exact(0, 0) == 1


def _every_sign(values):
    ranks = rankdata(np.abs(values))
    seen = (ranks * np.sign(values)).sum()
    all_sums = [(ranks * signs).sum() for signs in product([-1, 1], repeat=len(values))]
    return np.mean(np.abs(all_sums) >= abs(seen) - 1e-9)


@pytest.mark.parametrize(
    "values",
    [[1.0, 2.0, -3.0, 4.0, 5.0], [1, 1, 1, 2, -1, 2, 0, 0], [1, 1, 1, 1, 1, 1], [-2, 1, 1]],
)
def test_wilcoxon_against_every_sign(values):
    """Oracle: all sign patterns of the ranks of the differences that are not zero."""
    kept = np.array([v for v in values if v], dtype=float)
    assert wilcoxon_signed(values) == pytest.approx(_every_sign(kept))


def test_wilcoxon_of_many_ties_by_its_formula():
    """20 differences, 15 up and 5 down, all of one size: every rank is 10.5.

    W = 52.5, mean 20 * 21 / 4 = 105, variance 20 * 10.5^2 / 4 = 551.25; z = -2.236.
    """
    p = wilcoxon_signed([1.0] * 15 + [-1.0] * 5)
    assert p == pytest.approx(2 * norm.sf(52.5 / np.sqrt(551.25)), rel=1e-6)


def test_wilcoxon_without_a_difference():
    assert wilcoxon_signed([0, 0, 0]) == 1
    assert wilcoxon_signed([]) == 1


def test_holm_by_hand():
    """0.01 * 3, then 0.03 * 2, then max(0.06, 0.04 * 1)."""
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03})
    assert adjusted == pytest.approx({"a": 0.03, "b": 0.06, "c": 0.06})
    assert holm({}) == {}


def test_auroc_by_hand_and_delong_by_its_components():
    """Patients 0.9, 0.4; controls 0.1, 0.4: wins 1, 1, 1, 1/2 of 4 = 0.875."""
    area, interval = auroc([0.9, 0.4], [0.1, 0.4])
    assert area == 0.875
    # Components: patients 1, 0.75; controls 1, 0.75; each variance 0.03125, /2 each.
    half = 1.959963984540054 * np.sqrt(0.03125) / (0.875 * 0.125)
    ends = 1 / (1 + np.exp(-(np.log(7) + np.array([-half, half]))))
    assert (interval.low, interval.high) == pytest.approx(tuple(ends))
    assert auroc([], [0.1]) == (None, NO_INTERVAL)
    assert auroc([0.9, 0.8], [0.1, 0.2]) == (1.0, NO_INTERVAL)


def test_no_false_positive_in_ten_controls():
    """Exact Poisson: the upper end solves exp(-10 x) = 0.025: 0.3689."""
    counts = resampling_counts(np.zeros(10, int), 200, 0)
    interval = mean_count(np.zeros(10), counts)
    assert (interval.low, interval.high) == pytest.approx((0, -np.log(0.025) / 10))


def test_strata_keep_their_size_in_every_sample():
    strata = strata_of([("patient", "a")] * 4 + [("patient", "b")] * 3 + [("control", "a")] * 5)
    assert len(set(strata)) == 3
    counts = resampling_counts(strata, 50, 1)
    for stratum, size in zip(*np.unique(strata, return_counts=True), strict=True):
        assert (counts[:, strata == stratum].sum(axis=1) == size).all()
    assert (resampling_counts(strata, 50, 1) == counts).all()
    assert (resampling_counts(strata, 50, 2) != counts).any()


def test_strata_of_one_subject_are_pooled():
    """Sites b and c have one patient each: pooled. Site a alone has one control: with d's."""
    labels = [("patient", "a")] * 2 + [("patient", "b"), ("patient", "c"), ("control", "a")]
    labels += [("control", "d")] * 2
    strata = strata_of(labels)
    assert strata[2] == strata[3] != strata[0]
    assert len(set(strata[4:])) == 1
    assert len(set(strata)) == 3


def test_bootstrap_covers_the_mean():
    """Nominal 95 %: of 300 samples of 40 normal values, the interval holds 0 in 91 to 98 %."""
    rng = np.random.default_rng(0)
    counts = resampling_counts(np.zeros(40, int), 400, 0)
    held = 0
    for _ in range(300):
        interval = bootstrap_ratio(rng.normal(size=40), np.ones(40), counts)
        held += interval.low <= 0 <= interval.high
    assert 0.91 <= held / 300 <= 0.98


def test_bootstrap_needs_two_subjects():
    counts = resampling_counts(np.zeros(3, int), 100, 0)
    assert bootstrap_ratio([1, 0, 0], [1, 0, 0], counts) == NO_INTERVAL


def test_all_found_still_has_a_width():
    """3 patients, 4 of 4 lesions: Wilson of 3 of 3 subjects, not a bootstrap of width 0."""
    counts = resampling_counts(np.zeros(3, int), 100, 0)
    interval = clustered_proportion([1, 2, 1], [1, 2, 1], counts)
    assert interval.low == pytest.approx(wilson(3, 3).low)
    assert interval.method == "Wilson on subjects"
    none = clustered_proportion([0, 0, 0], [1, 2, 1], counts)
    assert none.high == pytest.approx(wilson(0, 3).high)
