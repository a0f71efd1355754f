"""The diffeomorphic map against a deformation made by hand."""

import numpy as np
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.measure.warp import warp_to

SPACING = 4.0


def textured_ball(size=32):
    grid = Grid.covering([-size * 2] * 3, [size * 2] * 3, SPACING)
    mm = grid.to_mm(np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1))
    rng = np.random.default_rng(4)
    texture = ndimage.gaussian_filter(rng.standard_normal(grid.shape), 2.0)
    texture = 1 + 0.5 * texture / texture.std()
    inside = np.linalg.norm(mm / [50, 56, 48], axis=-1) < 1
    return Volume(np.where(inside, np.maximum(texture, 0.05), 0).astype(np.float32), grid), mm


def bulge(mm):
    """A smooth push along x, at most 6 mm, none at the rim."""
    push = np.zeros(mm.shape)
    push[..., 0] = 6 * np.exp(-((np.linalg.norm(mm - [10, 0, 0], axis=-1) / 24) ** 2))
    return push


def test_a_known_deformation_is_found_in_the_right_direction():
    moving, mm = textured_ball()
    # fixed(p) = moving(p + push): a point p of the fixed world lies at p + push in the moving.
    index = np.moveaxis(moving.grid.to_vox(mm + bulge(mm)), -1, 0)
    fixed = Volume(ndimage.map_coordinates(moving.array, index, order=1), moving.grid)
    warp = warp_to(fixed, moving, np.eye(4), SPACING)
    inside = fixed.array > 0
    truth = (mm + bulge(mm))[inside]
    found = warp.points(mm[inside])
    before = np.linalg.norm(bulge(mm)[inside], axis=-1).mean()
    after = np.linalg.norm(found - truth, axis=-1).mean()
    assert before > 0.6
    assert after < 0.5 * before
    at_peak = np.linalg.norm(warp.points([10.0, 0, 0]) - [16.0, 0, 0])
    assert at_peak < 2.0
    assert warp.smallest_jacobian() > 0
    again = warp_to(fixed, moving, np.eye(4), SPACING)
    np.testing.assert_array_equal(again.displacement_mm, warp.displacement_mm)


def test_the_affine_part_is_kept_and_grids_agree_with_points():
    moving, _ = textured_ball()
    shift = np.eye(4)
    shift[:3, 3] = [20.0, -8.0, 4.0]  # fixed world to moving world
    fixed = Volume(
        moving.array, Grid.of(moving.grid.shape, np.linalg.inv(shift) @ moving.grid.matrix)
    )
    warp = warp_to(fixed, moving, shift, SPACING)
    points = np.array([[-20.0, 8, -4], [0, 10, 6]])
    np.testing.assert_allclose(warp.points(points), points + shift[:3, 3], atol=0.3)
    places = warp.on(fixed.grid)
    np.testing.assert_allclose(places[3, 5, 7], warp.points(fixed.grid.to_mm([3, 5, 7])), atol=1e-4)
