"""Agreement of outlines: cubes counted by hand, and readers whose errors are known."""

import numpy as np
import pytest

from fcdsynth.core.errors import GeometryError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.measure.agreement import compare_outlines, staple

GRID = Grid.of((30, 30, 30), np.diag([2.0, 2.0, 2.0, 1.0]))


def cube(start, side):
    array = np.zeros(GRID.shape, bool)
    x, y, z = start
    array[x : x + side, y : y + side, z : z + side] = True
    return Volume(array, GRID)


def test_overlap_distance_and_borders_by_hand():
    one, other = cube((10, 10, 10), 4), cube((12, 10, 10), 4)
    found = compare_outlines(one, other, tolerance_mm=1.0)
    assert found.dice == pytest.approx(0.5)
    assert found.distance_mm == pytest.approx(4.0)
    # Of 56 surface voxels each, those at x = 12, 13 of the first and their like in the second
    # lie in the other: 12 + 16 faces; the second's x = 12 plane is inside, not on a surface.
    assert found.surface_dice == pytest.approx(28 / 56 - 4 / 56)
    near = compare_outlines(one, other, tolerance_mm=4.0)
    assert near.surface_dice == 1.0
    same = compare_outlines(one, one)
    assert (same.dice, same.surface_dice, same.distance_mm) == (1, 1, 0)


def test_empty_outlines_agree_with_each_other_alone():
    empty = Volume(np.zeros(GRID.shape, bool), GRID)
    assert compare_outlines(empty, empty).presence
    found = compare_outlines(empty, cube((3, 3, 3), 3))
    assert (found.presence, found.dice, found.surface_dice, found.distance_mm) == (
        False, 0, 0, None
    )  # fmt: skip
    other = Volume(np.zeros((4, 4, 4), bool), Grid.of((4, 4, 4), np.eye(4)))
    with pytest.raises(GeometryError, match="second outline"):
        compare_outlines(empty, other)


def test_staple_finds_the_careful_readers_and_their_outline():
    truth = cube((12, 12, 12), 6)
    rng = np.random.default_rng(0)
    readers = []
    for miss in (0.02, 0.05, 0.5):
        array = truth.array & (rng.random(GRID.shape) > miss)
        readers.append(Volume(array, GRID))
    found = staple(readers)
    assert found.sensitivity[0] > 0.9
    assert found.sensitivity[2] == pytest.approx(0.5, abs=0.12)
    assert 2 * (found.mask.array & truth.array).sum() / (
        found.mask.array.sum() + truth.array.sum()
    ) > 0.97  # fmt: skip
    assert found.probability.array.max() <= 1
    with pytest.raises(SettingsError, match="2 outlines"):
        staple(readers[:2])
    with pytest.raises(SettingsError, match="only empty"):
        staple([Volume(np.zeros(GRID.shape, bool), GRID)] * 3)


def test_a_small_lesion_does_not_drown_in_background():
    """In the whole volume the prior would be one in a thousand; in the box it is not."""
    small = cube((14, 14, 14), 3)
    shrunk = cube((14, 14, 14), 2)
    found = staple([small, small, shrunk])
    assert (found.mask.array == small.array).all()
