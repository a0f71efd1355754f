"""Sensitivity at a rate of false clusters, read off the curve, by hand."""

import numpy as np

from fcdsynth.study.endpoint import Curve


def outcome(best, false, patient=None):
    patient = [True] * len(best) if patient is None else patient
    scores = sorted(((x, who) for who, mine in enumerate(false) for x in mine), reverse=True)
    return Curve(
        np.array(patient), np.array([-np.inf if b is None else b for b in best]),
        np.array([x for x, _ in scores]), np.array([who for _, who in scores], dtype=int),
    )  # fmt: skip


def test_all_false_clusters_that_fit_are_let_in():
    # Four subjects: two false clusters are allowed at one half a subject.
    found = outcome([0.9, 0.5, 0.2, None], [[0.8], [0.6], [0.4], []])
    # 0.8 and 0.6 fit; the third false cluster, 0.4, cuts just above itself.
    assert found.sensitivity(0.5) == 0.5
    assert found.sensitivity(0.75) == 0.75
    assert found.sensitivity(0.25) == 0.25
    assert found.sensitivity(0.0) == 0.25


def test_a_lesion_of_the_score_of_the_cut_is_not_found():
    found = outcome([0.8, 0.8], [[0.8, 0.8], []])
    assert found.sensitivity(0.5) == 0.0
    assert found.sensitivity(1.0) == 1.0


def test_controls_count_for_the_rate_and_not_for_the_share():
    found = outcome([0.7, None], [[], [0.9]], [True, False])
    assert found.sensitivity(0.5) == 1.0
    assert found.sensitivity(0.4) == 0.0


def test_weights_stand_for_repeated_subjects():
    found = outcome([0.9, 0.3], [[0.5], []])
    # The first subject three times: 3 false clusters over 4 subjects are more than one half.
    assert found.sensitivity(0.5, np.array([3.0, 1.0])) == 0.75
    assert found.sensitivity(0.5, np.array([1.0, 1.0])) == 1.0


def test_no_false_cluster_lets_everything_in():
    assert outcome([0.1, None], [[], []]).sensitivity(0.5) == 0.5
