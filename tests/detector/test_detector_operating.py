"""Temperature, threshold and score against constructed cases."""

import numpy as np
import pytest
from phantom import tiny_grid

from fcdsynth.core.detection import OperatingPoint
from fcdsynth.core.volume import Volume
from fcdsynth.detector.infer import probability
from fcdsynth.detector.operating import (
    HeldOut,
    choose_operating_point,
    fit_temperature,
    sweep_thresholds,
)
from fcdsynth.measure.clusters import cluster_score, expected_share, find_clusters

GRID = tiny_grid(spacing_mm=4.0)  # 0.064 ml a voxel
BRAIN = np.ones(GRID.shape, bool)


def held_out(name, boxes, lesion=None):
    """Logits -10 but for boxes (corner, size, logit)."""
    logits = np.full(GRID.shape, -10.0, np.float32)
    mask = np.zeros(GRID.shape, bool)
    for (x, y, z), size, value in boxes:
        logits[x : x + size, y : y + size, z : z + size] = value
    if lesion:
        (x, y, z), size = lesion
        mask[x : x + size, y : y + size, z : z + size] = True
    return HeldOut(name, logits, BRAIN, mask, GRID)


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.5])
def test_temperature_is_recovered(truth):
    rng = np.random.default_rng(4)
    logits = rng.normal(-2, 2, GRID.shape).astype(np.float32)
    lesion = rng.random(GRID.shape) < probability(logits, truth)
    subject = HeldOut("a", logits, BRAIN, lesion, GRID)
    assert fit_temperature([subject]) == pytest.approx(truth, rel=0.1)


def test_temperature_with_sampled_background_agrees_with_all_voxels(monkeypatch):
    rng = np.random.default_rng(5)
    logits = rng.normal(-5, 2, GRID.shape).astype(np.float32)
    lesion = rng.random(GRID.shape) < probability(logits, 1.6)
    subject = HeldOut("a", logits, BRAIN, lesion, GRID)
    full = fit_temperature([subject])
    monkeypatch.setattr("fcdsynth.detector.operating._RANDOM_VOXELS", 3000)
    assert fit_temperature([subject]) == pytest.approx(full, rel=0.1)


def test_temperature_without_a_lesion_is_one():
    assert fit_temperature([held_out("c", [((3, 3, 3), 2, 1.0)])]) == 1.0
    assert fit_temperature([]) == 1.0


def test_sweep_by_hand():
    # Patient: lesion hit at logit 1.2 (p 0.77) and a false cluster at -0.2 (p 0.45).
    # Control: a false cluster of one voxel (0.064 ml) at 0.2 (p 0.55).
    patient = held_out("p", [((2, 2, 2), 3, 1.2), ((12, 12, 12), 2, -0.2)], ((2, 2, 2), 3))
    control = held_out("c", [((5, 5, 5), 1, 0.2)])
    rows = {(r.threshold, r.min_volume_ml): r for r in sweep_thresholds([patient, control], 1.0)}

    def counts(threshold, volume):
        row = rows[threshold, volume]
        return row.found, row.false_clusters, row.lesions, row.subjects

    assert counts(0.3775, 0.05) == (1, 2, 1, 2)
    assert counts(0.5, 0.05) == (1, 1, 1, 2)
    assert counts(0.5, 0.1) == (1, 0, 1, 2)
    assert counts(0.6225, 0.05) == (1, 0, 1, 2)
    assert counts(0.8176, 0.05) == (0, 0, 1, 2)
    assert rows[0.5, 0.05].f1 == pytest.approx(2 / 3, abs=1e-6)
    assert rows[0.5, 0.1].f1 == 1
    assert rows[0.5, 0.05].dice == pytest.approx(54 / 55, abs=1e-6)


def test_a_cluster_that_floods_the_brain_is_no_hit():
    flood = held_out("p", [((0, 0, 0), 24, 3.0)], ((2, 2, 2), 3))
    assert all(row.found == 0 for row in sweep_thresholds([flood], 1.0))


