"""Random fields, poses and part tables of the phantom."""

from dataclasses import replace

import numpy as np
import pytest

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.measure.lobes import LOBES, lobe_index
from fcdsynth.phantom.fields import SmoothField
from fcdsynth.phantom.parts import UNKNOWN, Part, from_freesurfer, to_tissue
from fcdsynth.phantom.pose import PoseSpec, canonical_coordinates, head_matrix, smallest_jacobian

BOX = ((0.0, 0.0, 0.0), (120.0, 120.0, 120.0))
POSE = PoseSpec(False, (5.0, -2.0, 3.0), (1.0, 20.0, 15.0), (1.0, 0.97, 1.02), 0.0, 0.0, 4)


def axes(step):
    return tuple(np.arange(0, 120.1, step) for _ in range(3))


def test_field_has_unit_spread_and_zero_mean():
    values = np.stack([SmoothField((n,), *BOX, 8.0).on(axes(4)) for n in range(6)])
    assert abs(values.mean()) < 0.05
    assert values.std() == pytest.approx(1, abs=0.05)


def test_field_is_the_same_at_every_density():
    field = SmoothField((3,), *BOX, 11.0)
    np.testing.assert_allclose(field.on(axes(5))[::2, ::2, ::2], field.on(axes(10)), atol=1e-5)


def test_field_is_smooth_over_its_knots():
    values = SmoothField((5,), *BOX, 20.0).on(axes(1))
    near, far = (np.std(values[n:] - values[:-n]) for n in (1, 60))
    assert near < 0.1
    assert far > 1


def test_pose_without_warp_is_the_inverse_of_its_matrix():
    grid = Grid.of((9, 8, 7), np.diag([15.0, 15, 15, 1]))
    mm, jacobian = canonical_coordinates(POSE, 0.9, grid)
    back = np.linalg.inv(head_matrix(POSE, 0.9))
    world = grid.to_mm(np.argwhere(np.ones(grid.shape)))
    expected = world @ back[:3, :3].T + back[:3, 3]
    np.testing.assert_allclose(mm.reshape(3, -1).T, expected, atol=1e-3)
    assert jacobian == pytest.approx(1, abs=1e-4)


def test_a_warp_that_would_fold_is_made_smaller():
    wild = replace(POSE, warp_mm=60.0, detail_mm=20.0)
    grid = Grid.covering((-80, -80, -80), (80, 80, 80), 4.0)
    matrix = head_matrix(wild, 1.0)
    assert smallest_jacobian(wild, grid, matrix) < 0
    mm, jacobian = canonical_coordinates(wild, 1.0, grid)
    assert jacobian > 0.2
    derivative = np.stack([np.stack(np.gradient(mm[i], 4.0), -1) for i in range(3)], -2)
    assert np.linalg.det(derivative).min() > 0


def test_freesurfer_labels_by_hand():
    labels = np.array(
        [0, 2, 42, 10, 43, 47, 16, 24, 515, 511, 1012, 2030, 3001, 9999, -4], np.int16
    )
    expected = [Part.AIR, Part.WHITE, Part.CORTEX, Part.DEEP_GREY, Part.VENTRICLE,
                Part.LOWER_GREY, Part.LOWER_WHITE, Part.CSF, Part.BONE, Part.SKIN, Part.CORTEX,
                Part.CORTEX, Part.WHITE, UNKNOWN, UNKNOWN]  # fmt: skip
    assert from_freesurfer(np.array(labels, np.int16)).tolist() == expected


def test_head_tissues_are_background_in_the_tissue_map():
    parts = np.array(list(Part), dtype=np.uint8)
    tissue = dict(zip(Part, to_tissue(parts).tolist(), strict=True))
    assert tissue[Part.CORTEX] == Tissue.CORTEX
    assert tissue[Part.LOWER_WHITE] == Tissue.INFRATENTORIAL
    assert all(tissue[p] == 0 for p in (Part.AIR, Part.BONE, Part.FAT, Part.EYE, Part.VESSEL))


@pytest.mark.parametrize(
    ("place", "lobe"),
    [  # peaks named in MNI152 atlases
        ((30, 45, 25), "FL"),  # middle frontal gyrus
        ((-38, -10, 58), "FL"),  # precentral gyrus
        ((-45, -30, 55), "PL"),  # postcentral gyrus
        ((30, -60, 50), "PL"),  # superior parietal lobule
        ((-60, -20, -5), "TL"),  # middle temporal gyrus
        ((35, 10, -35), "TL"),  # temporal pole
        ((10, -90, 5), "OL"),  # calcarine cortex
        ((-36, 5, 0), "IL"),  # insula
        ((48, 15, 10), "FL"),  # inferior frontal gyrus
    ],
)
def test_lobes_of_known_places(place, lobe):
    assert LOBES[int(lobe_index(place))] == lobe
