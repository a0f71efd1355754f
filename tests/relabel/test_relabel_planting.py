"""Planted errors: each does what its name says, in millimetres, twice alike."""

import numpy as np
import pytest
import simulated_support as sim
from scipy import ndimage

from fcdsynth.core.errors import SettingsError
from fcdsynth.relabel.planting.recipes import plant
from fcdsynth.relabel.planting.scene import Scene
from fcdsynth.relabel.planting.spec import ERRORS, REDRAWN, PlantSpec, draw_spec

CORTEX = sim.BRAIN & ~ndimage.binary_erosion(sim.BRAIN, iterations=3)


def ball(centre, radius):
    return np.linalg.norm(sim.MM - np.asarray(centre, float), axis=-1) < radius


def scene_of(mask):
    return Scene(mask, sim.BRAIN, CORTEX, sim.GRID, sim.MIDPLANE, np.eye(4))


def planted(mask, error, amount=0.0, other=None, seed=5):
    donor = None if other is None else scene_of(other)
    return plant(PlantSpec("sub-1", error, amount, "sub-2", seed), scene_of(mask), donor)


def dice(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


BALL = ball((30, 0, 0), 12)


@pytest.mark.parametrize("amount", [1.6, 3.1])
def test_a_mask_grows_and_shrinks_by_millimetres(amount):
    large, small = planted(BALL, "too_large", amount), planted(BALL, "too_small", amount)
    assert (BALL & ~large).sum() == 0
    assert (small & ~BALL).sum() == 0
    volume = 0.027 * np.array([small.sum(), BALL.sum(), large.sum()]) * 1000
    radius = (volume * 3 / 4 / np.pi) ** (1 / 3)
    # Voxels are 3 mm: a border is known to half of one.
    assert radius[2] - radius[1] == pytest.approx(amount, abs=1.5)
    assert radius[1] - radius[0] == pytest.approx(amount, abs=1.5)


def test_a_tiny_mask_keeps_a_fifth_when_it_is_drawn_too_small():
    tiny = ball((30, 0, 0), 5)
    left = planted(tiny, "too_small", 3.0)
    assert 0.2 * tiny.sum() <= left.sum() < tiny.sum()


def test_a_wobbly_border_wanders_and_a_redrawn_one_hardly():
    wobbly, again = planted(BALL, "wobbly", 2.5), planted(BALL, REDRAWN, 0.4)
    assert dice(wobbly, BALL) < dice(again, BALL)
    assert dice(again, BALL) > 0.9
    assert 0.6 < wobbly.sum() / BALL.sum() < 1.6


@pytest.mark.parametrize("every", [2, 3])
def test_every_second_or_third_slab_of_3_mm_is_missing(every):
    drawn = planted(BALL, "holes", float(every))
    slabs = [k for k in range(sim.SIZE) if BALL[k].any()]  # voxels are 3 mm: one slab each
    for number, k in enumerate(slabs):
        expected = 0 if number % every == every - 1 else BALL[k].sum()
        assert drawn[k].sum() == expected


def test_a_lone_lesion_is_missed_whole_and_one_of_two_is_left():
    assert not planted(BALL, "missed").any()
    second = ball((30, 35, 0), 6)
    left = planted(BALL | second, "missed")
    assert (left == BALL).all() or (left == second).all()
    speck = np.zeros_like(BALL)
    speck[5, 20, 20] = True  # is no lesion to be left out
    assert not planted(BALL | speck, "missed").any()


def test_a_shift_is_as_long_as_it_says():
    moved = planted(BALL, "shifted", 7.0)
    step = np.argwhere(moved).mean(axis=0) - np.argwhere(BALL).mean(axis=0)
    assert 3 * np.linalg.norm(step) == pytest.approx(7.0, abs=2.0)


def test_the_wrong_side_is_the_mirrored_place_and_only_there():
    drawn = planted(BALL, "side")
    assert sim.MM[drawn][:, 0].max() < 0
    centre = sim.MM[drawn].mean(axis=0)
    assert np.linalg.norm(centre - [-30, 0, 0]) < 8
    assert drawn.sum() == pytest.approx(BALL.sum(), rel=0.15)


def test_a_false_lesion_is_added_far_from_the_mask():
    other = ball((-30, 20, 0), 8)
    drawn = planted(BALL, "false", other=other)
    assert (drawn & BALL).sum() == BALL.sum()
    added = drawn & ~BALL
    assert 0.3 * other.sum() < added.sum() < 1.3 * other.sum()
    gap = ndimage.distance_transform_edt(~BALL, sampling=3.0)[added].min()
    assert gap > 0


def test_another_subjects_mask_lies_where_it_lay_in_the_other_head():
    other = ball((-30, 20, 0), 8)
    assert dice(planted(BALL, "subject", other=other), other & sim.BRAIN) == 1.0
    moved = np.eye(4)
    moved[0, 3] = 6.0  # this head lies 6 mm to the left of the other one
    scene = Scene(BALL, sim.BRAIN, CORTEX, sim.GRID, sim.MIDPLANE, moved)
    drawn = plant(PlantSpec("sub-1", "subject", 0, "sub-2", 1), scene, scene_of(other))
    assert dice(drawn, ball((-36, 20, 0), 8)) > 0.85


@pytest.mark.parametrize("error", [*ERRORS, REDRAWN])
def test_the_same_spec_is_planted_twice_alike(error):
    spec = draw_spec("sub-1", error, ["sub-2"], [3])
    assert draw_spec("sub-1", error, ["sub-2"], [3]) == spec
    assert draw_spec("sub-9", error, ["sub-2"], [3]).seed != spec.seed
    two = scene_of(BALL | ball((30, 35, 0), 6))
    donor = scene_of(ball((-30, 20, 0), 8))
    first, second = (plant(spec, two, donor) for _ in range(2))
    assert (first == second).all()
    assert not (first & ~sim.BRAIN).any()


def test_unknown_errors_and_absent_donors_are_refused():
    with pytest.raises(SettingsError, match="painted"):
        draw_spec("sub-1", "painted", [], [0])
    with pytest.raises(SettingsError, match="no other mask"):
        draw_spec("sub-1", "subject", [], [0])
