"""Cortical thickness, ventricle size and uprightness of simulated heads, measured on a ball."""

from dataclasses import replace

import numpy as np
import pytest
from ball_head import CORTEX_MM, SHELL, STILL, WHITE_MM, ball_anatomy

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.phantom.head import make_head
from fcdsynth.phantom.landmarks import turn_to_mni
from fcdsynth.phantom.parts import Part, side_of
from fcdsynth.phantom.pose import draw_pose, measured_jacobian, rotation
from fcdsynth.phantom.ribbon import THINNEST_MM, measure_ribbon


@pytest.fixture(scope="session")
def ball():
    return ball_anatomy()


def head_of(ball, spacing=1.0, **changes):
    return make_head(replace(STILL, **changes), SHELL, ball, spacing)


def radii(head, part):
    middle = head.grid.to_vox((0, 0, 0))
    places = np.argwhere(head.parts == part) - middle
    return np.linalg.norm(places, axis=1) * head.grid.spacing_mm[0]


def white_radius(head):
    """Radius of the white matter's outer border, from its volume with what lies inside it."""
    inside = np.isin(head.parts, (Part.WHITE, Part.VENTRICLE)).sum()
    return float(np.cbrt(inside * head.grid.voxel_ml * 1000 * 3 / (4 * np.pi)))


@pytest.mark.parametrize("spacing", [1.0, 2.0])
@pytest.mark.parametrize("thicker", [-0.4, -0.2, 0.3, 0.5])
def test_the_border_moves_as_far_as_asked(ball, thicker, spacing):
    moved = white_radius(head_of(ball, spacing)) - white_radius(
        head_of(ball, spacing, thicker_mm=thicker)
    )
    assert moved == pytest.approx(thicker, abs=0.12)
    outer = head_of(ball, spacing, thicker_mm=thicker)
    assert radii(outer, Part.CORTEX).max() == pytest.approx(CORTEX_MM, abs=spacing)


def test_thickness_varies_over_the_cortex_and_not_on_average(ball):
    head = head_of(ball, ripple_mm=0.3)
    plain = head_of(ball)
    assert white_radius(head) == pytest.approx(white_radius(plain), abs=0.12)
    middle = head.grid.to_vox((0, 0, 0))
    changed = {}
    for made in (plain, head):
        places = np.argwhere(np.isin(made.parts, (Part.WHITE, Part.VENTRICLE))) - middle
        sector = (places > 0) @ [1, 2, 4] + 8 * (np.abs(places).argmax(axis=1))
        changed[id(made)] = np.bincount(sector, minlength=24)
    area = 4 * np.pi * WHITE_MM**2 / 24
    shifts = (changed[id(plain)] - changed[id(head)]) * head.grid.voxel_ml * 1000 / area
    # A sector is some two knots of the field wide, so part of the 0.3 mm averages out in it.
    assert 0.06 < shifts.std() < 0.3


def test_cortex_is_never_thinned_below_the_limit(ball):
    head = head_of(ball, thicker_mm=-2.9)
    thinnest = CORTEX_MM - radii(head, Part.WHITE).max()
    assert thinnest >= THINNEST_MM - 0.5  # a voxel's centre lies half a voxel inside
    assert white_radius(head) > WHITE_MM + 0.8  # and it was thinned as far as that


