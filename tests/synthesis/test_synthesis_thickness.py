"""Cortex of a lesion, measured and thickened, on flat layers."""

import numpy as np
import pytest

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.thickness import excess_mm, thickened

SPACING = (1.0, 1.0, 1.0)


def flat(thick=3, extra=0):
    """CSF, then cortex, then white matter along z; in a square column cortex is thicker."""
    tissue = np.full((40, 40, 16), int(Tissue.WHITE_MATTER), dtype=np.uint8)
    tissue[:, :, :2] = Tissue.CSF
    tissue[:, :, 2 : 2 + thick] = Tissue.CORTEX
    lesion = np.zeros(tissue.shape, dtype=bool)
    lesion[15:25, 15:25, 2:12] = True
    tissue[15:25, 15:25, 2 + thick : 2 + thick + extra] = Tissue.CORTEX
    return tissue, lesion


def test_flat_cortex_has_no_excess():
    tissue, lesion = flat()
    assert excess_mm(tissue, lesion, SPACING) == pytest.approx(0)
    assert excess_mm(tissue, lesion, (2.0, 2.0, 2.0)) == pytest.approx(0)


def test_two_more_layers_are_two_millimetres_but_for_the_rim():
    tissue, lesion = flat(extra=2)
    # The 10 x 10 column's face lies 2 mm deeper; its sides, 36 voxels a layer, add two shallower
    # layers. Face: 100 voxels at 5 mm; side: 36 at 4 mm. Around: 3 mm.
    assert excess_mm(tissue, lesion, SPACING) == pytest.approx((100 * 5 + 36 * 4) / 136 - 3)
    # In millimetres: voxels of 2 mm double it.
    doubled = excess_mm(tissue, lesion, (2.0, 2.0, 2.0))
    assert doubled == pytest.approx(2 * ((100 * 5 + 36 * 4) / 136 - 3))


def test_thickened_reaches_what_is_wanted_inside_the_lesion_only():
    tissue, lesion = flat()
    made = thickened(tissue, lesion, 1.0, SPACING)
    assert excess_mm(made, lesion, SPACING) == pytest.approx(1.0, abs=0.15)
    changed = made != tissue
    assert changed.any()
    assert not (changed & ~lesion).any()
    assert set(made[changed]) == {int(Tissue.CORTEX)}
    assert set(tissue[changed]) == {int(Tissue.WHITE_MATTER)}
    # From the border inwards: no cortex appears with white matter between it and the cortex.
    assert changed[20, 20, 5]
    assert not changed[20, 20, 8:].any()


def test_cortex_thick_enough_stays():
    tissue, lesion = flat(extra=2)
    assert thickened(tissue, lesion, 1.0, SPACING) is tissue


def test_without_a_border_nothing_is_said_and_nothing_is_changed():
    tissue, _ = flat()
    deep = np.zeros(tissue.shape, dtype=bool)
    deep[18:20, 18:20, 10:12] = True
    assert np.isnan(excess_mm(tissue, deep, SPACING))
    assert thickened(tissue, deep, 1.0, SPACING) is tissue
    assert np.isnan(excess_mm(tissue, np.zeros_like(deep), SPACING))
