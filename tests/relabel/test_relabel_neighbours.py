"""Neighbours by hand, and the rare one that is not called wrong."""

import numpy as np
import pytest

from fcdsynth.core.errors import SettingsError
from fcdsynth.relabel.neighbours import (
    Neighbourhood,
    NeighbourSettings,
    extent_inconsistency,
    find_neighbours,
    inconsistency,
)

PLAIN = NeighbourSettings(k=5, standardise=False)


def test_nearest_of_other_groups_only():
    x = np.arange(8.0)[:, None]
    found = find_neighbours(x, settings=PLAIN)
    assert found.index[0].tolist() == [1, 2, 3, 4, 5]
    grouped = find_neighbours(x, groups=[0, 0, 0, 1, 1, 2, 2, 2], settings=PLAIN)
    assert grouped.index[0].tolist() == [3, 4, 5, 6, 7]
    assert grouped.distance[0].tolist() == [3, 4, 5, 6, 7]
    assert sorted(grouped.index[3].tolist()) == [0, 1, 2, 5, 6]


def test_fewer_than_k_are_marked():
    found = find_neighbours(np.arange(3.0)[:, None], settings=PLAIN)
    assert found.index[0].tolist() == [1, 2, -1, -1, -1]
    assert found.rare.all()
    score = inconsistency(found, [0, 0, 1])
    assert 0 < score[0] < 1
    alone = find_neighbours(np.zeros((2, 1)), groups=[0, 0], settings=PLAIN)
    assert np.isnan(inconsistency(alone, [0, 1])).all()


def test_formula_by_hand():
    """Two neighbours at 1 and 2, sigma 2 (their furthest), labels a, a, b with shares 2/3, 1/3."""
    near = Neighbourhood(
        np.array([[1, 2], [0, 2], [0, 1]]), np.array([[1.0, 2.0]] * 3), np.zeros(3, bool)
    )
    score = inconsistency(near, ["a", "a", "b"])
    one, two = np.exp(-1 / 8), np.exp(-4 / 8)
    agree, other = one / (2 / 3), two / (1 / 3)
    assert score[0] == pytest.approx(1 - agree / (agree + other))
    assert score[2] == pytest.approx(1)


def test_class_share_is_corrected():
    """Among many of a common label, half the neighbours being common is below its share."""
    near = Neighbourhood(np.array([[1, 2]] * 10), np.ones((10, 2)), np.zeros(10, bool))
    labels = ["a", "a", "b", *["a"] * 7]
    assert inconsistency(near, labels)[0] == pytest.approx(0.9)


def test_an_outlier_is_rare_and_a_flipped_label_is_not():
    rng = np.random.default_rng(0)
    y = np.arange(100) % 2
    x = rng.normal(size=(100, 2)) + 6 * y[:, None]
    x[0] = [60, -60]
    given = y.copy()
    given[10] = 1 - given[10]
    found = find_neighbours(x)
    score = inconsistency(found, given)
    assert found.rare[0]
    assert not found.rare[10]
    assert score[10] > 0.95
    assert found.rare.sum() <= 5
    assert np.median(np.delete(score, [0, 10])) < 0.1


def test_extent_against_look_alikes():
    """ln 8 against the median of ln 1, ln 2, ln 4 is ln 4; one neighbour is its own median."""
    rows = np.array([[1, 2, 3], [0, -1, -1], [-1, -1, -1], [0, 1, 2]])
    near = Neighbourhood(rows, np.ones((4, 3)), np.zeros(4, bool))
    found = extent_inconsistency(near, np.log([8.0, 1.0, 2.0, 4.0]))
    np.testing.assert_allclose(found, [np.log(4), np.log(8), np.nan, np.log(2)])


def test_what_cannot_be_is_refused():
    with pytest.raises(SettingsError, match="k: found 2"):
        NeighbourSettings(k=2)
    with pytest.raises(SettingsError, match="features"):
        find_neighbours(np.zeros(4))
