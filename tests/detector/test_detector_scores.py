"""Scores of clusters: the line is recovered, its prior holds, and few clusters change nothing."""

import numpy as np
import pytest
from scipy.special import expit, logit

from fcdsynth.core.detection import OperatingPoint
from fcdsynth.core.grid import Grid
from fcdsynth.detector.scores import Candidate, candidates_in, fit_scores


def drawn(slope, intercept, n, seed=0):
    rng = np.random.default_rng(seed)
    raw = rng.uniform(0.05, 0.95, n)
    hit = rng.random(n) < expit(slope * logit(raw) + intercept)
    return [Candidate(float(r), bool(h)) for r, h in zip(raw, hit, strict=True)]


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.6, -1.0), (1.8, 0.5)])
def test_the_line_is_recovered_from_many(slope, intercept):
    found = fit_scores(drawn(slope, intercept, 4000))
    assert found == pytest.approx((slope, intercept), abs=0.15)


def test_few_clusters_stay_near_the_slope_of_one():
    steep = [Candidate(0.9, True)] * 6 + [Candidate(0.2, False)] * 6
    slope, _ = fit_scores(steep)
    # Separable: without its prior the slope would run away.
    assert 1 < slope < 2


def test_too_few_of_either_kind_change_nothing():
    assert fit_scores([Candidate(0.9, True)] * 50 + [Candidate(0.2, False)] * 4) == (1.0, 0.0)
    assert fit_scores([]) == (1.0, 0.0)


def test_scores_that_mislead_keep_their_order():
    wrong = [Candidate(0.9, False)] * 30 + [Candidate(0.1, True)] * 30
    slope, _ = fit_scores(wrong)
    assert slope == pytest.approx(0.05)


def test_calibrated_score_by_hand():
    point = OperatingPoint(score_slope=0.5, score_intercept=-1.0)
    assert point.calibrated(0.8) == pytest.approx(1 / (1 + np.exp(1 - 0.5 * np.log(4))))
    assert OperatingPoint().calibrated(0.8) == 0.8
    assert 0 <= point.calibrated(0.0) < point.calibrated(1.0) <= 1
    assert OperatingPoint.from_json(point.to_json()) == point


def test_candidates_by_hand():
    grid = Grid.of((12, 12, 12), np.diag([4.0, 4, 4, 1]))  # voxels of 0.064 ml
    map_ = np.zeros(grid.shape, np.float32)
    lesion = np.zeros(grid.shape, bool)
    map_[2:4, 2:4, 2:4] = 0.4
    map_[2, 2, 2] = 0.8
    lesion[3, 3, 3] = True
    map_[8, 8, 8] = 0.3
    found = sorted(candidates_in(map_, lesion, grid), key=lambda c: c.raw)
    # 2.8 ml are 44 voxels: one of 0.3; one of 0.8 and seven of 0.4.
    assert [c.raw for c in found] == pytest.approx([0.3 / 44, 3.6 / 44], rel=1e-5)
    assert [c.hit for c in found] == [False, True]
