"""Two-sample tests: by hand, against other implementations, and on simulated Gaussians."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from fcdsynth.core.errors import SettingsError
from fcdsynth.measure.two_sample import (
    CLASSIFIERS,
    HEADLINE,
    classifier_auroc,
    classifier_test,
    count_test,
    energy_test,
    feature_tests,
    mmd_test,
    neighbours,
    pool,
    shuffled_labels,
)
from fcdsynth.measure.two_sample.classifier import deal_folds
from fcdsynth.measure.two_sample.samples import p_value


def gaussians(n=70, k=8, seed=0, shift=0.0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, k)), rng.normal(size=(n, k)) + shift


def test_features_by_hand():
    x = np.array([[1.0, 5], [2, 6], [3, 7], [4, 8]])
    y = np.array([[3.0, 5], [4, 6], [5, 7], [6, 8]])
    first, second = feature_tests(x, y, ["a", "b"])
    # After 2 all of x's lower half and nothing of y is below: gap 2/4. Every value moved by 2;
    # both variances are (1.5^2 + 0.5^2 + 0.5^2 + 1.5^2) / 4 = 1.25.
    assert first.ks == 0.5
    assert first.wasserstein == pytest.approx(2 / np.sqrt(1.25))
    assert (first.n, first.m, first.medians) == (4, 4, (2.5, 4.5))
    assert (second.ks, second.p, second.p_holm, second.wasserstein) == (0, 1, 1, 0)
    assert first.p_holm == min(1, 2 * first.p)  # two features, the smaller p times two


def test_gaps_are_left_out_of_their_feature_alone():
    x = np.array([[1.0, np.nan], [2, np.nan], [3, 7], [4, 8]])
    y = np.array([[1.0, 5], [2, 6], [3, np.nan], [4, 8]])
    first, second = feature_tests(x, y, ["a", "b"])
    assert (first.n, first.m, first.ks) == (4, 4, 0)
    assert (second.n, second.m) == (2, 3)
    assert second.ks is second.p is second.p_holm is second.wasserstein is None
    assert first.p_holm == first.p == 1  # corrected for the one feature that was tested


def test_pool_closes_gaps_and_leaves_out_what_is_mostly_missing():
    x = np.array([[1.0, np.nan, 3, 0], [2, np.nan, 3, 1], [3, np.nan, 3, np.nan], [4, 1, 3, 3]])
    y = np.array([[5.0, 1, 3, 4], [6, 2, 3, 5], [7, 3, 3, 6], [8, 4, 3, 7]])
    both = pool(x, y)
    assert both.kept == (0, 3)  # 1: missing in 3 of 4 rows of x; 2: constant
    assert both.values.mean(axis=0) == pytest.approx([0, 0])
    assert both.values.std(axis=0) == pytest.approx([1, 1])
    # The gap holds the median of 0, 1, 3, 4, 5, 6, 7: exactly where 4 lies.
    assert both.values[2, 1] == both.values[4, 1]


def test_mmd_is_that_of_gretton():
    x, y = gaussians(9, 3, shift=0.5)
    both = pool(x, y)
    a, b = both.values[:9], both.values[9:]
    far = [np.linalg.norm(p - q) for p, q in combinations([*a, *b], 2)]
    found = mmd_test(both, 99)
    assert found.bandwidth == pytest.approx(np.median(far))

    def k(p, q):
        return np.exp(-((p - q) ** 2).sum() / (2 * np.median(far) ** 2))

    within = sum(k(p, q) + k(q, p) for side in (a, b) for p, q in combinations(side, 2)) / (9 * 8)
    between = 2 * sum(k(p, q) for p in a for q in b) / 81
    assert found.statistic == pytest.approx(within - between)


def test_energy_distance_is_scipys_squared():
    both = pool(*gaussians(20, 1, shift=0.7))
    x, y = both.values[:20, 0], both.values[20:, 0]
    assert energy_test(both, 0).statistic == pytest.approx(stats.energy_distance(x, y) ** 2)
    assert energy_test(both, 0).p is None


@pytest.mark.parametrize("test", [mmd_test, energy_test])
def test_distances_find_a_shift_and_keep_their_level(test):
    assert test(pool(*gaussians(40, 4, shift=0.8)), 199).p == 1 / 200
    p = [test(pool(*gaussians(20, 4, seed)), 99, seed).p for seed in range(200)]
    # Of 200 true null hypotheses 5 % are refused: 10, standard deviation 3.1.
    assert 2 <= np.count_nonzero(np.array(p) <= 0.05) <= 20
    assert test(pool(*gaussians(20, 4)), 99, 3) == test(pool(*gaussians(20, 4)), 99, 3)


def test_rows_of_one_group_are_no_independent_evidence():
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(12, 3))
    rows = np.repeat(centres, 10, axis=0) + 0.01 * rng.normal(size=(120, 3))
    names = [f"patient {i // 10}" for i in range(120)]
    groups = (names[:60], names[60:])
    for test in (mmd_test, energy_test):
        assert test(pool(rows[:60], rows[60:]), 199).p < 0.02
        assert test(pool(rows[:60], rows[60:], groups), 199).p > 0.05
    labels = shuffled_labels(np.arange(120) < 60, np.arange(120) // 10, 50, 0)
    assert (labels.reshape(50, 12, 10) == labels.reshape(50, 12, 10)[:, :, :1]).all()
    assert (labels.sum(axis=1) == 60).all()


def test_p_counts_the_observed_labels():
    assert p_value(3.0, np.array([1.0, 2.0, 3.0, 4.0])) == 3 / 5


def test_counts_by_hand():
    found = count_test(["FL"] * 8 + ["TL"] * 2, ["FL"] * 2 + ["TL"] * 8, 0)
    # Expected 5 in every cell: 4 x 3^2 / 5 = 7.2; V = root of 7.2 / 20.
    assert found.categories == ("FL", "TL")
    assert found.counts == ((8, 2), (2, 8))
    assert found.chi2 == pytest.approx(7.2)
    assert found.cramers_v == pytest.approx(0.6)
    uneven = count_test(list("aabbbc"), list("abcccccc"), 0)
    oracle = stats.chi2_contingency(np.array(uneven.counts), correction=False).statistic
    assert uneven.chi2 == pytest.approx(oracle)
    assert count_test(["FL"] * 3, ["FL"] * 4).chi2 == 0


def test_small_cells_get_the_exact_p():
    # 3 a against 3 b: of the 20 ways to deal six rows, 2 part them wholly.
    p = count_test(list("aaa"), list("bbb"), 4999).p
    assert p == pytest.approx(0.1, abs=4 * np.sqrt(0.1 * 0.9 / 5000))
    groups = (["p"] * 3, ["q"] * 3)  # one patient each: no evidence at all
    assert count_test(list("aaa"), list("bbb"), 99, groups=groups).p == 1


def test_neighbours_by_hand():
    # Reference 0, 1, 2, 10, nearest neighbour 1, 1, 1, 8 away.
    near = neighbours(pool([[0.2], [0.4], [0.6], [20.0]], [[0.0], [1.0], [2.0], [10.0]]), k=1)
    # 0.2, 0.4 and 0.6 lie in the balls of 0 and of 1; the ball of 10 reaches from 2 to 18.
    assert near.density == 6 / (1 * 4)
    assert near.coverage == 2 / 4


def test_coverage_of_one_law_is_that_of_naeem():
    found = [neighbours(pool(*gaussians(30, 3, seed)), k=2).coverage for seed in range(80)]
    # 1 - (N-1)(N-2) / ((2N-1)(2N-2)) for N = M = 30, k = 2.
    assert np.mean(found) == pytest.approx(1 - 29 * 28 / (59 * 58), abs=0.02)


def test_logistic_auroc_is_a_half_where_nothing_differs():
    found = [classifier_auroc(*gaussians(70, 12, seed), seed, name="logistic")
             for seed in range(100)]  # fmt: skip
    assert 0.48 < np.mean(found) < 0.52


def test_trees_auroc_is_a_half_where_nothing_differs():
    found = [classifier_auroc(*gaussians(24, 6, seed), seed) for seed in range(9)]
    assert np.mean(found) == pytest.approx(0.5, abs=3 * np.std(found) / 3)


def test_classifiers_find_differences():
    x, y = gaussians(70, 12, 1)
    shifted = y + np.eye(12)[0] * 1.5
    assert classifier_auroc(x, shifted) > 0.75
    assert classifier_auroc(x, shifted, name="logistic") > 0.75
    wider = y * np.where(np.arange(12) < 3, 2.5, 1)  # means are the same
    assert classifier_auroc(x, wider) > 0.7
    assert classifier_auroc(x, wider, name="logistic") > 0.7
    split = y.copy()  # means and variances about the same
    split[:, :2] = np.sign(y[:, :2]) * 0.98 + 0.2 * y[:, :2]
    assert HEADLINE == "trees"
    assert classifier_auroc(x, split) > 0.7 > classifier_auroc(x, split, name="logistic")


def test_groups_keep_copies_out_of_training():
    rng = np.random.default_rng(5)
    rows = np.repeat(rng.normal(size=(16, 6)), 4, axis=0) + 0.01 * rng.normal(size=(64, 6))
    names = [f"patient {i // 4}" for i in range(64)]
    assert classifier_auroc(rows[:32], rows[32:]) > 0.9
    assert classifier_auroc(rows[:32], rows[32:], groups=(names[:32], names[32:])) < 0.75
    groups, first = np.arange(64) // 4, np.arange(64) < 32
    fold = deal_folds(first, groups, 4, 1)
    assert (fold.reshape(16, 4) == fold.reshape(16, 4)[:, :1]).all()
    for number in range(4):  # 8 groups of each sample over 4 folds
        assert np.count_nonzero(first & (fold == number)) == 8
        assert np.count_nonzero(~first & (fold == number)) == 8


class BaseRate:
    """A classifier that knows nothing but how common the first sample was in training."""

    def fit(self, values, first):
        self.rate = first.mean()
        return self

    def predict_proba(self, values):
        return np.tile([1 - self.rate, self.rate], (len(values), 1))


def test_pairs_are_ranked_within_a_fold(monkeypatch):
    monkeypatch.setitem(CLASSIFIERS, "rate", lambda seed: BaseRate())
    x, y = gaussians(12, 2)
    groups = ([f"x{g}" for g in np.repeat(range(4), [1, 2, 3, 6])], [f"y{i}" for i in range(12)])
    both = pool(x, y, groups)
    assert classifier_test(both, "rate").auroc == 0.5
    # All scores of these very folds together: a fold rich in x leaves fewer for training.
    fold = deal_folds(both.first, both.groups, 4, 0)
    scores = np.array([both.first[fold != f].mean() for f in fold])
    wins = np.sign(scores[both.first][:, None] - scores[~both.first][None])
    assert (1 + wins.mean()) / 2 < 0.4


def test_permutations_of_the_classifier():
    x, y = gaussians(20, 3, shift=1.5)
    found = classifier_test(pool(x, y), "logistic", permutations=39)
    assert found.p == 1 / 40
    assert found.chance[0] < 0.5 < found.chance[1] < found.auroc
    assert found == classifier_test(pool(x, y), "logistic", permutations=39)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: pool(np.ones((5, 2)), np.ones((5, 3))), "same columns"),
        (lambda: pool(np.eye(3), np.eye(3)), "at least 4"),
        (lambda: pool(np.ones((5, 2)), np.ones((5, 2))), "no column"),
        (lambda: pool(np.full((5, 2), np.nan), np.ones((5, 2))), "no column"),
        (lambda: pool(np.full((5, 2), np.inf), np.ones((5, 2))), "infinite"),
        (lambda: pool(*gaussians(5, 2), (["a"] * 4, ["b"] * 5)), "groups"),
        (lambda: classifier_auroc(*gaussians(5, 2), name="oracle"), "oracle"),
        (lambda: classifier_auroc(*gaussians(5, 2), groups=(["a"] * 5, list("bcdef"))), "groups"),
        (lambda: feature_tests(np.ones((5, 2)), np.ones((5, 2)), ["a"]), "names"),
        (lambda: count_test([], ["a"]), "0 and 1 rows"),
        (lambda: neighbours(pool(*gaussians(5, 2)), 0), "k"),
        (lambda: mmd_test(pool(*gaussians(5, 2)), bandwidth=0), "bandwidth"),
    ],
)
def test_bad_input(call, word):
    with pytest.raises(SettingsError, match=word):
        call()
