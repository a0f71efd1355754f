"""Connected components against scipy and by hand."""

import numpy as np
import pytest
from phantom import ORIENTATIONS, tiny_grid
from scipy import ndimage

from fcdsynth.measure.components import label_components


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_two_cubes_by_hand(orientation):
    grid = tiny_grid(orientation)
    mask = np.zeros(grid.shape, dtype=bool)
    mask[2:4, 2:4, 2:4] = True  # 8 voxels
    mask[10:13, 10:13, 10:13] = True  # 27 voxels
    mask[13, 13, 13] = True  # touches the second by a corner: 26-connected
    labels, found = label_components(mask, grid)
    assert [c.size_vox for c in found] == [28, 8]
    assert labels.array[13, 13, 13] == 1
    assert found[1].volume_ml == pytest.approx(8 * 0.216)
    np.testing.assert_allclose(found[1].centre_mm, grid.to_mm([2.5, 2.5, 2.5]), atol=1e-6)
    assert [c.size_vox for c in label_components(mask, grid, 2.0)[1]] == [28]


def test_agrees_with_scipy():
    rng = np.random.default_rng(1)
    mask = rng.random((20, 20, 20)) < 0.05
    labels, found = label_components(mask, tiny_grid(size=20))
    oracle, n = ndimage.label(mask, np.ones((3, 3, 3)))
    assert len(found) == n
    sizes = ndimage.sum_labels(mask, oracle, range(1, n + 1))
    assert sorted(sizes, reverse=True) == [c.size_vox for c in found]
    np.testing.assert_array_equal(labels.array > 0, mask)


def test_nothing():
    labels, found = label_components(np.zeros((24, 24, 24), dtype=bool), tiny_grid())
    assert found == ()
    assert not labels.array.any()
