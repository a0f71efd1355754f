"""The mid-sagittal plane: known planes come back, reflections are reflections."""

import numpy as np
import pytest
from phantom import ORIENTATIONS, tiny_grid

from fcdsynth.core.errors import GeometryError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.measure.mirror import Midplane, values_at


def _turn(yaw_deg, roll_deg):
    a, b = np.deg2rad([yaw_deg, roll_deg])
    yaw = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    roll = np.array([[np.cos(b), 0, -np.sin(b)], [0, 1, 0], [np.sin(b), 0, np.cos(b)]])
    return yaw @ roll


def _egg(grid, turn, shift):
    """A head-like body, symmetric in its own frame: narrow in front, flat below."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    own = (grid.to_mm(index) - shift) @ turn  # rows times matrix: the inverse turn
    width = 48 - 0.18 * own[..., 1]
    body = (own[..., 0] / width) ** 2 + (own[..., 1] / 66) ** 2 + (own[..., 2] / 50) ** 2
    return (body < 1) & (own[..., 2] > -30)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_fitted_plane_finds_a_turned_and_shifted_head(orientation):
    grid = tiny_grid(orientation, size=56, spacing_mm=3.0)
    turn, shift = _turn(8, -6), np.array([7.0, -4, 3])
    plane = Midplane.fitted(Volume(_egg(grid, turn, shift), grid))
    assert plane.source == "fitted"
    normal = np.asarray(plane.lateral[:3])
    angle = np.rad2deg(np.arccos(np.clip(normal @ turn[:, 0], -1, 1)))
    assert angle < 2
    assert abs(plane.right_mm(shift)) < 1.5
    assert plane.side(shift + 20 * turn[:, 0]) == "R"
    assert plane.side(shift - 20 * turn[:, 0]) == "L"


def test_a_one_sided_hole_does_not_pull_the_plane():
    grid = tiny_grid(size=56, spacing_mm=3.0)
    brain = _egg(grid, np.eye(3), np.zeros(3))
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    mm = grid.to_mm(index)
    brain &= np.linalg.norm(mm - [42, 10, 10], axis=-1) > 18
    plane = Midplane.fitted(Volume(brain, grid))
    assert abs(plane.right_mm((0.0, 0.0, 0.0))) < 2.0


def test_reflecting_twice_is_nothing_and_keeps_the_plane():
    plane = Midplane.through((3.0, 1, 2), (2.0, 0.3, -0.1), "fitted")
    points = np.random.default_rng(0).normal(0, 40, (20, 3))
    np.testing.assert_allclose(plane.mirrored(plane.mirrored(points)), points, atol=1e-9)
    np.testing.assert_allclose(plane.right_mm(plane.mirrored(points)), -plane.right_mm(points))
    np.testing.assert_allclose(plane.mirrored([3.0, 1, 2]), [3, 1, 2], atol=1e-9)


def test_the_mni_plane_is_x_zero_after_the_transform_in_native_millimetres():
    # Native x 10 lands on MNI x 0, at twice the size: 6 mm to the right stay 6 mm.
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[0, 3] = -20
    plane = Midplane.from_mni(matrix)
    assert plane.right_mm([16.0, 5, 5]) == pytest.approx(6)
    np.testing.assert_allclose(plane.mirrored([16.0, 5, 7]), [4, 5, 7])


def test_a_useless_transform_and_an_empty_brain_are_refused():
    with pytest.raises(GeometryError, match="t1w_to_mni"):
        Midplane.from_mni(np.zeros((4, 4)))
    grid = tiny_grid()
    with pytest.raises(GeometryError, match="brain mask"):
        Midplane.fitted(Volume(np.zeros(grid.shape, bool), grid))


def test_values_are_read_at_world_points_on_any_orientation():
    grid = Grid.of((4, 5, 6), [[-2, 0, 0, 10], [0, 3, 0, -4], [0, 0, 4, 1], [0, 0, 0, 1]])
    array = np.arange(120, dtype=np.float32).reshape(4, 5, 6)
    assert values_at(Volume(array, grid), [6.0, 5, 9]) == array[2, 3, 2]
    between = values_at(Volume(array, grid), [[5.0, 5, 9]])
    np.testing.assert_allclose(between, [(array[2, 3, 2] + array[3, 3, 2]) / 2])
    assert values_at(Volume(array, grid), [600.0, 5, 9], outside=-1.0) == -1
