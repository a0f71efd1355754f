"""Size and number of lesions against scipy, formulas and simulated masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.laws.number import NumberLaw, fit_number
from fcdsynth.masks.laws.size import SizeLaw, fit_size, goodness_of


def test_enough_masks_give_the_maximum_likelihood_of_scipy():
    volumes = stats.lognorm.rvs(0.9, scale=4.0, size=60, random_state=1)
    law = fit_size(volumes)
    shape, _, scale = stats.lognorm.fit(volumes, floc=0)
    assert law.median_ml == pytest.approx(scale, rel=1e-4)
    assert law.sigma_ln == pytest.approx(shape, rel=1e-4)
    logs = np.log(volumes)
    expected = stats.kstest(logs, "norm", args=(logs.mean(), logs.std(ddof=1))).statistic
    assert law.goodness.ks == pytest.approx(expected, abs=1e-6)
    assert law.goodness.ad == pytest.approx(
        stats.anderson(logs, "norm", method="interpolate").statistic, abs=1e-6
    )


def test_few_masks_shrink_by_n_over_twenty():
    law = fit_size([1.0, math.e**2])  # mean of ln 1, variance 1, weight 0.1
    assert math.log(law.median_ml) == pytest.approx(0.1 * 1 + 0.9 * math.log(2.8))
    assert law.sigma_ln**2 == pytest.approx(0.1 * 1 + 0.9 * 1.25**2)
    assert law.n == 2
    assert fit_size([]) == SizeLaw()


def test_published_quantiles():
    # Quantiles 1/5/25/75/95/99 % of the untruncated law, in ml (synthesis notes, section 3).
    loose = SizeLaw(lower_ml=1e-4, upper_ml=1e5)
    found = loose.quantile(np.array([0.01, 0.05, 0.25, 0.75, 0.95, 0.99]))
    np.testing.assert_allclose(found, [0.15, 0.36, 1.2, 6.5, 22, 51], rtol=0.03)


def test_draws_follow_the_truncated_law_between_its_outer_quantiles():
    law = SizeLaw()
    rng = np.random.default_rng(0)
    volumes = np.array([law.draw(rng) for _ in range(2000)])
    a, b = (np.log([0.12, 60]) - np.log(2.8)) / 1.25
    oracle = stats.truncnorm(a, b, np.log(2.8), 1.25)
    assert stats.kstest(np.log(volumes), oracle.cdf).pvalue > 0.01
    np.testing.assert_allclose(np.log(law.bounds_ml), oracle.ppf([0.005, 0.995]))
    low, high = law.bounds_ml
    assert low <= volumes.min() < 1.5 * low
    assert high >= volumes.max() > high / 1.5


def test_size_of_simulated_masks_is_recovered():
    rng = np.random.default_rng(3)
    law = fit_size(np.exp(rng.normal(math.log(5.0), 0.7, 500)))
    assert law.median_ml == pytest.approx(5.0, rel=0.07)  # 2 standard errors: 2 x 0.7 / sqrt(500)
    assert law.sigma_ln == pytest.approx(0.7, rel=0.07)  # 2 / sqrt(1000)


def test_a_log_normal_passes_and_a_mixture_of_two_sizes_does_not():
    rng = np.random.default_rng(5)
    good = goodness_of(np.exp(rng.normal(1, 1, 50)))
    assert min(good.ks_p, good.ad_p) > 0.05
    bad = goodness_of(np.exp(np.r_[rng.normal(-1, 0.2, 25), rng.normal(3, 0.2, 25)]))
    assert max(bad.ks_p, bad.ad_p) < 0.01


def test_p_values_allow_for_the_fitted_parameters():
    # Of log-normal samples 10 % have p below 0.1; the textbook p, which takes the fitted
    # parameters for given, is hardly ever so small.
    rng = np.random.default_rng(0)
    samples = [rng.normal(size=15) for _ in range(60)]
    ours = [goodness_of(np.exp(x)).ks_p < 0.1 for x in samples]
    textbook = [stats.kstest(x, "norm", args=(x.mean(), x.std())).pvalue < 0.1 for x in samples]
    assert stats.binomtest(sum(ours), 60, 0.1).pvalue > 0.01
    assert stats.binomtest(sum(textbook), 60, 0.1).pvalue < 0.05


def test_goodness_needs_five_lesions_and_some_spread_and_repeats():
    assert goodness_of([1.0, 2.0, 3.0, 4.0]) is None
    assert goodness_of([2.0] * 6) is None
    volumes = [1.0, 2.0, 3.0, 5.0, 9.0]
    assert goodness_of(volumes, seed=4) == goodness_of(volumes, seed=4)


@pytest.mark.parametrize("values", [
    {"median_ml": -1}, {"sigma_ln": 0}, {"lower_ml": 5, "upper_ml": 4},
    {"lower_ml": 1e9, "upper_ml": 2e9}, {"median_ml": math.nan},
])  # fmt: skip
def test_bad_size_laws(values):
    with pytest.raises(SettingsError, match="size"):
        SizeLaw(**values)


def test_bad_volumes():
    with pytest.raises(SettingsError, match="positive"):
        fit_size([1.0, 0.0])


def test_number_of_lesions_by_hand():
    # 10 patients weigh 10 / 20: half of what was found and half of one lesion each.
    law = fit_number([1, 1, 1, 1, 1, 1, 2, 2, 3, 5])
    assert law.shares == pytest.approx((0.5 * 0.6 + 0.5, 0.5 * 0.2, 0.5 * 0.2))
    assert fit_number([2] * 40).shares == (0, 1, 0)
    assert fit_number([]) == NumberLaw()


def test_numbers_are_drawn_by_their_shares():
    law = NumberLaw((0.6, 0.3, 0.1), 50)
    rng = np.random.default_rng(0)
    counts = np.bincount([law.draw(rng) for _ in range(3000)], minlength=4)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:], np.array([0.6, 0.3, 0.1]) * 3000).pvalue > 0.01
    assert {NumberLaw().draw(rng) for _ in range(50)} == {1}


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.7, 0.2, 0.2), (1.2, -0.2, 0.0)])
def test_bad_numbers(shares):
    with pytest.raises(SettingsError, match="number"):
        NumberLaw(shares)
