from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy.stats import chi2_contingency, hypergeom

from fcdsynth.core.errors import SettingsError
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.heterogeneity import heterogeneity


@pytest.fixture
def cohort(record):
    """Patients by site from (site, found) pairs, controls from (site, false positives)."""

    def make(patients=(), controls=()):
        return [
            *(
                record(f"p{i}", found=(0.5 if hit else None,), site=site, scanner=f"m{site}")
                for i, (site, hit) in enumerate(patients)
            ),
            *(
                record(f"c{i}", patient=False, false=(0.5,) * false, site=site)
                for i, (site, false) in enumerate(controls)
            ),
        ]

    return make


def _by_name(tests):
    return {test.name: test for test in tests}


def test_two_sites_against_the_hypergeometric_law(cohort):
    """Site a finds 5 of 6, b 1 of 6. Of 6 found among 12, a has k by the hypergeometric law;
    5 and 1 tie, 6 and 0 are further: mid-p = (2 + (36 + 36) / 2) / 924 = 38 / 924."""
    patients = [("a", i < 5) for i in range(6)] + [("b", i < 1) for i in range(6)]
    test = _by_name(heterogeneity(cohort(patients), "site", Rule.OVERLAP, 40000, 0))
    found = test["subject_sensitivity"]
    assert hypergeom.pmf(5, 12, 6, 6) * 924 == pytest.approx(36)
    assert found.p == pytest.approx(38 / 924, abs=0.004)
    assert found.statistic == pytest.approx(
        chi2_contingency([[5, 1], [1, 5]], correction=False).statistic
    )
    assert (found.lowest, found.lowest_value, found.lowest_n) == ("b", 1 / 6, 6)
    assert (found.highest, found.highest_value, found.highest_n) == ("a", 5 / 6, 6)
    assert (found.n, found.n_groups, found.left_out, found.unit) == (12, 2, 0, "patients")
    assert found.method == "40000 permutations of subjects, mid-p"
    assert test["specificity"].reason == "no controls"
    assert test["specificity"].p is None


def test_counts_against_every_order(cohort):
    """Controls with 0, 0, 1 false positives at a and 2, 3, 0 at b, and 1 at c: all 7! orders."""
    sites, counts = "aaabbbc", [0, 0, 1, 2, 3, 0, 1]
    tests = _by_name(
        heterogeneity(cohort(controls=zip(sites, counts, strict=True)), "site", Rule.OVERLAP,
                      40000, 1)
    )  # fmt: skip

    def index(order):
        mean = np.mean(counts)
        return sum(
            (sum(order[i] for i in where) - mean * len(where)) ** 2 / len(where) / mean
            for where in ([0, 1, 2], [3, 4, 5], [6])
        )

    seen = index(counts)
    every = np.array([index(order) for order in permutations(counts)])
    near = np.isclose(every, seen)
    expected = ((every > seen) & ~near).mean() + near.mean() / 2
    wrong = tests["false_positives_per_control"]
    assert wrong.statistic == pytest.approx(seen)
    assert wrong.p == pytest.approx(expected, abs=0.01)
    assert (wrong.lowest, wrong.highest, wrong.highest_value) == ("a", "b", 5 / 3)


def test_families_move_whole(cohort):
    """Two families of six, one at each site, one all found, the other all missed: shuffling
    families cannot tell them apart, shuffling subjects would give 1 / 924."""
    subjects = cohort([("a", True)] * 6 + [("b", False)] * 6)
    alone = _by_name(heterogeneity(subjects, "site", Rule.OVERLAP, 2000, 0))
    assert alone["subject_sensitivity"].p < 0.005
    families = [replace(s, family=s.site) for s in subjects]
    whole = _by_name(heterogeneity(families, "site", Rule.OVERLAP, 2000, 0))
    assert whole["subject_sensitivity"].p == 1
    assert whole["subject_sensitivity"].method == "2000 permutations of families, mid-p"


def test_a_family_at_two_sites_counts_where_most_are(cohort):
    subjects = cohort([("a", True), ("a", True), ("b", True), ("b", False)])
    subjects = [replace(s, family="f") if i < 3 else s for i, s in enumerate(subjects)]
    test = heterogeneity(subjects, "site", Rule.OVERLAP, 100, 0)[0]
    assert (test.lowest, test.lowest_n) == ("b", 1)
    assert (test.highest, test.highest_n) == ("a", 3)


def test_unknown_places_are_left_out(cohort):
    subjects = cohort([("a", True), ("b", True), ("", False), ("a", False)])
    test = heterogeneity(subjects, "site", Rule.OVERLAP, 100, 0)[0]
    assert (test.n, test.left_out, test.n_groups) == (3, 1, 2)
    one = heterogeneity(subjects, "scanner", Rule.OVERLAP, 100, 0)[0]
    assert one.n_groups == 3  # "ma", "mb" and "m"


def test_nothing_to_compare(cohort):
    one = heterogeneity(cohort([("a", True), ("a", False)]), "site", Rule.NEAR, 100, 0)
    assert [test.p for test in one] == [None] * 4
    assert len({test.reason for test in one}) == 2
    assert [test.reason for test in heterogeneity([], "site", Rule.NEAR, 100, 0)] == [
        "no patients", "no controls", "no patients", "no controls",
    ]  # fmt: skip
    same = heterogeneity(cohort([("a", True), ("b", True)]), "site", Rule.NEAR, 100, 0)
    assert (same[0].p, same[0].statistic) == (1, 0)
    with pytest.raises(SettingsError, match="lobe"):
        heterogeneity([], "lobe", Rule.NEAR, 100, 0)


def test_level_and_power(cohort):
    """300 cohorts of 3 sites and 60 patients: 0.6 everywhere is called different in 2 to 8 %
    (Wilson of 5 % at that n), 0.9 against 0.3 and 0.6 in nearly all."""
    rng = np.random.default_rng(0)

    def rejected(shares, cohorts):
        p = []
        for seed in range(cohorts):
            sites = np.repeat(["a", "b", "c"], [30, 18, 12])
            found = rng.random(60) < np.repeat(shares, [30, 18, 12])
            subjects = cohort(zip(sites, found, strict=True))
            p.append(heterogeneity(subjects, "site", Rule.OVERLAP, 400, seed)[0].p)
        return np.mean(np.array(p) < 0.05)

    assert 0.02 <= rejected((0.6, 0.6, 0.6), 300) <= 0.08
    assert rejected((0.9, 0.3, 0.6), 30) >= 0.8


def test_same_seed_same_p(cohort):
    subjects = cohort([("a", i % 3 > 0) for i in range(9)] + [("b", i % 2 > 0) for i in range(9)])
    first = heterogeneity(subjects, "site", Rule.OVERLAP, 500, 4)
    assert first == heterogeneity(subjects, "site", Rule.OVERLAP, 500, 4)
