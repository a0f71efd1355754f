import numpy as np
import pytest

from fcdsynth.evaluation.chance import Places, chance_level
from fcdsynth.evaluation.pairs import LesionField
from fcdsynth.evaluation.rules import Rule


@pytest.mark.parametrize("size", [1, 7, 60, 400])
def test_random_clusters_keep_size_and_stay_in_the_brain(make_grid, size):
    brain = np.zeros((24, 24, 24), bool)
    brain[2:22, 4:20, 3:9] = True
    places = Places(brain, make_grid(brain.shape, (1, 1, 2)), 400)
    rng = np.random.default_rng(0)
    for _ in range(20):
        voxels = places.draw(size, rng)
        assert len(np.unique(voxels, axis=0)) == size
        assert brain[tuple(voxels.T)].all()


def test_random_cluster_is_compact(make_grid):
    """33 voxels of 1 mm in open space are the ball of radius 2: none farther than 2 mm."""
    places = Places(np.ones((40, 40, 40), bool), make_grid((40, 40, 40)), 33)
    rng = np.random.default_rng(2)
    spans = [np.ptp(places.draw(33, rng), axis=0).max() for _ in range(30)]
    assert sorted(set(spans))[0] == 4


def test_brain_smaller_than_the_cluster(make_grid):
    brain = np.zeros((8, 8, 8), bool)
    brain[3:5, 3:5, 3:5] = True
    assert len(Places(brain, make_grid(brain.shape), 50).draw(50, np.random.default_rng(0))) == 8


def test_single_voxel_hits_in_proportion_to_the_lesion(make_grid):
    """Lesion of 216 voxels in a brain of 1728: one random voxel overlaps with p = 1/8.

    1,000 draws: 3.5 standard errors are 0.037.
    """
    shape = (12, 12, 12)
    grid = make_grid(shape, (4, 4, 4))
    inside = np.argwhere(np.ones((6, 6, 6), bool))
    lesion = LesionField.of(inside, grid)
    places = Places(np.ones(shape, bool), grid, 1)
    rng = np.random.default_rng(0)
    chance = chance_level([lesion], [1], [0.5], places, 1000, rng)
    assert chance.subject[Rule.OVERLAP] == pytest.approx(1 / 8, abs=0.037)
    assert chance.subject[Rule.IOU] == 0  # 1/216 < 0.1
    # Within 20 mm = 5 voxels of the 6-voxel cube at the corner: x, y, z up to 10, rounded.
    distance = np.maximum(np.argwhere(np.ones(shape)) - 5, 0)
    near = (np.linalg.norm(distance * 4, axis=1) <= 20).mean()
    assert chance.subject[Rule.NEAR] == pytest.approx(near, abs=0.06)


def test_rules_are_ordered_in_every_draw_and_no_clusters_never_hit(make_grid):
    shape = (20, 20, 20)
    grid = make_grid(shape, (3, 3, 3))
    lesion = LesionField.of(np.argwhere(np.ones((4, 4, 4), bool)) + 8, grid)
    places = Places(np.ones(shape, bool), grid, 80)
    chance = chance_level([lesion], [80, 20], [0.5, 0.4], places, 200, np.random.default_rng(1))
    level = chance.subject
    assert 0 < level[Rule.IOU] <= level[Rule.OVERLAP] < level[Rule.NEAR]
    none = chance_level([lesion], [], [], places, 5, np.random.default_rng(1))
    assert set(none.subject.values()) == {0.0}


def test_same_seed_same_chance(make_grid):
    shape = (16, 16, 16)
    grid = make_grid(shape, (3, 3, 3))
    lesion = LesionField.of(np.argwhere(np.ones((4, 4, 4), bool)), grid)

    def once(seed):
        places = Places(np.ones(shape, bool), grid, 30)
        rng = np.random.default_rng(seed)
        return chance_level([lesion], [30], [0.5], places, 40, rng).subject

    assert once(5) == once(5)
    assert once(5) != once(6)