def test_choice_is_the_best_f1_nearest_to_one_half():
    # A false cluster of p 0.69 asks for more than the default, the lesion of p 0.95 for no more.
    patient = held_out("p", [((2, 2, 2), 3, 3.0), ((12, 12, 12), 3, 0.8)], ((2, 2, 2), 3))
    point, sweep = choose_operating_point([patient])
    best = {r.threshold for r in sweep if r.f1 == 1}
    assert len(best) > 1
    assert point.threshold == min(best) > 0.5
    assert point.min_volume_ml == 0.1
    assert point.chosen_on == ("p",)


def test_a_faint_lesion_lowers_the_threshold():
    patient = held_out("p", [((2, 2, 2), 3, -1.4)], ((2, 2, 2), 3))
    others = [held_out(f"o{n}", [((2, 2, 2), 3, -1.4)]) for n in range(3)]
    point, _ = choose_operating_point([patient, *others])
    assert point.threshold < 0.5
    found = probability(patient.logits, point.temperature) >= point.threshold
    assert np.array_equal(found, patient.lesion)


def test_without_validation_patients_the_defaults_stay():
    control = held_out("c", [((5, 5, 5), 3, 2.0)])
    point, _ = choose_operating_point([control])
    assert (point.threshold, point.min_volume_ml, point.temperature) == (0.5, 0.1, 1.0)
    assert choose_operating_point([])[0] == OperatingPoint(scored_by="volume")


def test_score_by_hand():
    values = np.array([0.9, 0.8, 0.3, 0.1])
    assert cluster_score(values, 0.05) == pytest.approx(0.85)  # two voxels make 0.1 ml
    assert cluster_score(values, 1.0) == pytest.approx(0.9)
    assert cluster_score(values, 0.001) == pytest.approx(values.mean())


def test_score_does_not_depend_on_the_voxel_size():
    ramp = np.linspace(0.2, 0.9, 400)
    assert cluster_score(ramp, 0.001) == pytest.approx(cluster_score(np.repeat(ramp, 8), 0.000125))


def test_clusters_are_numbered_by_score_and_carry_their_side():
    map_ = np.zeros(GRID.shape, np.float32)
    map_[2:6, 10:12, 10:12] = 0.6  # larger, lower, left
    map_[18:20, 10:12, 10:12] = 0.9
    map_[12, 2, 2] = 0.95  # 0.064 ml: too small
    labels, clusters = find_clusters("s", Volume(map_, GRID), OperatingPoint(1.0, 0.5, 0.1), None)
    assert [(c.cluster, c.side, c.size_vox) for c in clusters] == [(1, "R", 8), (2, "L", 16)]
    assert clusters[0].score == pytest.approx(0.9)
    assert clusters[0].volume_ml == pytest.approx(8 * 0.064)
    assert clusters[0].centre_mm == pytest.approx((28.0, -4.0, -4.0))
    assert clusters[0].centre_mni_mm is None
    assert labels.array[18, 10, 10] == 1
    assert labels.array[2, 10, 10] == 2
    assert labels.array[12, 2, 2] == 0


def test_by_volume_a_larger_cluster_may_come_first():
    map_ = np.zeros(GRID.shape, np.float32)
    map_[2:6, 10:12, 10:12] = 0.6
    map_[18:20, 10:12, 10:12] = 0.9
    point = OperatingPoint(scored_by="volume")
    _, clusters = find_clusters("s", Volume(map_, GRID), point, None)
    assert [c.size_vox for c in clusters] == [16, 8]
    # 2.8 ml are 44 voxels.
    assert [c.score for c in clusters] == pytest.approx([16 * 0.6 / 44, 8 * 0.9 / 44], rel=1e-6)
    assert expected_share(np.full(500, 0.7), 0.0640) == pytest.approx(0.7)


def test_side_follows_mni_where_it_is_known():
    map_ = np.zeros(GRID.shape, np.float32)
    map_[13:15, 10:12, 10:12] = 0.9  # world x about 8 mm
    shift = np.eye(4)
    shift[0, 3] = -20.0
    _, (cluster,) = find_clusters("s", Volume(map_, GRID), OperatingPoint(), shift)
    assert cluster.centre_mm[0] > 0
    assert cluster.side == "L"
    assert cluster.centre_mni_mm[0] == pytest.approx(cluster.centre_mm[0] - 20)
