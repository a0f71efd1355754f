"""P(wrong | score) against the truth of a simulation, where Bayes' rule gives it exactly."""

import json

import numpy as np
import pytest
from scipy.stats import norm

from fcdsynth.core.errors import SettingsError
from fcdsynth.relabel.certainty import (
    Certainty,
    CertaintySettings,
    Reviewed,
    base_rate,
    fit_certainty,
    reliability,
)


def simulated(n, rate, seed=0):
    """Scores N(0, 1) for right labels and N(2, 1) for wrong ones."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(n) < rate
    return rng.normal(size=n) + 2 * wrong, wrong


def exact(score, rate):
    wrong = rate * norm.pdf(score - 2)
    return wrong / (wrong + (1 - rate) * norm.pdf(score))


@pytest.mark.parametrize("planted", [400, 4000])
def test_the_planted_share_is_corrected_for(planted):
    originals, _ = simulated(8000, 0.1)
    errors = np.random.default_rng(1).normal(size=planted) + 2
    fitted = fit_certainty(originals, errors, settings=CertaintySettings(base_rate=0.1))
    off = np.abs(fitted.probability(originals) - exact(originals, 0.1))
    assert off.mean() < 0.02
    assert fitted.probability(originals).mean() == pytest.approx(0.1, abs=0.01)
    assert fitted.base_from == "assumed"


def test_what_is_said_is_so():
    scores, wrong = simulated(6000, 0.2)
    errors = np.random.default_rng(1).normal(size=600) + 2
    fitted = fit_certainty(scores[:3000], errors, settings=CertaintySettings(base_rate=0.2))
    for part in reliability(fitted.probability(scores[3000:]), wrong[3000:]):
        assert part.said == pytest.approx(part.found, abs=0.07)
        assert part.interval[0] <= part.found <= part.interval[1]
        assert part.n == 600


def test_reviews_overrule_planted_errors_that_mislead():
    """Planted errors are easy to see, real ones are not: reviews pull the curve down."""
    originals, _ = simulated(2000, 0.1)
    errors = np.full(200, 3.0)
    before = fit_certainty(originals, errors).probability(3.0)
    reviews = [Reviewed(3.0, index % 5 == 0) for index in range(200)]
    after = fit_certainty(originals, errors, reviews).probability(3.0)
    assert before > 0.5
    assert after == pytest.approx(0.2, abs=0.1)


def test_the_audit_estimates_the_base_rate():
    settings = CertaintySettings(base_rate=0.1, base_worth=10)
    reviews = [Reviewed(0.0, index < 9, audit=True) for index in range(30)]
    assert base_rate(reviews, settings) == (pytest.approx(10 / 40), "audit")
    assert base_rate([Reviewed(0.0, True)], settings) == (0.1, "assumed")


def test_monotone_json_and_gaps():
    originals, _ = simulated(300, 0.1)
    fitted = fit_certainty(originals, originals[:30] + 1)
    curve = fitted.probability(np.linspace(-5, 8, 50))
    assert (np.diff(curve) >= 0).all()
    assert fitted.probability(np.nan) == pytest.approx(0.1)
    assert Certainty.from_plain(json.loads(json.dumps(fitted.plain()))) == fitted


def test_what_cannot_be_is_refused():
    with pytest.raises(SettingsError, match="planted errors or reviews"):
        fit_certainty([0.1, 0.2], [])
    with pytest.raises(SettingsError, match="base_rate"):
        CertaintySettings(base_rate=0.0)
