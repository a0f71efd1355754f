import numpy as np
import pytest
from scipy.spatial.distance import cdist

from fcdsynth.core.grid import Grid
from fcdsynth.evaluation.pairs import LesionField, label_voxels, measure_pairs


def _box(*sides):
    return np.stack(np.meshgrid(*[np.arange(a, b) for a, b in sides], indexing="ij"), -1).reshape(
        -1, 3
    )


def test_two_boxes_by_hand(make_grid):
    """Lesion 4x4x4 at 0..3, cluster 4x4x4 at 2..5 in x: 2*4*4 = 32 shared, 96 in the union.

    IoU 32/96 = 1/3, Dice 64/128 = 0.5, centres 2 voxels apart, gap 0.
    """
    grid = make_grid((12, 12, 12))
    lesion = LesionField.of(_box((0, 4), (0, 4), (0, 4)), grid)
    pairs = measure_pairs([lesion], [_box((2, 6), (0, 4), (0, 4))], grid)
    assert pairs.shared_vox.tolist() == [[32]]
    assert pairs.iou[0, 0] == pytest.approx(1 / 3)
    assert pairs.dice[0, 0] == pytest.approx(0.5)
    assert pairs.centre_mm[0, 0] == pytest.approx(2)
    assert pairs.gap_mm[0, 0] == 0


def test_anisotropic_gap_by_hand(make_grid):
    """Voxels 1 x 2 x 5 mm; from (0,0,0) to (3,2,1): sqrt(9 + 16 + 25) = 7.07 mm."""
    grid = make_grid((6, 6, 6), (1, 2, 5))
    lesion = LesionField.of(np.array([[0, 0, 0]]), grid)
    pairs = measure_pairs([lesion], [np.array([[3, 2, 1]])], grid)
    assert pairs.gap_mm[0, 0] == pytest.approx(np.sqrt(50), rel=1e-6)
    assert pairs.centre_mm[0, 0] == pytest.approx(np.sqrt(50))


def _affines():
    rng = np.random.default_rng(3)
    spin, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    shear = np.array([[1.5, 0.6, 0], [0, 1.2, -0.4], [0, 0, 2.0]])
    return {"spun": spin * [1.0, 1.7, 2.4], "sheared": shear, "mirrored": np.diag([-2.0, 2, 2])}


@pytest.mark.parametrize("name", ["spun", "sheared", "mirrored"])
def test_gap_agrees_with_all_distances(name):
    """Oracle: every voxel of one against every voxel of the other, in world mm."""
    affine = np.eye(4)
    affine[:3, :3] = _affines()[name]
    grid = Grid.of((40, 40, 40), affine)
    rng = np.random.default_rng(0)
    checked = set()
    for _ in range(40):
        lesion = rng.integers(0, 4, (9, 3)) + rng.integers(0, 36, 3)
        cluster = rng.integers(0, 4, (7, 3)) + rng.integers(0, 36, 3)
        lesion, cluster = np.unique(lesion, axis=0), np.unique(cluster, axis=0)
        truth = cdist(grid.to_mm(lesion), grid.to_mm(cluster)).min()
        gap = measure_pairs([LesionField.of(lesion, grid)], [cluster], grid).gap_mm[0, 0]
        if truth <= 20:
            assert gap == pytest.approx(truth, abs=1e-4)
        else:
            assert np.isinf(gap)
        checked.add(truth <= 20)
    assert checked == {True, False}


def test_exactly_20_mm_is_within_reach(make_grid):
    grid = make_grid((30, 4, 4))
    lesion = LesionField.of(np.array([[0, 0, 0]]), grid)
    pairs = measure_pairs([lesion], [np.array([[20, 0, 0]]), np.array([[21, 0, 0]])], grid)
    assert pairs.gap_mm[0].tolist() == [20, np.inf]


def test_nothing_on_either_side(make_grid):
    grid = make_grid((4, 4, 4))
    lesion = LesionField.of(np.array([[0, 0, 0]]), grid)
    assert measure_pairs([lesion], [], grid).iou.shape == (1, 0)
    assert measure_pairs([], [np.array([[0, 0, 0]])], grid).iou.shape == (0, 1)


def test_label_voxels_keeps_gaps_in_numbering():
    labels = np.zeros((4, 4, 4), np.int16)
    labels[1, 2, 3], labels[0, 0, 0], labels[0, 0, 1] = 2, 5, 5
    found = label_voxels(labels)
    assert {k: v.tolist() for k, v in found.items()} == {
        2: [[1, 2, 3]],
        5: [[0, 0, 0], [0, 0, 1]],
    }
