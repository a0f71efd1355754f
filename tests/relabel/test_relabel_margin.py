"""The boundary: distances by hand, strangers as judges, two answers that are kept apart."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fcdsynth.core.errors import SettingsError
from fcdsynth.relabel.margin import (
    MarginSettings,
    grouped_folds,
    judge_margins,
    within_label_spread,
)


def two_clouds(n=60, gap=4.0, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    x = rng.normal(size=(n, 3))
    x[:, 0] += gap * (y - 0.5)
    return x, y


def test_a_flipped_label_has_a_negative_margin_and_a_high_error():
    x, y = two_clouds()
    given = y.copy()
    given[:3] = 1 - given[:3]
    judged = judge_margins(x, given)
    assert (judged.signed[:3] < 0).all()
    assert judged.error[:3].min() > np.median(judged.error[3:])
    assert (judged.error[:3] > 0.7).all()


def test_the_distance_is_geometric():
    """Points at -1 and 1 on a line: after standardisation the boundary lies at 0, they 1 away."""
    x = np.repeat([[-1.0], [1.0]], 20, axis=0)
    y = np.repeat([0, 1], 20)
    judged = judge_margins(x, y, folds=np.arange(40) % 2)
    np.testing.assert_allclose(judged.signed, 1.0, atol=1e-4)


def test_several_classes_take_the_nearest_rival():
    """Three clouds on a line; a middle item labelled as the far left one is wrong by more than
    one labelled as its own."""
    rng = np.random.default_rng(1)
    y = np.arange(90) % 3
    angle = 2 * np.pi * y / 3
    x = 4 * np.stack([np.cos(angle), np.sin(angle)], 1) + rng.normal(size=(90, 2))
    judged = judge_margins(x, y)
    assert np.mean(judged.signed > 0) > 0.95
    given = y.copy()
    given[::10] = (given[::10] + 1) % 3
    again = judge_margins(x, given)
    assert roc_auc_score(given != y, again.error) > 0.98


def test_error_and_ambiguity_answer_different_questions():
    rng = np.random.default_rng(2)
    x, y = two_clouds(300, gap=3.0)
    wrong = rng.random(300) < 0.2
    judged = judge_margins(x, np.where(wrong, 1 - y, y))
    assert roc_auc_score(wrong, judged.error) > 0.9
    assert roc_auc_score(wrong, judged.ambiguity) < 0.6
    np.testing.assert_allclose(judged.error[np.argmax(judged.ambiguity)], 0.5, atol=0.05)


def test_a_group_is_judged_by_strangers_only():
    """A feature that only names the group: strangers know nothing, the group itself everything."""
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(20), 4)
    y = np.repeat(rng.permutation(np.arange(20) % 2), 4)
    x = np.eye(20)[groups] + rng.normal(scale=0.01, size=(80, 20))
    alone = judge_margins(x, y).signed
    strangers = judge_margins(x, y, groups).signed
    assert np.mean(alone > 0) > 0.95
    assert np.mean(strangers > 0) < 0.7
    fold = judge_margins(x, y, groups).folds
    assert all(len(set(fold[groups == g])) == 1 for g in range(20))


def test_each_fold_may_have_its_own_encoder():
    x, y = two_clouds()
    folds = np.arange(60) % 3
    same = judge_margins(x, y, folds=folds)
    stacked = judge_margins(np.stack([x, x, x]), y, folds=folds)
    np.testing.assert_array_equal(same.signed, stacked.signed)
    turned = judge_margins(np.stack([x, -x, x * 5]), y, folds=folds)
    np.testing.assert_allclose(turned.signed, same.signed, atol=1e-6)
    with pytest.raises(SettingsError, match="encoder"):
        judge_margins(np.stack([x, x]), y, folds=folds)


def test_a_label_nobody_else_has_is_not_judged():
    x, y = two_clouds(20)
    y[0] = 7
    judged = judge_margins(x, y)
    assert np.isnan(judged.signed[0])
    assert np.isfinite(judged.signed[1:]).all()


def test_spread_is_the_label_s_own():
    """Deviations 2, 1, 0, 1, 2 have a median of 1; a label with two items takes that of all."""
    values = np.array([1.0, 2, 3, 4, 5, 10, 20])
    labels = np.array([0, 0, 0, 0, 0, 1, 1])
    spread = within_label_spread(values, labels)
    np.testing.assert_allclose(spread[:5], 1.4826)
    np.testing.assert_allclose(spread[5:], 1.4826 * 2)


def test_what_cannot_be_is_refused():
    x, y = two_clouds(20)
    with pytest.raises(SettingsError, match="components"):
        MarginSettings(components=0)
    with pytest.raises(SettingsError, match="features"):
        judge_margins(x[:5], y)
    with pytest.raises(SettingsError, match="in folds"):
        judge_margins(x, y, groups=np.zeros(20), folds=np.arange(20) % 2)
    with pytest.raises(SettingsError, match="two or more"):
        grouped_folds(np.zeros(20), 5)
