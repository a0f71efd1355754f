from itertools import permutations

import numpy as np
import pytest

from fcdsynth.core.errors import SettingsError
from fcdsynth.evaluation.matching import Role, match
from fcdsynth.evaluation.pairs import Pairs
from fcdsynth.evaluation.rules import Rule, rule_named


def _pairs(iou=None, centre=None, gap=None):
    iou = np.asarray(iou if iou is not None else np.zeros(np.shape(centre)), dtype=float)
    centre = np.full(iou.shape, 99.0) if centre is None else np.asarray(centre, dtype=float)
    if gap is None:
        gap = np.where(iou > 0, 0.0, np.inf)
    shared = (iou > 0).astype(int)
    return Pairs(shared, iou, 2 * iou / (1 + iou), centre, np.asarray(gap, dtype=float))


def test_limits_are_inclusive():
    assert Rule.IOU.hits(_pairs([[0.1, 0.0999]])).tolist() == [[True, False]]
    assert Rule.CENTRE.hits(_pairs(centre=[[10.0, 10.01]])).tolist() == [[True, False]]
    assert Rule.NEAR.hits(_pairs([[0, 0]], gap=[[20.0, np.inf]])).tolist() == [[True, False]]
    assert Rule.OVERLAP.hits(_pairs([[1e-6, 0]])).tolist() == [[True, False]]


def test_a_tenth_of_the_union_hits_whatever_the_size():
    """3/30, 7/70 and 13/130 must all count as 0.1."""
    iou = np.array([[3, 7, 13]]) / np.array([[30, 70, 130]])
    assert Rule.IOU.hits(_pairs(iou)).all()


def test_second_cluster_on_a_lesion_is_extra():
    """Two clusters touch the one lesion, a third is elsewhere: true, extra, false."""
    outcome = match(Rule.OVERLAP, _pairs([[0.2, 0.4, 0]]), [0.9, 0.8, 0.7])
    assert outcome.found_by == (0,)
    assert outcome.roles == (Role.TRUE, Role.EXTRA, Role.FALSE)


def test_equal_scores_are_settled_by_fit():
    outcome = match(Rule.OVERLAP, _pairs([[0.2, 0.4]]), [0.5, 0.5])
    assert outcome.found_by == (1,)


def test_one_big_cluster_on_two_lesions():
    """Overlap lets one cluster find both lesions; IoU is one to one and finds the better fit."""
    pairs = _pairs([[0.3], [0.4]])
    assert match(Rule.OVERLAP, pairs, [0.5]).found_by == (0, 0)
    assert match(Rule.IOU, pairs, [0.5]).found_by == (None, 0)


def test_maximum_matching_beats_greedy():
    """Cluster 0 hits both lesions, cluster 1 only the first: both lesions can be found.

    A greedy choice by fit would give lesion 0 to cluster 0 and leave lesion 1 missed.
    """
    outcome = match(Rule.IOU, _pairs([[0.9, 0.2], [0.3, 0.0]]), [0.9, 0.1])
    assert outcome.found_by == (1, 0)


def test_a_score_of_zero_still_finds():
    assert match(Rule.IOU, _pairs([[0.5]]), [0.0]).found_by == (0,)
    assert match(Rule.OVERLAP, _pairs([[0.5]]), [0.0]).found_by == (0,)


@pytest.mark.parametrize("shape", [(2, 0), (0, 3), (0, 0)])
@pytest.mark.parametrize("rule", list(Rule))
def test_empty_sides(rule, shape):
    outcome = match(rule, _pairs(np.zeros(shape)), [0.5] * shape[1])
    assert outcome.found_by == (None,) * shape[0]
    assert outcome.roles == (Role.FALSE,) * shape[1]


def _largest(hits):
    """Size of a maximum matching by trying every assignment of clusters to lesions."""
    n_lesions, n_clusters = hits.shape
    slots = [*range(n_clusters), *[None] * n_lesions]
    return max(
        sum(c is not None and hits[row, c] for row, c in enumerate(order))
        for order in set(permutations(slots, n_lesions))
    )


def test_matching_is_maximum_at_every_threshold():
    """Oracle: brute force on 60 random tables, at each threshold on its own.

    This is what lets one matching serve the whole FROC curve.
    """
    rng = np.random.default_rng(1)
    sizes = set()
    for _ in range(60):
        iou = np.where(rng.random((3, 4)) < 0.45, rng.uniform(0.1, 0.9, (3, 4)), 0)
        scores = rng.choice([0.0, 0.2, 0.4, 0.6, 0.8], 4)
        outcome = match(Rule.IOU, _pairs(iou), scores)
        for threshold in np.unique(scores):
            kept = scores >= threshold
            mine = sum(c is not None and kept[c] for c in outcome.found_by)
            assert mine == _largest((iou >= 0.1) & kept[None])
            sizes.add(mine)
    assert sizes == {0, 1, 2, 3}


def test_unknown_rule_names_the_choices():
    with pytest.raises(SettingsError, match=r"overlap .any shared voxel.*near"):
        rule_named("dice")
