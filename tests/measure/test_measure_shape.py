"""Shape features and shortest paths against values worked out by hand."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.measure.geodesic import allowed_steps, arrival, spread_front, step_lengths
from fcdsynth.measure.shape import shape_features, surface_mm2


def grid_of(shape, spacing=(1.0, 1.0, 1.0)):
    return Grid.of(shape, np.diag([*spacing, 1.0]))


def test_cube_has_equal_moments_and_a_chamfered_surface():
    mask = np.zeros((14, 14, 14), dtype=bool)
    mask[2:12, 2:12, 2:12] = True
    shape = shape_features(mask, grid_of(mask.shape))
    assert shape.volume_ml == pytest.approx(1.0)
    assert shape.middle_ratio == pytest.approx(1)
    assert shape.short_ratio == pytest.approx(1)
    # Marching cubes cuts the edges: 6 faces of 9 x 9, 12 strips of 9 x sqrt(1/2), 8 triangles.
    expected = 6 * 81 + 12 * 9 * math.sqrt(0.5) + 8 * math.sqrt(3) / 8
    assert shape.surface_mm2 == pytest.approx(expected, rel=1e-5)
    assert shape.surface_per_volume == pytest.approx(expected / 1000, rel=1e-5)


def test_rod_ratio_is_one_over_length_squared():
    mask = np.zeros((12, 3, 3), dtype=bool)
    mask[1:11, 1, 1] = True
    shape = shape_features(mask, grid_of(mask.shape, (2.0, 2.0, 2.0)))
    assert shape.volume_ml == pytest.approx(0.08)
    assert shape.middle_ratio == pytest.approx(0.01)
    assert shape.short_ratio == pytest.approx(0.01)


def test_ball_volume_and_surface_near_the_formulas():
    index = np.stack(np.meshgrid(*[np.arange(41) - 20] * 3, indexing="ij"), -1)
    mask = np.linalg.norm(index, axis=-1) <= 15
    shape = shape_features(mask, grid_of(mask.shape))
    assert shape.volume_ml == pytest.approx(4 / 3 * math.pi * 15**3 / 1000, rel=0.02)
    # The steps of a binary ball make its marching-cubes surface 5 to 12 % too large.
    assert 1.0 < shape.surface_mm2 / (4 * math.pi * 15**2) < 1.12
    assert shape.short_ratio == pytest.approx(1, abs=0.01)


def test_surface_counts_millimetres_on_any_axes():
    mask = np.zeros((8, 8, 8), dtype=bool)
    mask[2:5, 2:6, 3:5] = True
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]) @ np.diag([1.0, 2.0, 3.0])
    affine = np.eye(4)
    affine[:3, :3] = turn
    straight = surface_mm2(mask, grid_of(mask.shape, (1.0, 2.0, 3.0)))
    assert surface_mm2(mask, Grid.of(mask.shape, affine)) == pytest.approx(straight, rel=1e-6)


def test_tissue_and_depth_shares():
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[0, 0] = True
    tissue = np.zeros(mask.shape, dtype=np.int16)
    tissue[0, 0] = [Tissue.CORTEX, Tissue.CORTEX, Tissue.CORTEX, Tissue.WHITE_MATTER]
    depth = np.zeros(mask.shape)
    depth[0, 0] = [1, 2, 3, 6]
    shape = shape_features(mask, grid_of(mask.shape), tissue, depth)
    assert (shape.ribbon_fraction, shape.white_fraction) == (0.75, 0.25)
    assert shape.mean_depth_mm == 3
    assert math.isnan(shape_features(mask, grid_of(mask.shape)).ribbon_fraction)


def test_empty_mask_has_no_shape():
    with pytest.raises(ValueError, match="empty"):
        shape_features(np.zeros((3, 3, 3), dtype=bool), grid_of((3, 3, 3)))


def test_arrival_along_axes_and_diagonals():
    domain = np.ones((5, 5, 5), dtype=bool)
    front = arrival(domain, np.full(domain.shape, 2.0), (1.0, 2.0, 3.0), (0, 0, 0))
    assert front.time[3, 0, 0] == pytest.approx(6)
    assert front.time[0, 0, 2] == pytest.approx(12)
    assert front.time[4, 4, 4] == pytest.approx(2 * 4 * math.sqrt(14))
    path = front.path((4, 4, 4))
    np.testing.assert_array_equal(path, np.arange(5)[:, None].repeat(3, axis=1))


def test_a_step_costs_the_mean_of_its_ends():
    cost = np.array([1.0, 3.0, 5.0]).reshape(3, 1, 1)
    front = arrival(np.ones((3, 1, 1), dtype=bool), cost, (1.0, 1.0, 1.0), (0, 0, 0))
    np.testing.assert_allclose(front.time.ravel(), [0, 2, 6])


def test_no_step_slips_through_a_staircase_sheet():
    # The sheet i + j = 6 has voxels that touch only by edges; 26-neighbour paths cross it.
    i, j, _ = np.indices((7, 7, 3))
    domain = i + j != 6
    front = arrival(domain, np.ones(domain.shape), (1.0, 1.0, 1.0), (0, 0, 1))
    assert np.isfinite(front.time[i + j < 6]).all()
    assert np.isinf(front.time[i + j > 6]).all()


def test_opposed_headings_are_not_crossed():
    domain = np.ones((6, 3, 3), dtype=bool)
    heading = np.zeros((3, *domain.shape))
    heading[0, :3], heading[0, 3:] = -1, 1
    front = arrival(domain, np.ones(domain.shape), (1.0, 1.0, 1.0), (0, 1, 1), heading)
    assert np.isfinite(front.time[:3]).all()
    assert np.isinf(front.time[3:]).all()


def test_a_folder_named_coverage_beside_a_notebook_does_no_harm(tmp_path):
    (tmp_path / "coverage").mkdir()
    words = [sys.executable, "-c", "import fcdsynth.measure.front_kernel, numba; print(numba)"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_front_stops_when_it_has_enough_or_comes_to_its_limit():
    nodes = np.ones((9, 1, 1), dtype=bool)
    steps, lengths = allowed_steps(nodes), step_lengths((1.0, 1.0, 1.0))
    cost = np.ones(nodes.shape)
    counts = np.arange(9).reshape(9, 1, 1) % 2 == 0
    front = spread_front(nodes, steps, cost, lengths, (4, 0, 0), wanted=3, counts=counts)
    # Ties by index: 4, then 3 and 5 uncounted, then 2 and 6 that count.
    assert front.vox[:, 0].tolist() == [4, 3, 5, 2, 6]
    assert (front.counted, front.stopped) == (3, False)
    assert front.previous.tolist() == [-1, 0, 0, 1, 2]
    stops = np.arange(9).reshape(9, 1, 1) == 7
    front = spread_front(nodes, steps, cost, lengths, (4, 0, 0), stops=stops)
    assert (sorted(front.vox[:, 0].tolist()), front.stopped) == ([1, 2, 3, 4, 5, 6], True)
    front = spread_front(nodes, steps, cost, lengths, (4, 0, 0), limit=1.5)
    assert front.time.tolist() == [0, 1, 1]


def test_seed_outside_the_domain():
    with pytest.raises(ValueError, match="outside"):
        arrival(np.zeros((2, 2, 2), dtype=bool), np.ones((2, 2, 2)), (1.0, 1.0, 1.0), (0, 0, 0))
