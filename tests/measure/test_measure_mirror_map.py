"""Differences between a place and its mirrored place, on brains with known asymmetry."""

import numpy as np
import pytest
from phantom import tiny_grid
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.measure.mirror import Midplane
from fcdsynth.measure.mirror_map import mirror_difference, mirror_warp
from fcdsynth.measure.tissue_average import TissueAverage
from fcdsynth.measure.warp import Warp

MEANS = [0.0, 0.18, 0.60, 0.48, 0.56, 0.1, 0.5]
PLACE = np.array([30.0, 8.0, 12.0])


def world(grid):
    return grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))


def head(grid, bend_mm=0.0, shift_mm=0.0, noise=0.0):
    """A brain symmetric about x = shift_mm, its right side's folds bent out of step."""
    mm = world(grid) - [shift_mm, 0, 0]
    bent = mm[..., 1] + bend_mm * np.clip(mm[..., 0] / 20, 0, 1)
    radius = np.linalg.norm(mm / [55, 64, 53], axis=-1)
    folds = 0.08 * np.cos(bent / 4.5) * np.cos(np.abs(mm[..., 0]) / 7)
    tissue = np.zeros(grid.shape, dtype=np.uint8)
    tissue[radius < 1] = Tissue.CSF
    tissue[radius < 0.92 + folds] = Tissue.CORTEX
    tissue[radius < 0.76 + folds] = Tissue.WHITE_MATTER
    tissue[radius >= 1] = Tissue.BACKGROUND
    rng = np.random.default_rng(0)
    image = np.choose(tissue, MEANS) + noise * rng.normal(size=grid.shape)
    image = np.where(tissue > 0, np.clip(image, 0.01, 1), 0).astype(np.float32)
    return image, tissue


def plane_at(x_mm):
    return Midplane.through((x_mm, 0, 0), (1, 0, 0), "fitted")


def straight(plane, grid):
    """The plane's reflection alone."""
    small = Grid.of((2, 2, 2), grid.matrix)
    return Warp(np.asarray(plane.reflection), np.zeros((2, 2, 2, 3), np.float32), small)


def difference(image, tissue, grid, plane, warp=None):
    brain = Volume(tissue > 0, grid)
    return mirror_difference(Volume(image, grid), brain, Volume(tissue, grid), plane,
                             warp or straight(plane, grid))  # fmt: skip


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "oblique"])
@pytest.mark.parametrize("shift", [0.0, 7.0])
def test_a_planted_rise_has_its_height_on_both_sides(orientation, shift):
    """0.15 prepared units are 1.5 robust SD: +1.5 in the rise, -1.5 at its mirror, else nothing."""
    grid = tiny_grid(orientation, 60, 2.5)
    image, tissue = head(grid, shift_mm=shift)
    mm, axis = world(grid), np.array([shift, 0, 0])
    there = PLACE * [-1, 1, 1] + axis
    rise = np.linalg.norm(mm - PLACE - axis, axis=-1) < 16
    image = np.where(rise & (tissue > 1), image + np.float32(0.15), image)
    map_ = difference(image, tissue, grid, plane_at(shift))
    compared = np.isin(tissue, (2, 3))
    core = np.linalg.norm(mm - PLACE - axis, axis=-1) < 4
    mirrored = np.linalg.norm(mm - there, axis=-1) < 4
    assert (core & compared).sum() > 10
    np.testing.assert_allclose(map_[core & compared], 1.5, atol=0.03)
    np.testing.assert_allclose(map_[mirrored & compared], -1.5, atol=0.03)
    away = np.minimum(np.linalg.norm(mm - PLACE - axis, axis=-1),
                      np.linalg.norm(mm - there, axis=-1)) > 32  # fmt: skip
    assert np.abs(map_[away & compared]).max() < 0.02
    assert (map_[~compared] == 0).all()
    assert map_.dtype == np.float32


def test_folds_out_of_step_do_not_show():
    """Cortex faces fluid or white matter across the plane; tissue is compared with its like."""
    grid = tiny_grid("RAS", 60, 2.5)
    image, tissue = head(grid, bend_mm=9.0)
    plane = plane_at(0.0)
    map_ = difference(image, tissue, grid, plane)
    plain = (image - image[::-1]) / 0.1
    cortex = tissue == Tissue.CORTEX
    assert np.abs(plain[cortex]).max() > 1
    assert np.abs(map_[cortex]).max() < 0.01


