"""Scans of painted blocks whose result is known by hand; laws of faults on many draws."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ball_head import SHELL, STILL, WHITE_MM, ball_anatomy
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.provenance import plain
from fcdsynth.phantom import acquisition
from fcdsynth.phantom.bright import CAP, SPOT, find_bright
from fcdsynth.phantom.contrast import draw_contrast, draw_site
from fcdsynth.phantom.fourier import encode
from fcdsynth.phantom.head import make_head
from fcdsynth.phantom.mimics import MimicSpec, Spot, draw_mimics
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.pose import rotation
from fcdsynth.phantom.scans import ScanSpec, draw_scans, protocol_of

ZERO = (0.0, 0.0, 0.0)
PLAIN = ScanSpec(1.0, 0.0, 1.0, ZERO, ZERO, ZERO, ZERO, 1.0, False, 0.0, 0.0, 0.0, 5)
HEAD = Grid.covering((-40, -40, -40), (40, 40, 40), 1.0)


def edge(size=128):
    image = np.ones((4, size, 3), np.float32)
    image[:, : size // 2] = 2
    return image


def test_truncated_k_space_rings_by_the_gibbs_constant():
    ringing = encode(edge(512), 1, kept=0.125)
    # The overshoot of a truncated Fourier series is 8.95 % of the jump, on either side.
    assert ringing.max() - 2 == pytest.approx(0.0895, abs=0.01)
    assert 1 - ringing.min() == pytest.approx(0.0895, abs=0.01)
    assert np.ptp(ringing, axis=0).max() < 1e-5
    assert ringing.mean() == pytest.approx(1.5, abs=1e-4)


def test_apodised_lines_blur_instead():
    sharp, soft = edge(), encode(edge(), 1, kept=0.5, apodised=True)
    assert soft.max() - 2 < 0.01
    assert np.abs(np.diff(soft, axis=1)).max() < 0.5 * np.abs(np.diff(sharp, axis=1)).max()
    assert encode(sharp, 1) is sharp


def test_a_sway_sets_ghosts_where_its_rhythm_says():
    line = np.zeros((1, 200, 1), np.float32)
    line[0, 100] = 1
    made = encode(line.copy(), 1, sway_vox=0.6, cycles=30.0)[0, :, 0]
    away = np.abs(np.arange(200) - 100)
    others = made.copy()
    others[away < 3] = 0
    ghosts = set(np.argsort(others)[-4:].tolist())
    assert ghosts <= {69, 70, 71, 129, 130, 131}
    assert 0.1 < others.max() < 0.6
    still = encode(line.copy(), 1, sway_vox=1e-9, cycles=30.0)[0, :, 0]
    np.testing.assert_allclose(still, line[0, :, 0], atol=1e-5)


def test_thick_slices_average_over_their_thickness_and_miss_the_gap():
    spec = replace(PLAIN, slice_mm=4.0, gap=1.25)
    protocol = protocol_of(spec, 1.0, "PSR")
    assert (protocol.dimensions, protocol.axes, protocol.slice_mm) == ("2D", "LAS", 4.0)
    grid = acquisition.scan_grid(spec, HEAD, protocol)
    assert grid.spacing_mm == pytest.approx((0.8, 0.8, 5.0))
    assert grid.axis_codes == "LAS"
    middle = grid.shape[2] // 2
    z = grid.to_mm((0, 0, middle))[2]
    column = HEAD.to_mm(np.argwhere(np.ones((1, 1, HEAD.shape[2]))))[:, 2]
    for low, high, expected in ((-10, 0, 0.5), (-2.5, 2.5, 1.0), (-0.5, 0.5, 0.25)):
        block = np.zeros(HEAD.shape, np.float32)
        block[:, :, (column > z + low) & (column < z + high)] = 1
        seen = acquisition.sampled(block, HEAD, grid, spec, protocol)
        inside = seen[20:-20, 20:-20, middle]
        assert inside.mean() == pytest.approx(expected, abs=0.13)
    gap = np.zeros(HEAD.shape, np.float32)
    gap[:, :, np.abs(column - (z + 2.5)) < 0.3] = 1
    seen = acquisition.sampled(gap, HEAD, grid, spec, protocol)
    assert seen.max() < 0.25


def test_thick_slices_stay_thicker_at_coarse_spacing():
    spec = replace(PLAIN, slice_mm=3.5, gap=1.1)
    protocol = protocol_of(spec, 2.0, "PSR")
    assert protocol.in_plane_mm == pytest.approx(1.6)
    assert protocol.slice_mm == pytest.approx(4.0)
    assert protocol.pitch_mm == pytest.approx(4.4)
    flat = protocol_of(replace(PLAIN, voxel=1.2), 2.0, "PSR")
    assert (flat.in_plane_mm, flat.slice_mm, flat.dimensions) == (2.4, 2.4, "3D")


@pytest.mark.parametrize("order", [0, 1])
def test_looking_up_a_part_equals_looking_up_all(order):
    rng = np.random.default_rng(0)
    array = np.zeros(HEAD.shape, np.float32)
    array[20:44, 30:50, 52:70] = rng.random((24, 20, 18))
    to_head = np.eye(4)
    to_head[:3, :3], to_head[:3, 3] = rotation((9.0, -6.0, 4.0)), (3, -2, 5)
    grid = Grid.covering((-45, -30, -40), (35, 45, 30), 1.3)
    matrix = np.linalg.inv(HEAD.matrix) @ to_head @ grid.matrix
    whole = ndimage.affine_transform(array, matrix[:3, :3], matrix[:3, 3], grid.shape, order=order)
    found = acquisition.look_up(array, HEAD, grid, to_head, order)
    np.testing.assert_allclose(found, whole, atol=1e-5)
    assert whole.any()
    assert not acquisition.look_up(0 * array, HEAD, grid, to_head, order).any()


def test_noise_in_air_is_rayleigh_and_the_same_spec_gives_the_same_scan():
    protocol = protocol_of(PLAIN, 2.0, "LAS")
    grid = acquisition.scan_grid(PLAIN, HEAD, protocol)
    air = np.zeros(HEAD.shape, np.float32)
    scans = [acquisition.scan(air, HEAD, grid, PLAIN, protocol, 0.05, 2000.0) for _ in range(2)]
    assert scans[0].array.mean() == pytest.approx(100 * np.sqrt(np.pi / 2), rel=0.02)
    np.testing.assert_array_equal(scans[0].array, scans[1].array)


@pytest.fixture(scope="session")
def drawn():
    site = draw_site(0, 2)
    return [draw_scans(np.random.default_rng([9, n]), site) for n in range(3000)]


def test_thick_slices_and_ghosts_are_as_frequent_as_they_should_be(drawn):
    thick = [s["flair"].slice_mm for s in drawn if s["flair"].slice_mm]
    assert len(thick) / len(drawn) == pytest.approx(7 / 85, abs=0.017)
    assert 3.5 <= min(thick) <= max(thick) <= 5
    assert not any(s["t1w"].slice_mm for s in drawn)
    ghosts = np.mean([any(one.sway_mm for one in s.values()) for s in drawn])
    assert ghosts == pytest.approx(0.10, abs=0.02)


def test_most_heads_move_a_little_between_scans_and_some_much(drawn):
    assert all(s["t1w"].motion_mm == ZERO == s["t1w"].motion_deg for s in drawn)
    mm = np.array([np.linalg.norm(s["flair"].motion_mm) for s in drawn])
    deg = np.array([np.linalg.norm(s["flair"].motion_deg) for s in drawn])
    assert np.median(mm) == pytest.approx(1.2 * 1.538, abs=0.4)  # median of a chi law of 3
    assert 0.05 < (mm > 4).mean() < 0.15
    assert 0.05 < (deg > 3.5).mean() < 0.15
    assert mm.max() < 6
    assert deg.max() < 5.01


def test_scanners_have_their_own_voxels_and_noise():
    sites = [draw_site(seed, number) for seed in range(60) for number in range(1, 7)]
    for site in sites:
        if site.number == 1:
            assert site.voxel == {"t1w": 1.0, "flair": 1.1}
        assert 0.8 <= site.voxel["t1w"] <= 1.2
        assert 1.0 <= site.voxel["flair"] <= 1.3
        assert 0.75 <= site.kept["t1w"] <= 1
    assert len({site.voxel["t1w"] for site in sites}) > 20
    noise = {t: np.mean([s.noise["flair"] for s in sites if s.field_t == t]) for t in (1.5, 3.0)}
    assert noise[1.5] / noise[3.0] == pytest.approx(1.5, abs=0.15)
    assert np.mean([s.apodised["t1w"] for s in sites]) == pytest.approx(0.4, abs=0.1)


MIMICS = MimicSpec(
    0.4, 4.0, (Spot(3.0, 0.5, -0.2), Spot(2.5, 0.7, -0.1)),
    {f"{name} {side}": 0.2 for name in ("insula", "cingulate", "hippocampus") for side in "LR"}, 8,
)  # fmt: skip


@pytest.fixture(scope="session")
def bright_head():
    head = make_head(STILL, SHELL, ball_anatomy(), 1.0)
    return head, find_bright(MIMICS, head)


def test_caps_hug_the_ventricles_and_spots_lie_deep_in_the_white_matter(bright_head):
    head, bright = bright_head
    labels = bright.labels(head)
    assert (head.parts[labels > 0] == Part.WHITE).all()
    away = ndimage.distance_transform_edt(head.parts != Part.VENTRICLE)
    assert away[labels == CAP].max() < 4.0 * 1.8 + 1
    y = np.abs(head.mm[1])
    assert away[(labels == CAP) & (y > 11)].max() > 2 * away[(labels == CAP) & (y < 4)].max()
    radius = np.linalg.norm(head.mm, axis=0)
    assert radius[labels == SPOT].max() < WHITE_MM
    found, number = ndimage.label(labels == SPOT)
    assert number == 2
    ml = np.bincount(found.ravel())[1:] * head.grid.voxel_ml
    expected = [4 / 3 * np.pi * r**3 / 1000 for r in (3.0, 2.5)]
    np.testing.assert_allclose(sorted(ml), sorted(expected), rtol=0.8)


@pytest.mark.parametrize("flair", [True, False])
def test_mimics_change_brightness_by_what_was_drawn(bright_head, flair):
    head, bright = bright_head
    painted = np.ones(head.grid.shape, np.float32)
    bright.paint(painted, flair)
    labels = bright.labels(head)
    deepest = [painted[box][share > 0.93].mean()
               for share, box in zip(bright.spots, bright.spots_boxes, strict=True)]  # fmt: skip
    for value, spot in zip(deepest, MIMICS.spots, strict=True):
        assert value == pytest.approx(1 + (spot.flair if flair else spot.t1w), abs=0.06)
    assert (painted[labels == CAP].mean() > 1.2) == flair
    assert (painted[head.parts != Part.WHITE] == 1).all()


def test_regions_brighten_grey_matter_alone_and_on_their_side(bright_head):
    head, _ = bright_head
    regions = {name: 0.0 for name in MIMICS.regions} | {"insula L": 0.3}
    bright = find_bright(replace(MIMICS, regions=regions), head)
    painted = np.ones(head.grid.shape, np.float32)
    bright.paint_regions(painted, head, True)
    changed = np.abs(painted - 1) > 1e-4
    assert changed.any()
    assert (head.parts[changed] == Part.CORTEX).all()
    assert (head.mm[0][changed] < 0).all()
    assert painted.max() == pytest.approx(1.3, abs=0.02)  # the ball's cortex passes its centre


def test_mimics_are_drawn_for_everyone_and_written_down():
    specs = [draw_mimics(np.random.default_rng([4, n])) for n in range(600)]
    assert np.mean([bool(s.spots) for s in specs]) == pytest.approx(0.4, abs=0.06)
    assert max(len(s.spots) for s in specs) <= 10
    assert np.mean([s.regions["insula L"] for s in specs]) == pytest.approx(0.12, abs=0.01)
    record = json.loads(json.dumps(plain(draw_contrast(np.random.default_rng(1)))))
    assert set(record["mimics"]) == {"caps", "cap_mm", "spots", "regions", "seed"}
