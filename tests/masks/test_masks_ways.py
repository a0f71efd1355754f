"""Transplants, ellipsoids and the warped baseline: volumes, places, frames, the same bytes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.transform import Rotation

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.growing.front import NoRoom, grow_domain
from fcdsynth.masks.growing.growth import grow
from fcdsynth.masks.host import make_host
from fcdsynth.masks.laws.lesions import lesions_of
from fcdsynth.masks.spec import Growth
from fcdsynth.masks.ways import ellipsoid as ellipsoid_module
from fcdsynth.masks.ways.donor import Donor, frame_at
from fcdsynth.masks.ways.ellipsoid import ellipsoid, ellipsoid_centre
from fcdsynth.masks.ways.transplant import host_to_donor, laid_distance_mm, transplant

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from banks import folded_head, spec_at, two_banks
from mask_baselines import warped


@pytest.fixture(scope="module")
def folded():
    return folded_head()


@pytest.fixture(scope="module")
def donor(folded):
    """A long rough lesion grown in the same head."""
    growth = Growth(roughness=1.0, along=0.6, juxtacortical_mm=8)
    grown = grow(folded, spec_at(folded, _ribbon(folded, 0.3), 500, 4, growth=growth))
    return Donor.of(folded, lesions_of(folded, grown.mask_on(folded.grid))[0])


def _ribbon(host, share):
    x, y, z = host.ribbon_vox[int(share * (len(host.ribbon_vox) - 1))]
    return int(x), int(y), int(z)


def _block_donor():
    """A lesion of 3 x 3 x 3 voxels of 2 mm in one bank."""
    host, _ = two_banks(spacing_mm=2.0)
    mask = np.zeros(host.grid.shape, dtype=bool)
    mask[12:15, 14:17, 14:17] = True
    return host, Donor.of(host, lesions_of(host, mask)[0])


def _gyrus(turn):
    """White core of 6 mm along the second array axis in a cortex of 4 mm, the grid turned."""
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    grid = Grid.of((31, 31, 31), matrix)
    i, _, k = np.indices(grid.shape)
    away = np.hypot(i - 15, k - 15)
    tissue = np.zeros(grid.shape, dtype=np.int16)
    tissue[away <= 10] = Tissue.CORTEX
    tissue[away <= 6] = Tissue.WHITE_MATTER
    depth = np.zeros(grid.shape, dtype=np.float32)
    return make_host("gyrus", grid, tissue, np.ones(grid.shape, dtype=bool), depth)


def test_donor_keeps_voxels_and_knows_its_surface():
    host, donor = _block_donor()
    assert donor.subject == "banks"
    assert donor.number == 0
    # 27 voxels of 8 mm3.
    assert donor.volume_ml == pytest.approx(27 * 0.008)
    np.testing.assert_allclose(donor.points_mm[0], host.grid.to_mm((12, 14, 14)))
    np.testing.assert_allclose(donor.seed_mm, host.grid.to_mm((13, 15, 15)))
    x, y, z = np.rint(donor.grid.to_vox(host.grid.to_mm((13, 15, 15)))).astype(int)
    # The block's face is 3 mm from its centre; 1, 3, 5 mm outside lie the next voxel centres.
    line = donor.distance_mm[x : x + 5, y, z]
    np.testing.assert_allclose(line, [-3, -1, 1, 3, 5])


def test_frame_of_a_flat_bank():
    host, _ = two_banks()
    frame = frame_at(host, (13, 15, 15))
    # Cortex reaches 4 mm to either side of the sheet at x = 15, so white matter is at lower x.
    np.testing.assert_allclose(frame[:, 0], [-1, 0, 0], atol=1e-3)
    np.testing.assert_allclose(frame.T @ frame, np.eye(3), atol=1e-6)
    assert np.linalg.det(frame) == pytest.approx(1)


@pytest.mark.parametrize("angles", [(0, 0, 0), (20, -35, 60)])
def test_frame_follows_a_gyrus_in_any_orientation(angles):
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    host = _gyrus(turn)
    frame = frame_at(host, (23, 15, 15))
    # The gyrus runs along the second array axis; its core lies at lower first index.
    assert abs(frame[:, 1] @ turn[:, 1]) == pytest.approx(1, abs=1e-3)
    assert frame[:, 0] @ -turn[:, 0] > np.cos(np.deg2rad(5))


def test_laid_lesion_sits_on_the_seed(folded, donor):
    hands = set()
    for seed in range(12):
        spec = spec_at(folded, _ribbon(folded, 0.7), 1000, seed)
        matrix = host_to_donor(folded, spec, donor)
        at = matrix @ [*folded.grid.to_mm(spec.centre_vox), 1]
        np.testing.assert_allclose(at[:3], donor.seed_mm, atol=1e-9)
        # Twice the donor's volume, so lengths shrink on the way back by 2^(1/3).
        linear = matrix[:3, :3] * np.cbrt(1000 / donor.mask.sum())
        np.testing.assert_allclose(linear @ linear.T, np.eye(3), atol=1e-9)
        frame = frame_at(folded, spec.centre_vox)
        np.testing.assert_allclose(linear @ frame[:, 0], donor.frame[:, 0], atol=1e-9)
        # Fold on fold within 20 degrees, either way along.
        assert abs((linear @ frame[:, 1]) @ donor.frame[:, 1]) >= np.cos(np.deg2rad(20)) - 1e-9
        hands.add(round(float(np.linalg.det(linear))))
    assert hands == {-1, 1}


def _dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_transplant_keeps_more_of_the_donor_than_growth(folded, donor):
    kept, plain = [], []
    for seed, share in enumerate((0.1, 0.25, 0.4, 0.6, 0.8)):
        spec = spec_at(folded, _ribbon(folded, share), 500, seed)
        whole = tuple(slice(0, n) for n in folded.grid.shape)
        laid = laid_distance_mm(folded, spec, donor, whole) <= 0
        laid &= grow_domain(folded, spec.growth.juxtacortical_mm, spec.centre_vox, whole)
        kept.append(_dice(laid, transplant(folded, spec, donor).mask_on(folded.grid)))
        plain.append(_dice(laid, grow(folded, spec).mask_on(folded.grid)))
    assert all(k > p for k, p in zip(kept, plain, strict=True))
    assert np.mean(kept) > np.mean(plain) + 0.05
    assert (np.array(kept) > plain).all()


@settings(max_examples=12, deadline=None, derandomize=True)
@given(pick=st.floats(0, 1), size=st.integers(1, 2000), seed=st.integers(0, 2**62))
def test_transplant_invariants(folded, donor, pick, size, seed):
    spec = spec_at(folded, _ribbon(folded, pick), size, seed)
    try:
        grown = transplant(folded, spec, donor)
    except NoRoom:
        return
    mask = grown.mask_on(folded.grid)
    assert len(grown.vox) == mask.sum() == size
    assert mask[spec.centre_vox]
    assert cc3d.connected_components(mask.astype(np.uint8), connectivity=26).max() == 1
    assert np.isin(folded.tissue[mask], [Tissue.CORTEX, Tissue.WHITE_MATTER]).all()
    white = mask & (folded.tissue == Tissue.WHITE_MATTER)
    assert (folded.cortex_mm[white] <= spec.growth.juxtacortical_mm).all()
    assert len(set(folded.right[mask].tolist())) == 1
    assert grown.soft.min() >= 0.01
    assert grown.soft.max() == pytest.approx(1)
    assert not grown.on_track.any()
    again = transplant(folded, spec, donor)
    assert again.vox.tobytes() == grown.vox.tobytes()
    assert again.soft.tobytes() == grown.soft.tobytes()


def test_transplant_stays_on_its_bank():
    _, donor = _block_donor()
    bank, offset = two_banks("hidden", spacing_mm=2.0)
    grown = transplant(bank, spec_at(bank, (13, 15, 15), 400, 1), donor)
    assert (offset[tuple(grown.vox.T)] <= 0).all()


def test_no_room_for_a_transplant(folded, donor):
    with pytest.raises(NoRoom):
        transplant(folded, spec_at(folded, _ribbon(folded, 0.5), 10**6), donor)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(pick=st.floats(0, 1), size=st.integers(1, 3000), seed=st.integers(0, 2**62))
def test_ellipsoid_has_its_volume_in_the_brain(folded, pick, size, seed):
    spec = spec_at(folded, _ribbon(folded, pick), size, seed)
    made = ellipsoid(folded, spec)
    mask = made.mask_on(folded.grid)
    assert len(made.vox) == mask.sum() == size
    assert folded.brain[mask].all()
    assert ellipsoid(folded, spec).vox.tobytes() == made.vox.tobytes()


def test_ellipsoid_is_an_ellipsoid(monkeypatch):
    monkeypatch.setattr(ellipsoid_module, "_BEND", (0.0, 0.0))
    host, _ = two_banks()
    axes = []
    for seed in range(20):
        made = ellipsoid(host, spec_at(host, (15, 15, 15), 2000, seed))
        points = made.vox - 15.0
        # Without a bend the body is its own image in the centre.
        np.testing.assert_allclose(points.mean(axis=0), 0, atol=0.02)
        # Second moments of a solid ellipsoid are its half-axes squared over 5.
        half = np.sqrt(5 * (points**2).mean(axis=0))
        value = (points**2 / half**2).sum(axis=1)
        assert value.max() < 1.15
        # The volume is that of the half-axes: 4/3 pi a b c = 2000.
        assert 4 / 3 * np.pi * half.prod() == pytest.approx(2000, rel=0.02)
        axes.append(half / half.max())
    # 0.75 / 1.25 = 0.6 is the least ratio; drawn anew for each.
    assert 0.58 < np.min(axes) < 0.75
    assert np.ptp([a.min() for a in axes]) > 0.1


def test_bends_bend_and_the_box_is_large_enough(monkeypatch):
    host, _ = two_banks()
    spec = spec_at(host, (15, 15, 15), 700, 2)
    usual = ellipsoid(host, spec)
    monkeypatch.setattr(ellipsoid_module, "_largest", lambda bends: 100.0)
    assert {*map(tuple, ellipsoid(host, spec).vox)} == {*map(tuple, usual.vox)}
    monkeypatch.undo()
    monkeypatch.setattr(ellipsoid_module, "_BEND", (0.0, 0.0))
    straight = ellipsoid(host, spec)
    shared = {*map(tuple, straight.vox)} & {*map(tuple, usual.vox)}
    assert len(shared) < 0.95 * 700


def test_ellipsoid_ignores_folds_and_needs_room(folded):
    host, offset = two_banks()
    made = ellipsoid(host, spec_at(host, (13, 15, 15), 500))
    at = offset[tuple(made.vox.T)]
    assert (at < 0).any()
    assert (at == 0).any()
    assert (at > 0).any()
    with pytest.raises(NoRoom):
        ellipsoid(folded, spec_at(folded, (32, 32, 32), int(folded.brain.sum()) + 1))


def test_ellipsoid_centre_is_uniform_in_the_eroded_organ(folded):
    organ = folded.brain & (folded.tissue != Tissue.INFRATENTORIAL)
    allowed = ndimage.binary_erosion(organ, np.ones((5, 5, 5)))
    allowed &= np.isin(folded.tissue, (Tissue.CORTEX, Tissue.WHITE_MATTER))
    rng = np.random.default_rng(0)
    drawn = [ellipsoid_centre(folded, rng) for _ in range(400)]
    assert all(allowed[voxel] for voxel in drawn)
    share = (folded.tissue[allowed] == Tissue.CORTEX).mean()
    found = np.mean([folded.tissue[voxel] == Tissue.CORTEX for voxel in drawn])
    # Four standard errors of a share among 400.
    assert abs(found - share) < 4 * np.sqrt(share * (1 - share) / 400)


def test_no_centre_in_a_thin_brain(folded):
    thin = replace(folded, brain=folded.brain & (np.indices(folded.grid.shape)[0] % 4 > 0))
    with pytest.raises(CohortError, match="inside the brain's edge"):
        ellipsoid_centre(thin, np.random.default_rng(0))


def test_warped_mask_moves_within_the_cerebrum(folded, donor):
    organ = folded.brain & (folded.tissue != Tissue.INFRATENTORIAL)
    centre = donor.points_mm.mean(axis=0)
    shifts = []
    for seed in range(10):
        vox = warped(folded, donor, np.random.default_rng(seed))
        assert vox.tobytes() == warped(folded, donor, np.random.default_rng(seed)).tobytes()
        assert organ[tuple(vox.T)].all()
        # Scales of 0.8 to 1.2 along three axes, at least 80 % kept, and some voxels closed.
        assert 0.8 * 0.8**3 * 0.9 < len(vox) / donor.mask.sum() < 1.2**3 * 1.5
        shifts.append(folded.grid.to_mm(vox.mean(axis=0)) - centre)
    # Uniform shifts to 20 mm, less what leaves the brain, and half a centroid of clipping.
    assert 5 < np.abs(shifts).max() < 28
    with pytest.raises(CohortError, match="places outside the brain"):
        warped(replace(folded, brain=np.zeros_like(folded.brain)), donor, np.random.default_rng(0))


def test_warped_mask_starts_anywhere_without_mni(folded, donor):
    lost = replace(folded, t1w_to_mni=None)
    centres = [
        folded.grid.to_mm(warped(lost, donor, np.random.default_rng(s)).mean(axis=0))
        for s in range(8)
    ]
    # Far beyond a shift of 20 mm along each axis.
    assert np.ptp(centres, axis=0).max() > 45
