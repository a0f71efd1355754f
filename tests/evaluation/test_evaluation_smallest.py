from math import comb

import numpy as np
import pytest
from scipy import stats

from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.outcomes import outcomes_of, site_outcomes
from fcdsynth.evaluation.statistics.paired import mcnemar_exact, wilcoxon_signed
from fcdsynth.evaluation.statistics.smallest import (
    WILCOXON_EFFICIENCY,
    fewest_gained,
    mcnemar_power,
    paired_means,
    paired_shares,
    smallest_effects,
    two_shares,
)

FOUND, CLEAN, WRONG, _ = outcomes_of(Rule.OVERLAP)


def test_fewest_gained():
    """2 / 2^6 = 0.031 is below 0.05, 2 / 2^5 = 0.0625 is not."""
    assert fewest_gained(61) == 6
    assert fewest_gained(6) == 6
    assert fewest_gained(5) is None
    assert mcnemar_exact(6, 0) < 0.05 < mcnemar_exact(5, 0)


def test_power_of_seven_pairs_by_hand():
    """All 7 pairs discordant, each gained with probability 0.9. Only 7:0 and 0:7 have p < 0.05
    (2 / 128; 6:1 has 16 / 128): 0.9^7 + 0.1^7 = 0.4782970."""
    assert mcnemar_power(7, 1.0, 0.8) == pytest.approx(0.9**7 + 0.1**7)


def test_power_of_eight_pairs_by_hand():
    """8 pairs, discordant with probability 1/2, all of them gained. Significant from 6 on:
    (C(8,6) + C(8,7) + C(8,8)) / 2^8 = (28 + 8 + 1) / 256."""
    assert mcnemar_power(8, 0.5, 0.5) == pytest.approx(37 / 256)


@pytest.mark.parametrize(("n", "discordant", "difference"), [(9, 0.6, 0.3), (14, 0.4, -0.1)])
def test_power_by_enumerating_tables(n, discordant, difference):
    """Oracle: every table of gained, lost and equal pairs with its multinomial probability."""
    up, down = (discordant + difference) / 2, (discordant - difference) / 2
    power = 0.0
    for gained in range(n + 1):
        for lost in range(n + 1 - gained):
            if mcnemar_exact(gained, lost) < 0.05:
                ways = comb(n, gained) * comb(n - gained, lost)
                power += ways * up**gained * down**lost * (1 - discordant) ** (n - gained - lost)
    assert mcnemar_power(n, discordant, difference) == pytest.approx(power)


def test_no_discordance_no_power():
    assert mcnemar_power(50, 0.0, 0.0) == 0


def test_six_gained_one_lost_of_61():
    """The published comparison: 7 discordant of 61, 5 of 61 more found. As a chance of showing
    it: enumerate gained out of k discordant, q = 6/7."""
    effect = paired_shares(FOUND, 61, 7 / 61, "seen", 5 / 61)
    power = sum(
        stats.binom.pmf(k, 61, 7 / 61) * stats.binom.pmf(g, k, 6 / 7)
        for k in range(62) for g in range(k + 1) if mcnemar_exact(g, k - g) < 0.05
    )  # fmt: skip
    assert effect.power_observed == pytest.approx(power)
    assert effect.power_observed == pytest.approx(0.317, abs=0.001)
    assert effect.smallest_significant == pytest.approx(6 / 61)
    # With this few discordant pairs even all gained has less than 80 %, so more must be gained.
    assert mcnemar_power(61, 7 / 61, 7 / 61) < 0.8
    found = effect.smallest_found
    assert found > 7 / 61
    assert mcnemar_power(61, found, found) == pytest.approx(0.8, abs=0.01)


def test_more_discordance_needs_a_larger_difference():
    few, many = (paired_shares(FOUND, 200, d, "assumed") for d in (0.1, 0.2))
    assert few.smallest_found < many.smallest_found
    assert mcnemar_power(200, 0.2, many.smallest_found) == pytest.approx(0.8, abs=0.01)
    assert few.power_observed is None


