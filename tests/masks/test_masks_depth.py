"""The depth slope: published values, the conditional likelihood, recovery."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.laws.depth import Choice, DepthSlope, fit_depth


def test_published_slope_puts_small_lesions_at_the_bottom():
    slope = DepthSlope().at(0.8)
    share = integrate.quad(lambda d: math.exp(slope * d), 0.6, 1)[0]
    share /= integrate.quad(lambda d: math.exp(slope * d), 0, 1)[0]
    assert share == pytest.approx(0.81, abs=0.01)
    assert DepthSlope().b1 < 0
    assert DepthSlope().at(20) == pytest.approx(0.5, abs=0.02)


def test_likelihood_by_hand():
    # V = 1 ml, so the slope is b0 = ln 2. Weights of the voxels: 1 at rank 0, 3 x 2 at rank 1.
    # P(seed at rank 1) = 6 / 7 per voxel; the site law alone gives 3 / 4: ratio 8 / 7.
    choice = Choice(1.0, 1.0, np.array([0.0, 1.0]), np.array([1.0, 3.0]))
    assert choice.log_gain(DepthSlope(math.log(2), 5.0)) == pytest.approx(math.log(8 / 7))
    assert choice.log_gain(DepthSlope(0.0, 5.0)) == pytest.approx(0)


def simulated(count, slope, seed=0):
    """Seeds drawn from site x exp(slope rank) over ribbons where deep cortex is rare."""
    rng = np.random.default_rng(seed)
    choices = []
    for _ in range(count):
        ranks = rng.beta(1.5, 3.0, 300)
        site = rng.gamma(1.0, size=300) * (1 + ranks)  # correlated with depth
        volume = float(np.exp(rng.normal(1, 1.2)))
        p = site * np.exp(slope.at(volume) * ranks)
        choices.append(Choice(float(rng.choice(ranks, p=p / p.sum())), volume, ranks, site))
    return choices


@pytest.mark.parametrize("truth", [DepthSlope(1.0, -0.3), DepthSlope(3.5, -1.2)])
def test_slopes_are_recovered_whatever_the_site_law_does(truth):
    fitted = fit_depth(simulated(1500, truth))
    assert fitted.b0 == pytest.approx(truth.b0, abs=0.3)
    assert fitted.b1 == pytest.approx(truth.b1, abs=0.2)


def test_a_preference_for_the_very_bottom_and_against_the_middle_is_found():
    rng = np.random.default_rng(3)
    truth = DepthSlope(1.0, 0.0, fundus=0.8, medial=-2.0)
    choices = []
    for _ in range(1200):
        ranks, x = rng.random(300), rng.uniform(-60, 60, 300)
        p = np.exp(ranks - 2 * np.exp(-np.abs(x) / 8)) / (1.02 - ranks) ** 0.8
        pick = rng.choice(300, p=p / p.sum())
        choices.append(Choice(ranks[pick], 1.0, ranks, np.ones(300), x[pick], x))
    fitted = fit_depth(choices)
    assert fitted.fundus == pytest.approx(truth.fundus, abs=0.15)
    assert fitted.medial == pytest.approx(truth.medial, abs=0.4)
    unknown = fit_depth([Choice(c.rank, 1.0, c.ranks, c.site) for c in choices])
    assert unknown.medial == pytest.approx(0, abs=0.01)


def test_few_lesions_change_the_published_slope_little():
    assert fit_depth([]) == DepthSlope()
    one = fit_depth(simulated(1, DepthSlope(0.0, 0.0)))
    assert 0 < abs(one.b0 - DepthSlope().b0) < 1


def test_bad_slopes():
    with pytest.raises(SettingsError, match="finite"):
        DepthSlope(math.nan, 0)