def test_thickening_leaves_a_blade_of_white_matter_in_a_gyrus():
    parts = np.full((24, 24, 24), Part.CSF, np.uint8)
    parts[8:16] = Part.CORTEX
    parts[11:13] = Part.WHITE
    ribbon = measure_ribbon(parts, (1.0, 1.0, 1.0))
    vox = np.indices(parts.shape).astype(np.float32)
    for shift, columns in ((0.4, 2), (1.2, 2), (-1.0, 4)):
        moved = parts.copy()
        ribbon.move_border(moved, vox, np.full(parts.shape, shift, np.float32), 1.0)
        assert ((moved == Part.WHITE).sum(axis=0)[4:-4, 4:-4] == columns).all()


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.3, 1.6])
@pytest.mark.parametrize("spacing", [1.0, 2.0])
def test_ventricles_get_the_volume_asked_for(ball, factor, spacing):
    askew = {"angles_deg": (7.0, -4.0, 3.0)}  # no voxel lattice lines up with the ellipsoid
    head, plain = (
        head_of(ball, spacing, ventricles=factor, **askew),
        head_of(ball, spacing, **askew),
    )
    ml = [(h.parts == Part.VENTRICLE).sum() * h.grid.voxel_ml for h in (head, plain)]
    assert ml[0] / ml[1] == pytest.approx(factor, rel=0.08)
    assert 0.15 < head.jacobian_min < 1.0
    assert plain.jacobian_min == pytest.approx(1, abs=1e-3)
    # The flow ends before the cortex, 20 mm away: its outer border stays where it was.
    radius = [radii(h, Part.CORTEX).mean() for h in (head, plain)]
    assert radius[0] == pytest.approx(radius[1], abs=0.1)


def test_an_impossible_volume_stops_before_folding(ball):
    head = head_of(ball, 2.0, ventricles=40.0)
    more = (head.parts == Part.VENTRICLE).sum()
    assert more > 1.4 * (head_of(ball, 2.0).parts == Part.VENTRICLE).sum()
    assert head.jacobian_min > 0.1


def test_drawn_heads_never_fold(ball):
    for seed in range(6):
        pose = draw_pose(np.random.default_rng(seed))
        assert make_head(pose, SHELL, ball, 3.0).jacobian_min > 0.05


def test_the_draw_keeps_to_its_limits():
    poses = [draw_pose(np.random.default_rng([5, n])) for n in range(400)]
    assert max(abs(p.thicker_mm) for p in poses) <= 0.4
    assert np.std([p.thicker_mm for p in poses]) == pytest.approx(0.19, abs=0.03)
    factors = np.array([p.ventricles for p in poses])
    assert (factors.min() >= 0.6) & (factors.max() <= 2)
    assert np.median(factors) == pytest.approx(np.sqrt(1.2), abs=0.1)
    assert 0.4 < np.mean([p.flip for p in poses]) < 0.6


def test_the_measured_jacobian_sees_a_fold_in_one_voxel():
    grid = Grid.of((30, 20, 20), np.diag([2.0, 2, 2, 1]))
    mm = np.moveaxis(grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)), -1, 0)
    mm = mm.astype(np.float32) / 2
    half = np.diag([2.0, 2, 2, 1])  # canonical to world
    assert measured_jacobian(mm, grid, half) == pytest.approx(1, abs=1e-4)
    mm[0, 20, 7, 7] -= 3
    assert measured_jacobian(mm, grid, half) < 0


def test_a_head_that_looks_up_is_turned_upright():
    places = {17: (-26, -22, -14), 53: (26, -22, -14), 10: (-11, -19, 7), 49: (11, -19, 7),
              12: (-25, 1, 0), 51: (25, 1, 0), 11: (-13, 10, 10), 50: (13, 10, 10)}  # fmt: skip
    turn = rotation((24.0, -3.0, 5.0))
    grid = Grid.covering((-60, -60, -60), (60, 60, 60), 2.0)
    labels = np.zeros(grid.shape, np.int16)
    mm = grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1))
    for label, place in places.items():
        labels[np.linalg.norm(mm - turn @ np.asarray(place, float), axis=-1) < 4] = label
    found = turn_to_mni(Volume(labels, grid))
    angle = np.degrees(np.arccos((np.trace(found @ turn) - 1) / 2))
    assert angle < 1.5
    labels[np.isin(labels, (17, 53, 10))] = 0
    np.testing.assert_array_equal(turn_to_mni(Volume(labels, grid)), np.eye(3))


def test_sides_of_freesurfer_labels():
    labels = np.array([2, 3, 41, 42, 1012, 2030, 3001, 4001, 5001, 5002, 85, 251, 16, -4, 20000])
    expected = [-1, -1, 1, 1, -1, 1, -1, 1, -1, 1, 0, 0, 0, 0, 0]
    assert side_of(labels.astype(np.int16)).tolist() == expected
