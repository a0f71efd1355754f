"""Known movements are found again."""

import numpy as np
import pytest
from phantom import ORIENTATIONS, tiny_grid, tiny_head
from scipy.spatial.transform import Rotation

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.prepare.registration import register


def moved_header(volume, world):
    """The same voxels, their header displaced: the scanner's idea of the place is wrong."""
    return Volume(volume.array, Grid.of(volume.grid.shape, world @ volume.grid.matrix))


def world_matrix(angles_deg, shift_mm):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    matrix[:3, 3] = shift_mm
    return matrix


def worst_error_mm(found, true):
    corners = np.array(np.meshgrid(*[(-50, 50)] * 3)).reshape(3, -1).T
    gap = corners @ (found - true)[:3, :3].T + (found - true)[:3, 3]
    return np.linalg.norm(gap, axis=1).max()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_flair_finds_t1w_on_24_voxel_heads(orientation):
    fixed_grid, moving_grid = tiny_grid(), tiny_grid(orientation)
    head, other = tiny_head(fixed_grid, 3), tiny_head(moving_grid, 3)
    world = world_matrix([8, -6, 10], [6, -9, 5])
    match = register(
        Volume(head["t1w"], fixed_grid),
        moved_header(Volume(other["flair"], moving_grid), world),
        Volume(head["brain"], fixed_grid),
    )
    assert worst_error_mm(match.matrix, world) < 4.5  # three quarters of a voxel
    assert match.information > 0


def test_a_large_displacement_is_found():
    grid = tiny_grid(size=32, spacing_mm=4.0)
    head = tiny_head(grid, 1, (34.0, 20.0, 12.0))
    world = world_matrix([20, 22, -18], [18, -15, 20])
    match = register(
        Volume(head["t1w"], grid),
        moved_header(Volume(head["flair"], grid), world),
        Volume(head["brain"], grid),
    )
    assert worst_error_mm(match.matrix, world) < 2.0


def test_the_result_is_repeatable():
    grid = tiny_grid()
    head = tiny_head(grid, 2)
    pair = (
        Volume(head["t1w"], grid),
        moved_header(Volume(head["flair"], grid), world_matrix([5, 0, 0], [0, 4, 0])),
    )
    first, second = register(*pair), register(*pair)
    np.testing.assert_array_equal(first.matrix, second.matrix)


def test_no_overlap_is_an_error_that_names_the_subject():
    grid = tiny_grid(size=8)
    volume = Volume(np.zeros(grid.shape, np.float32), grid)
    nowhere = Volume(np.zeros(grid.shape, bool), grid)
    with pytest.raises(CohortError, match="sub-7"):
        register(volume, volume, nowhere, subject="sub-7")
