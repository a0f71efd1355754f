"""What registration refuses: noise, images of other things, heads apart, needless movement."""

import numpy as np
import pytest
from phantom import tiny_grid, tiny_head
from scipy.spatial.transform import Rotation

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.prepare.plausible import cover, movement
from fcdsynth.prepare.registration import register

GRID = tiny_grid(size=32, spacing_mm=5.0)
HEAD = tiny_head(GRID, 1, (34.0, 20.0, 12.0))
T1W, BRAIN = Volume(HEAD["t1w"], GRID), Volume(HEAD["brain"], GRID)


def displaced(array, matrix):
    return Volume(array, Grid.of(GRID.shape, matrix @ GRID.matrix))


def shifted(mm):
    matrix = np.eye(4)
    matrix[0, 3] = mm
    return matrix


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_keeps_the_headers_alignment(seed):
    noise = np.random.default_rng(seed).normal(100, 30, GRID.shape).astype(np.float32)
    match = register(T1W, Volume(noise, GRID), BRAIN)
    np.testing.assert_array_equal(match.matrix, np.eye(4))
    assert match.refused


def test_a_constant_image_keeps_the_headers_alignment():
    match = register(T1W, Volume(np.full(GRID.shape, 7, np.float32), GRID), BRAIN)
    np.testing.assert_array_equal(match.matrix, np.eye(4))
    assert match.refused
    assert match.information == 0


def test_an_aligned_pair_stays_or_moves_by_a_fraction_of_a_voxel():
    match = register(T1W, Volume(HEAD["flair"], GRID), BRAIN)
    turn, shift = movement(match.matrix, (0, 0, 0))
    assert turn < 1.5
    assert shift < 1.0


def test_a_head_lying_on_its_side_is_not_turned_upright():
    """90 degrees between two scans of one session is a wrong header, not a moving patient."""
    turned = np.eye(4)
    turned[:3, :3] = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    match = register(T1W, displaced(HEAD["flair"], turned), BRAIN)
    assert movement(match.matrix, (0, 0, 0))[0] <= 45


def test_headers_without_their_origin_are_matched_all_the_same():
    match = register(T1W, displaced(HEAD["flair"], shifted(250.0)), BRAIN)
    assert match.refused == ""
    turn, shift = movement(match.matrix, (0, 0, 0))
    assert shift == pytest.approx(250, abs=2.5)
    assert turn < 3


def test_noise_beside_the_head_is_an_error_and_not_a_guess():
    noise = np.random.default_rng(3).normal(100, 30, GRID.shape).astype(np.float32)
    with pytest.raises(CohortError, match=r"sub-9.*do not overlap"):
        register(T1W, displaced(noise, shifted(250.0)), BRAIN, subject="sub-9")


def test_cover_counts_voxels_in_the_field_of_view():
    full = Volume(np.ones((4, 2, 2), bool), Grid.of((4, 2, 2), np.eye(4)))
    assert cover(full, full.grid, np.eye(4)) == 1
    assert cover(full, full.grid, shifted(3.0)) == 0.25
    assert cover(full, full.grid, shifted(9.0)) == 0
    assert cover(Volume(np.zeros((4, 2, 2), bool), full.grid), full.grid, np.eye(4)) == 0