def test_too_few_pairs():
    effect = paired_shares(FOUND, 5, 0.2, "assumed")
    assert (effect.smallest_significant, effect.smallest_found) == (None, None)
    means = paired_means(WRONG, 5, 1.0, "seen", 0.3)
    assert (means.smallest_significant, means.smallest_found, means.power_observed) == (None,) * 3
    assert paired_means(WRONG, 20, 0.0, "seen", 0.0).smallest_found is None


def test_means_against_simulated_wilcoxon_tests():
    """A normal difference of the size given is found by Wilcoxon in 80 % of 600 samples."""
    effect = paired_means(WRONG, 40, 2.0, "seen")
    rng = np.random.default_rng(0)
    found = [wilcoxon_signed(rng.normal(effect.smallest_found, 2.0, 40)) < 0.05 for _ in range(600)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_means_by_the_noncentral_t():
    """n * 3 / pi pairs' worth; least: t of 0.975 times SD / sqrt(n)."""
    n = 30 * WILCOXON_EFFICIENCY
    effect = paired_means(WRONG, 30, 1.5, "seen", 0.8)
    least = stats.t.ppf(0.975, n - 1) * 1.5 / np.sqrt(n)
    assert effect.smallest_significant == pytest.approx(least)
    shift, cut = 0.8 / 1.5 * np.sqrt(n), stats.t.ppf(0.975, n - 1)
    power = stats.nct.sf(cut, n - 1, shift) + stats.nct.cdf(-cut, n - 1, shift)
    assert effect.power_observed == pytest.approx(power, abs=1e-6)


@pytest.mark.parametrize(("count", "n"), [(6, 20), (22, 61), (55, 61)])
def test_two_groups_against_enumerated_fisher_tests(count, n):
    """Oracle: every table of two groups with Fisher's exact test. 0.8 within 0.03."""
    effect = two_shares(FOUND, count, n)
    sign = 1 if count <= n / 2 else -1
    share, other = count / n, count / n + sign * effect.smallest_found
    first, second = (stats.binom.pmf(np.arange(n + 1), n, p) for p in (share, other))
    power = sum(
        first[a] * second[b]
        for a in range(n + 1) for b in range(n + 1)
        if first[a] * second[b] > 1e-7
        and stats.fisher_exact([[a, n - a], [b, n - b]])[1] < 0.05
    )  # fmt: skip
    assert power == pytest.approx(0.8, abs=0.03)
    k = count + sign * round(effect.smallest_significant * n)
    assert stats.fisher_exact([[count, n - count], [k, n - k]])[1] < 0.05
    assert stats.fisher_exact([[count, n - count], [k - sign, n - k + sign]])[1] >= 0.05


def test_two_small_groups():
    """3 of 3 against 0 of 3 has p = 2 / C(6, 3) = 0.1: nothing could be shown."""
    effect = two_shares(FOUND, 3, 3)
    assert (effect.smallest_significant, effect.smallest_found) == (None, None)


def test_one_report_alone(record):
    """12 patients, 6 found; no controls. SD of 0 or 1 false positives, half each: 0.5222."""
    subjects = [
        record(f"p{i}", found=(0.5 if i < 6 else None,), false=(0.4,) * (i % 2)) for i in range(12)
    ]
    effects = smallest_effects(subjects)
    mine = [e for e in effects if (e.name, e.rule) == ("subject_sensitivity", "overlap")]
    assert [(e.design, e.spread) for e in mine] == [
        ("two groups", 0.5),
        ("paired", 0.1),
        ("paired", 0.2),
    ]
    assert mine[1].smallest_significant == pytest.approx(6 / 12)
    wrong = next(e for e in effects if e.name == "false_positives_per_patient")
    assert wrong.spread == pytest.approx(np.sqrt(12 / 11 * 0.25))
    none = next(e for e in effects if e.name == "specificity")
    assert (none.n, none.reason, none.smallest_found) == (0, "no controls", None)
    site = next(e for e in effects if e.name == site_outcomes()[0].name)
    assert site.smallest_found is None  # every patient has the same probability
    assert {e.name for e in smallest_effects([])} == {e.name for e in effects}
