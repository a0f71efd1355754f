"""Depth in the cortical ribbon against answers known by geometry."""

import numpy as np
import pytest
from phantom import tiny_grid, tiny_head

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.measure.ribbon import ribbon_depth

WM, GM, CSF = Tissue.WHITE_MATTER, Tissue.CORTEX, Tissue.CSF


def row(labels):
    """Depths along a row of labels, in a slab that is the same everywhere across."""
    array = np.broadcast_to(np.array(labels, np.uint8), (21, 21, len(labels))).copy()
    return ribbon_depth(Volume(array, Grid.of(array.shape, np.eye(4))))[10, 10]


@pytest.mark.parametrize(("spacing", "mean", "most"), [(1.0, 0.06, 0.15), (2.0, 0.12, 0.25)])
def test_a_shell_of_cortex_has_the_depth_of_its_radius(spacing, mean, most):
    """White ball of 28 mm, cortex to 32 mm: depth is (32 - r) / 4."""
    size = round(80 / spacing)
    grid = Grid.of((size,) * 3, np.diag([spacing, spacing, spacing, 1]))
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    radius = np.linalg.norm((index + 0.5 - size / 2) * spacing + [0.3, 0.2, -0.1], axis=-1)
    labels = np.select([radius < 28, radius < 32, radius < 36], [WM, GM, CSF], 0).astype(np.uint8)
    depth = ribbon_depth(Volume(labels, grid))
    cortex = labels == GM
    error = depth[cortex] - (32 - radius[cortex]) / 4
    assert abs(error.mean()) < 0.01
    assert np.abs(error).mean() < mean
    assert np.abs(error).max() < most
    assert (depth[~cortex] == 0).all()
    assert depth.dtype == np.float32


def test_a_flat_ribbon_by_hand():
    """Four voxels between fluid and white matter: centres at 1/8, 3/8, 5/8 and 7/8."""
    np.testing.assert_allclose(
        row([CSF, CSF, GM, GM, GM, GM, WM, WM, WM, WM])[2:6],
        [0.125, 0.375, 0.625, 0.875],
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("width", "expected"),
    [(2, [0.5, 0.5]), (4, [0.75, 0.25, 0.25, 0.75]), (5, [0.8, 0.4, 0.0, 0.4, 0.8]),
     (6, [5 / 6, 0.5, 1 / 6, 1 / 6, 0.5, 5 / 6])],
)  # fmt: skip
def test_touching_banks_share_the_line_between_them(width, expected):
    """No fluid between two banks: the pia lies midway, depth is symmetric about it.

    Voxel centres lie at half the width less their distance from the middle, over half the width.
    """
    got = row([WM, WM, *[GM] * width, WM, WM])[2:-2]
    np.testing.assert_allclose(got, got[::-1], atol=1e-6)
    np.testing.assert_allclose(got, expected, atol=0.06)


def test_visible_fluid_wins_over_the_middle():
    """Banks of 2 and 4 voxels with fluid between: each has its own thickness."""
    got = row([WM, WM, GM, GM, CSF, GM, GM, GM, GM, WM, WM, WM])
    np.testing.assert_allclose(got[2:4], [0.75, 0.25], atol=1e-6)
    np.testing.assert_allclose(got[5:9], [0.125, 0.375, 0.625, 0.875], atol=1e-6)


def test_a_blade_of_white_matter_does_not_lead_to_the_next_sulcus():
    got = row([CSF, GM, GM, GM, WM, GM, GM, GM, CSF])
    np.testing.assert_allclose(got[1:4], [1 / 6, 0.5, 5 / 6], atol=1e-6)
    np.testing.assert_allclose(got[5:8], [5 / 6, 0.5, 1 / 6], atol=1e-6)


@pytest.mark.parametrize("inner", [Tissue.DEEP_GREY, Tissue.VENTRICLE])
@pytest.mark.parametrize("outer", [Tissue.INFRATENTORIAL, Tissue.BACKGROUND])
def test_other_neighbours_have_a_side(inner, outer):
    np.testing.assert_allclose(
        row([outer, outer, GM, GM, GM, inner, inner])[2:5], [1 / 6, 0.5, 5 / 6], atol=1e-6
    )


def test_cortex_at_the_border_of_the_array_ends_there():
    np.testing.assert_allclose(row([GM, GM, WM, WM])[:2], [0.25, 0.75], atol=1e-6)


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "oblique"])
def test_a_head_is_filled_and_mirrored_with_its_array(orientation):
    grid = tiny_grid(orientation, 48, 3.0)
    labels = tiny_head(grid, 1)["tissue"]
    depth = ribbon_depth(Volume(labels, grid))
    cortex = labels == GM
    assert (depth[cortex] > 0).all()
    assert (depth[cortex] <= 1).all()
    assert (depth[~cortex] == 0).all()
    flipped = ribbon_depth(Volume(labels[::-1].copy(), grid))[::-1]
    # Where two ways are equally long the choice may differ, nowhere else.
    assert (np.abs(flipped - depth) > 0.01)[cortex].mean() < 0.02


def test_voxels_longer_one_way_count_in_millimetres():
    """Fluid 2 voxels of 1 mm away, white matter 1 voxel of 3 mm away."""
    labels = np.full((9, 9, 9), GM, np.uint8)
    labels[:3] = CSF
    labels[:, :, 6:] = WM
    grid = Grid.of(labels.shape, np.diag([1, 1, 3, 1]))
    half = 3 ** (1 / 3) / 2
    expected = (2 - half) / (2 - half + 3 - half)
    got = ribbon_depth(Volume(labels, grid))[4, 4, 5]
    assert got == pytest.approx(expected, abs=1e-5)


def test_maps_without_cortex_or_without_white_matter():
    grid = tiny_grid(size=8)
    empty = np.zeros(grid.shape, np.uint8)
    assert (ribbon_depth(Volume(empty, grid)) == 0).all()
    only = np.full(grid.shape, GM, np.uint8)
    depth = ribbon_depth(Volume(only, grid))
    assert (depth > 0).all()
    assert (depth < 0.05).all()
