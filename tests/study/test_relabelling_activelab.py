"""ActiveLab's scores by hand, and against cleanlab's own functions where it is installed."""

import numpy as np
import pytest

from fcdsynth.study.relabelling.activelab import (
    best_temperature,
    label_counts,
    majority,
    scaled,
    score_activelab,
)


def drawn(seed, n=60, kinds=4, repeats=3, share=0.4):
    """Items with one label each, some with more; probabilities that know something."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, kinds, n)
    given = np.where(rng.random((n, repeats)) < 0.3, rng.integers(0, kinds, (n, repeats)),
                     truth[:, None])  # fmt: skip
    given[:, 1:][rng.random((n, repeats - 1)) > share] = -1
    logits = rng.normal(size=(n, kinds)) + 1.5 * np.eye(kinds)[truth]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return given, p


def as_floats(given):
    return np.where(given < 0, np.nan, given.astype(float))


def test_single_labels_by_hand():
    p = np.array([[0.7, 0.2, 0.1]])
    found = score_activelab(np.array([[1, -1]]), p, np.array([[0.5, 0.3, 0.2]]))
    assert found.labelled[0] == pytest.approx((2 * 0.2 + 1 / 3) / 3)
    assert found.unlabelled[0] == pytest.approx((0.5 + 1 / 3) / 2)
    assert found.consensus.tolist() == [1]


def test_majority_and_ties():
    given = np.array([[0, 1, 1], [0, 1, -1], [2, -1, -1]])
    p = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [1.0, 0.0, 0.0]])
    assert majority(given, p).tolist() == [1, 1, 2]
    assert label_counts(given, 3).tolist() == [[1, 2, 0], [1, 1, 0], [0, 0, 1]]


def test_temperature_is_the_least_of_a_grid():
    given, p = drawn(0)
    found = best_temperature(given, p)
    counts = label_counts(given, 4)
    shares = counts / counts.sum(axis=1, keepdims=True)

    def loss(temperature):
        return -(shares * np.log(scaled(p, temperature))).sum(axis=1).mean()

    grid = np.geomspace(0.1, 8, 200)
    assert loss(found) <= min(loss(t) for t in grid) + 1e-9
    np.testing.assert_allclose(scaled(p, 1.0), p)


@pytest.mark.parametrize("seed", range(4))
def test_same_as_cleanlab_for_several_labels(seed):
    multiannotator = pytest.importorskip("cleanlab.multiannotator")
    tools = pytest.importorskip("cleanlab.internal.multiannotator_utils")
    given, p = drawn(seed)
    _, p_new = drawn(seed + 100)
    theirs, theirs_new = multiannotator.get_active_learning_scores(as_floats(given), p, p_new)
    temperature = tools.find_best_temp_scaler(as_floats(given), p)
    ours = score_activelab(given, p, p_new, temperature=temperature)
    np.testing.assert_allclose(ours.labelled, theirs, atol=1e-9)
    np.testing.assert_allclose(ours.unlabelled, theirs_new, atol=1e-9)
    consensus = multiannotator.get_label_quality_multiannotator(
        as_floats(given), tools.temp_scale_pred_probs(p, temperature), verbose=False
    )["label_quality"]["consensus_label"]
    assert ours.consensus.tolist() == consensus.tolist()


def test_same_as_cleanlab_for_single_labels():
    multiannotator = pytest.importorskip("cleanlab.multiannotator")
    given, p = drawn(0)
    given[:, 1:] = -1
    _, p_new = drawn(1)
    theirs, theirs_new = multiannotator.get_active_learning_scores(
        as_floats(given[:, :1]), p, p_new
    )
    ours = score_activelab(given, p, p_new)
    np.testing.assert_allclose(ours.labelled, theirs)
    np.testing.assert_allclose(ours.unlabelled, theirs_new)
