"""Bias field, brain mask, way into MNI space, depth and intensities, each on its own."""

import logging

import numpy as np
import pytest
from phantom import tiny_grid, tiny_head
from scipy import ndimage

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.volume import Volume
from fcdsynth.measure.hull import depth_below_hull
from fcdsynth.measure.intensity import normalise
from fcdsynth.prepare import brain as brains
from fcdsynth.prepare.bias import correct_bias
from fcdsynth.prepare.template import place, template


@pytest.fixture(scope="session")
def average():
    """ICBM152 T1w average and its brain mask at 3 mm."""
    volume, mask = template()
    corners = volume.grid.corners_mm()
    grid = Grid.covering(corners.min(axis=0), corners.max(axis=0), 3.0)
    return resample(volume, grid), resample_mask(mask, grid)


def coordinates(grid):
    return grid.to_mm(np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1))


def test_bias_field_is_taken_off(average):
    volume, brain = average
    mm = coordinates(volume.grid)
    field = np.exp(0.25 * np.sin(mm[..., 0] / 60 + 0.5) + 0.25 * np.cos(mm[..., 1] / 70))
    noise = np.random.default_rng(0).normal(0, 4, field.shape)
    biased = Volume(np.clip(volume.array * field + noise, 0, None).astype(np.float32), volume.grid)
    white = brain.array & (volume.array > 215)

    def spread(array):
        return array[white].std() / array[white].mean()

    even = correct_bias(biased, brain)
    assert spread(biased.array) > 0.08
    assert spread(even.array) < 0.45 * spread(biased.array)
    assert np.median(even.array[brain.array]) == pytest.approx(
        np.median(biased.array[brain.array]), rel=1e-4
    )


def test_a_moved_template_is_placed_back(average):
    volume, brain = average
    world = np.diag([0.92, 1.05, 0.97, 1.0])
    world[:3, 3] = [6, -10, 12]
    grid = Grid.of(volume.grid.shape, world @ volume.grid.matrix)
    placement = place(Volume(volume.array, grid), Volume(brain.array, grid), "sub-1")
    assert placement.trusted
    points = np.argwhere(brain.array)[::500]
    there = grid.to_mm(points)
    back = there @ placement.t1w_to_mni[:3, :3].T + placement.t1w_to_mni[:3, 3]
    assert np.linalg.norm(back - volume.grid.to_mm(points), axis=1).max() < 3.0


def test_what_is_no_brain_is_not_trusted():
    grid = tiny_grid(size=24)
    bar = np.zeros(grid.shape, bool)
    bar[10:14, 2:22, 10:14] = True
    image = Volume(np.where(bar, 100.0, 0).astype(np.float32), grid)
    placement = place(image, Volume(bar, grid), "sub-1")
    assert not placement.trusted
    assert np.isfinite(placement.t1w_to_mni).all()


def test_depth_bridges_a_narrow_cleft_and_counts_from_the_outside():
    grid = Grid.of((60, 60, 60), np.diag([2.0, 2.0, 2.0, 1]))
    radius = np.linalg.norm(coordinates(grid) - 59, axis=-1)
    ball = radius < 44
    cleft = ball.copy()
    cleft[29:31, :, 30:] = False  # 4 mm wide, down to the middle
    depth = depth_below_hull(Volume(cleft, grid))
    beside = depth[31, 30, 35]
    assert beside == pytest.approx(44 - radius[31, 30, 35], abs=4)
    assert depth[31, 30, 50] < 8
    assert (depth[~cleft] == 0).all()
    edt = ndimage.distance_transform_edt(cleft, sampling=2.0)
    assert edt[31, 30, 35] < 4 < beside  # what a plain distance map would say


def test_intensities_follow_the_formula():
    grid = tiny_grid(size=6)
    values = np.linspace(10, 20, 216).reshape(6, 6, 6).astype(np.float32)
    brain = np.ones(grid.shape, bool)
    brain[0] = False
    inside = values[brain]
    median = np.median(inside)
    spread = 1.4826 * np.median(np.abs(inside - median))
    prepared = normalise(Volume(values, grid), Volume(brain, grid), "sub-1 T1w")
    np.testing.assert_allclose(
        prepared[brain], np.clip(0.5 + 0.1 * (inside - median) / spread, 0.01, 1), atol=1e-6
    )
    assert (prepared[0] == 0).all()
    assert prepared.dtype == np.float32
    values[3, 3, 3] = 1e6
    values[3, 3, 4] = -1e6
    prepared = normalise(Volume(values, grid), Volume(brain, grid), "sub-1 T1w")
    assert prepared[3, 3, 3] == 1
    assert prepared[3, 3, 4] == pytest.approx(0.01)


def test_intensities_do_not_change_with_the_scanner_units():
    grid = tiny_grid()
    head = tiny_head(grid, 1)
    brain = Volume(head["brain"], grid)
    plain = normalise(Volume(head["t1w"], grid), brain, "a")
    scaled = normalise(Volume(head["t1w"] * 731 + 12, grid), brain, "a")
    np.testing.assert_allclose(plain, scaled, atol=1e-4)


def test_a_flat_image_is_refused():
    grid = tiny_grid(size=6)
    flat = Volume(np.full(grid.shape, 3.0, np.float32), grid)
    with pytest.raises(CohortError, match="sub-9 FLAIR"):
        normalise(flat, Volume(np.ones(grid.shape, bool), grid), "sub-9 FLAIR")


def test_brain_volume_is_checked_by_who_made_the_mask(caplog):
    grid = tiny_grid()  # 24 voxels of 6 mm: 3 litres
    everything = Volume(np.ones(grid.shape, bool), grid)
    with pytest.raises(CohortError, match="sub-1: found a brain mask of 2986 ml"):
        brains.check_brain(everything, "sub-1", given=False)
    with caplog.at_level(logging.WARNING):
        assert brains.check_brain(everything, "sub-1", given=True) == pytest.approx(2985.98, 1e-4)
    assert "sub-1" in caplog.text
    with pytest.raises(CohortError, match="0 ml"):
        brains.check_brain(Volume(np.zeros(grid.shape, bool), grid), "sub-1", given=True)


def test_foreground_fills_holes_and_drops_specks():
    grid = tiny_grid(size=12)
    array = np.zeros(grid.shape, np.float32)
    array[2:9, 2:9, 2:9] = 5
    array[5, 5, 5] = 0
    array[11, 11, 11] = 9
    mask = brains.foreground(Volume(array, grid)).array
    assert mask.sum() == 7**3
    assert brains.is_stripped(Volume(array, grid))
    assert not brains.is_stripped(Volume(array + 1, grid))


def test_deepbet_finds_the_template_brain_in_any_orientation():
    volume, brain = template()
    corners = volume.grid.corners_mm()
    small = Grid.covering(corners.min(axis=0), corners.max(axis=0), 2.0)
    las = small.matrix.copy()
    las[0, 0] *= -1
    las[0, 3] = small.to_mm([small.shape[0] - 1, 0, 0])[0]
    grid = Grid.of(small.shape, las)
    mask = brains.deep_brain(resample(volume, grid), "icbm").array
    truth = resample_mask(brain, grid).array
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.93
