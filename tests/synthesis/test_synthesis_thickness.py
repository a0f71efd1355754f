"""Cortex of a lesion, measured and thickened, on flat layers."""

import numpy as np
import pytest
from scipy import ndimage

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.thickness import border_ratio, thickened

SPACING = (1.0, 1.0, 1.0)


def layers():
    """Slabs of cortex and white matter, each two voxels thick, in alternation along z."""
    tissue = np.full((40, 40, 40), int(Tissue.WHITE_MATTER), dtype=np.uint8)
    tissue[:, :, np.arange(40) % 4 < 2] = Tissue.CORTEX
    lesion = np.zeros(tissue.shape, dtype=bool)
    lesion[14:26, 14:26, 14:26] = True
    return tissue, lesion


def test_the_ratio_counts_faces_over_voxels():
    tissue, lesion = layers()
    # In the mask 12 layers, 14 to 25: pairs change at 15|16, 17|18, 19|20, 21|22, 23|24.
    inside = 5 * 144 / 12**3
    ring = (ndimage.distance_transform_edt(~lesion) <= 12) & ~lesion
    changes = (np.diff(tissue.astype(int), axis=2) != 0) & ring[:, :, 1:] & ring[:, :, :-1]
    expected = inside / (changes.sum() / ring.sum())
    assert border_ratio(tissue, lesion, SPACING) == pytest.approx(expected)
    merged = tissue.copy()
    merged[lesion & (np.arange(40) >= 18)] = Tissue.CORTEX  # leaves 15|16
    ratio = border_ratio(merged, lesion, SPACING) / border_ratio(tissue, lesion, SPACING)
    assert ratio == pytest.approx(1 / 5)


def test_thickened_comes_down_to_what_is_wanted_inside_the_lesion_only():
    tissue, lesion = layers()
    before = border_ratio(tissue, lesion, SPACING)
    made = thickened(tissue, lesion, 0.6 * before, SPACING)
    assert border_ratio(made, lesion, SPACING) == pytest.approx(0.6 * before, rel=0.1)
    changed = made != tissue
    assert changed.any()
    assert not (changed & ~lesion).any()
    assert set(made[changed]) == {int(Tissue.CORTEX)}
    assert set(tissue[changed]) == {int(Tissue.WHITE_MATTER)}


def test_white_matter_next_to_cortex_goes_first():
    tissue = np.full((40, 40, 40), int(Tissue.WHITE_MATTER), dtype=np.uint8)
    tissue[:, :, :16] = Tissue.CORTEX
    tissue[20:22, :, 16:30] = Tissue.CORTEX  # a blade of cortex
    lesion = np.zeros(tissue.shape, dtype=bool)
    lesion[14:28, 14:26, 12:28] = True
    made = thickened(tissue, lesion, 0.7 * border_ratio(tissue, lesion, SPACING), SPACING)
    changed = np.argwhere(made != tissue)
    assert len(changed)
    # Deep white matter, away from bank and blade, stays.
    assert not (made[14:17, 14:26, 20:28] == Tissue.CORTEX).any()


def test_a_border_as_sparse_stays():
    tissue, lesion = layers()
    assert thickened(tissue, lesion, 5.0, SPACING) is tissue
    assert thickened(tissue, lesion, float("nan"), SPACING) is tissue


def test_without_a_border_nothing_is_said_and_nothing_is_changed():
    tissue, _ = layers()
    tissue[10:30, 10:30] = Tissue.WHITE_MATTER
    deep = np.zeros(tissue.shape, dtype=bool)
    deep[18:20, 18:20, 10:12] = True
    assert np.isnan(border_ratio(tissue, deep, SPACING))
    assert thickened(tissue, deep, 0.1, SPACING) is tissue
    assert np.isnan(border_ratio(tissue, np.zeros_like(deep), SPACING))