def test_a_slope_of_intensity_by_hand():
    """Intensity growing by 0.002 a mm along x: here minus there is 0.004 x in prepared units."""
    grid = tiny_grid("RAS", 60, 2.5)
    _, tissue = head(grid)
    image = np.where(tissue > 0, 0.5 + 0.002 * world(grid)[..., 0], 0).astype(np.float32)
    map_ = difference(image, tissue, grid, plane_at(0.0))
    deep = ndimage.binary_erosion(tissue == Tissue.WHITE_MATTER, iterations=4)
    assert deep.sum() > 1000
    np.testing.assert_allclose(map_[deep], 0.04 * world(grid)[deep][:, 0], atol=0.05)


def test_registration_follows_what_the_plane_misses():
    """A rise on each side, the right one 9 mm farther forward: paired only by registration."""
    grid = tiny_grid("RAS", 64, 2.5)
    image, tissue = head(grid, bend_mm=-9.0, noise=0.01)
    mm = world(grid)
    for centre in ((-38, 0, 14), (38, 9, 14)):
        near = np.linalg.norm(mm - np.array(centre), axis=-1) < 9
        image = np.where(near & (tissue > 1), image + np.float32(0.2), image)
    plane = plane_at(0.0)
    t1w = Volume(np.where(tissue > 0, np.choose(tissue, [0, 0.2, 0.45, 0.7, 0.6, 0.2, 0.5]), 0)
                 .astype(np.float32), grid)  # fmt: skip
    warp = mirror_warp(t1w, plane)
    assert warp.smallest_jacobian() > 0
    cortex = np.isin(tissue, (2, 3))
    without = np.abs(difference(image, tissue, grid, plane)[cortex])
    with_it = np.abs(difference(image, tissue, grid, plane, warp)[cortex])
    assert with_it.mean() < 0.7 * without.mean()
    again = mirror_warp(t1w, plane)
    np.testing.assert_array_equal(again.displacement_mm, warp.displacement_mm)


def test_a_tissue_on_one_side_only_has_no_difference():
    grid = tiny_grid("RAS", 60, 2.5)
    image, tissue = head(grid)
    mm = world(grid)
    only = (np.linalg.norm(mm - [25, 0, 0], axis=-1) < 10) & (tissue == Tissue.WHITE_MATTER)
    tissue[only] = Tissue.DEEP_GREY
    assert (difference(image, tissue, grid, plane_at(0.0))[only] == 0).all()


def test_voxels_outside_the_brain_mask_count_for_nothing():
    grid = tiny_grid("RAS", 60, 2.5)
    image, tissue = head(grid)
    cut = world(grid)[..., 2] > 30
    plane = plane_at(0.0)
    brain = Volume((tissue > 0) & ~cut, grid)
    image = np.where(cut & (world(grid)[..., 0] > 0), image + np.float32(0.3), image)
    map_ = mirror_difference(Volume(image, grid), brain, Volume(tissue, grid), plane,
                             straight(plane, grid))  # fmt: skip
    assert np.abs(map_).max() < 0.02


def test_the_average_of_a_tissue_is_the_mean_of_its_voxels():
    """Three voxels under a Gaussian far wider than their distance; a fourth beyond the grid."""
    grid = Grid.covering((-12, -12, -12), (12, 12, 12), 2.0)
    points = np.array([[1.0, 1, 1], [-1, 1, 1], [1, -1, 1], [500, 0, 0]])
    average = TissueAverage.of(points, np.array([1.0, 2, 6, 9]), grid, 200.0)
    assert average.at(np.array([[0.0, 0, 0]]), 0.0)[0] == pytest.approx(3.0, rel=1e-3)
    assert np.isnan(average.at(np.array([[0.0, 0, 0]]), 1.0)[0])
    assert np.isnan(average.at(np.array([[90.0, 0, 0]]), 0.0)[0])
    assert average.mean(0.0)[6, 6, 6] == pytest.approx(3.0, rel=1e-3)
