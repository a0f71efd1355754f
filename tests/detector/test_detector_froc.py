"""The figure that the benchmark reads off the FROC curve, by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from detector_froc import Scored, expected_calibration_error, sensitivity_at


def outcome(best, false, patient=None):
    patient = [True] * len(best) if patient is None else patient
    return Scored(
        tuple(str(n) for n in range(len(best))), np.array(patient),
        np.array([-np.inf if b is None else b for b in best]),
        tuple(np.array(f, dtype=float) for f in false), (), (),
    )  # fmt: skip


def test_all_false_clusters_that_fit_are_let_in():
    # Four subjects: two false clusters are allowed at one half a subject.
    found = outcome([0.9, 0.5, 0.2, None], [[0.8], [0.6], [0.4], []])
    # 0.8 and 0.6 fit; the third false cluster, 0.4, cuts just above itself.
    assert sensitivity_at(found, 0.5) == 0.5
    assert sensitivity_at(found, 0.75) == 0.75
    assert sensitivity_at(found, 0.25) == 0.25
    assert sensitivity_at(found, 0.0) == 0.25


def test_a_lesion_of_the_score_of_the_cut_is_not_found():
    found = outcome([0.8, 0.8], [[0.8, 0.8], []])
    assert sensitivity_at(found, 0.5) == 0.0
    assert sensitivity_at(found, 1.0) == 1.0


def test_controls_count_for_the_rate_and_not_for_the_share():
    found = outcome([0.7, None], [[], [0.9]], [True, False])
    assert sensitivity_at(found, 0.5) == 1.0
    assert sensitivity_at(found, 0.4) == 0.0


def test_weights_stand_for_repeated_subjects():
    found = outcome([0.9, 0.3], [[0.5], []])
    # The first subject three times: 3 false clusters over 4 subjects are more than one half.
    assert sensitivity_at(found, 0.5, np.array([3.0, 1.0])) == 0.75
    assert sensitivity_at(found, 0.5, np.array([1.0, 1.0])) == 1.0


def test_no_false_cluster_lets_everything_in():
    assert sensitivity_at(outcome([0.1, None], [[], []]), 0.5) == 0.5


def test_calibration_error_by_hand():
    clusters = [(0.1, False), (0.1, True), (0.9, True), (1.0, True)]
    error, rows = expected_calibration_error(clusters)
    # Bins: two of mean 0.1, half hit; two of mean 0.95, all hit.
    assert error == pytest.approx((2 * 0.4 + 2 * 0.05) / 4)
    assert [row[0] for row in rows] == [2, 2]
