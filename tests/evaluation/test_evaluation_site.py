import numpy as np
import pytest

from fcdsynth.evaluation.chance import Places
from fcdsynth.evaluation.site import SiteProbability, mirror_matrix, mirrored_site, random_site


def test_statistics_by_hand():
    """0, 0.1, ..., 1.0: mean 0.5; the 95th percentile of 11 values lies at index 9.5: 0.95."""
    site = SiteProbability.of(np.linspace(0, 1, 11, dtype=np.float32))
    assert (site.max, site.mean, site.p95) == pytest.approx((1.0, 0.5, 0.95))


def test_mirror_through_mni():
    """MNI = T1w shifted by 5 mm in x: the midline x_mni = 0 is x_t1w = -5, so 7 goes to -17."""
    shift = np.eye(4)
    shift[0, 3] = 5
    point = mirror_matrix(shift, 99.0) @ [7, 3, 2, 1]
    assert point.tolist() == pytest.approx([-17, 3, 2, 1])


def test_mirror_without_mni_uses_the_brain_centre():
    assert (mirror_matrix(None, 4.0) @ [7, 3, 2, 1]).tolist() == [1, 3, 2, 1]


def _scene(make_grid):
    grid = make_grid((10, 6, 6))
    brain = np.ones(grid.shape, bool)
    probability = np.zeros(grid.shape, np.float32)
    probability[7:9, 2:4, 2:4] = 0.25
    return grid, brain, probability


def test_mirrored_site_by_hand(make_grid):
    """Voxels x 1..2 about the centre x = 4.5 land on 7..8, where the map is 0.25."""
    grid, brain, probability = _scene(make_grid)
    lesion = np.zeros(grid.shape, bool)
    lesion[1:3, 2:4, 2:4] = True
    mirror = mirror_matrix(None, 4.5)
    site = mirrored_site(probability, brain, lesion, grid, np.argwhere(lesion), mirror)
    assert site == SiteProbability(0.25, 0.25, 0.25)


def test_no_mirror_for_a_midline_lesion_or_outside_the_brain(make_grid):
    grid, brain, probability = _scene(make_grid)
    mirror = mirror_matrix(None, 4.5)
    midline = np.zeros(grid.shape, bool)
    midline[4:6, 2:4, 2:4] = True
    args = (probability, brain, midline, grid, np.argwhere(midline), mirror)
    assert mirrored_site(*args) is None
    half = brain.copy()
    half[5:] = False
    left = np.argwhere(np.ones((2, 2, 2), bool))
    nothing = np.zeros(grid.shape, bool)
    assert mirrored_site(probability, half, nothing, grid, left, mirror) is None
    assert mirrored_site(probability, brain, nothing, grid, left, mirror) is not None


def test_random_sites_avoid_the_lesion(make_grid):
    """The map is 1 in the lesion and 0.2 elsewhere: clear sites see 0.2 only."""
    grid = make_grid((12, 12, 12))
    lesion = np.zeros(grid.shape, bool)
    lesion[:6, :6, :6] = True
    probability = np.where(lesion, 1, 0.25).astype(np.float32)
    places = Places(np.ones(grid.shape, bool), grid, 20)
    rng = np.random.default_rng(0)
    site = random_site(probability, lesion, 20, places, 10, rng)
    assert site == SiteProbability(0.25, 0.25, 0.25)
    assert random_site(probability, np.ones_like(lesion), 20, places, 10, rng) is None
