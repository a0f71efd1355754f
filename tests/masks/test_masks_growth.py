"""Growth: exact volume, one piece, no jump over CSF, one side, the same bytes; tracks; tests."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.checks import TESTS, Candidate, Limits, first_failure, give_up
from fcdsynth.masks.growing.field import gaussian_field
from fcdsynth.masks.growing.front import NoRoom
from fcdsynth.masks.growing.grown import Grown
from fcdsynth.masks.growing.growth import grow
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.laws.shapes import ShapeLaw
from fcdsynth.masks.novelty import Gallery
from fcdsynth.masks.placement import place
from fcdsynth.masks.spec import Growth, read_specs, write_specs
from fcdsynth.measure.shape import shape_features

sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from banks import folded_head, spec_at, two_banks
from heap_growth import heap_growth


@pytest.fixture(scope="module")
def folded():
    return folded_head()


@pytest.mark.parametrize("sheet", ["csf", "staircase", "hidden"])
def test_front_stays_on_its_bank(sheet):
    host, offset = two_banks(sheet)
    grown = grow(host, spec_at(host, (13, 15, 15), 2500, seed=3))
    assert len(grown.vox) == 2500
    assert (offset[tuple(grown.vox.T)] <= 0).all()


def test_free_banks_would_be_joined():
    """The phantom can fail: with the headings wiped the hidden sulcus is crossed."""
    host, offset = two_banks("hidden")
    blind = replace(host, heading=np.zeros_like(host.heading))
    grown = grow(blind, spec_at(host, (13, 15, 15), 2500, seed=3))
    assert (offset[tuple(grown.vox.T)] > 0).any()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(pick=st.integers(0, 10**6), size=st.integers(1, 2000), seed=st.integers(0, 2**40))
def test_invariants_on_a_folded_head(folded, pick, size, seed):
    voxel = tuple(int(v) for v in folded.ribbon_vox[pick % len(folded.ribbon_vox)])
    spec = spec_at(folded, voxel, size, seed)
    try:
        grown = grow(folded, spec)
    except NoRoom:
        return
    mask, soft = grown.mask_on(folded.grid), grown.soft_on(folded.grid)
    assert mask.sum() == len(grown.vox) == size
    assert mask[voxel]
    assert cc3d.connected_components(mask.astype(np.uint8), connectivity=26).max() == 1
    labels = folded.tissue[mask]
    assert np.isin(labels, [Tissue.CORTEX, Tissue.WHITE_MATTER]).all()
    white = mask & (folded.tissue == Tissue.WHITE_MATTER)
    assert (folded.cortex_mm[white] <= spec.growth.juxtacortical_mm).all()
    assert len(set(folded.right[mask].tolist())) == 1
    assert ((soft > 0) == mask).all()
    assert soft[voxel] == pytest.approx(1)
    assert grown.in_box.sum() == size
    assert (mask[grown.box] == grown.in_box).all()
    again = grow(folded, spec)
    assert again.vox.tobytes() == grown.vox.tobytes()
    assert again.soft.tobytes() == grown.soft.tobytes()


@pytest.mark.parametrize(
    ("compactness", "along", "smoothing"), [(0, 0, 0), (2, 0, 0), (1, 0.6, 0), (0, 0.6, 2.5)]
)
def test_the_front_is_that_of_a_plain_heap(folded, compactness, along, smoothing):
    growth = Growth(compactness=compactness, along=along, inward=-along / 2,
                    smoothing_mm=smoothing)  # fmt: skip
    voxel = tuple(int(v) for v in folded.ribbon_vox[len(folded.ribbon_vox) // 4])
    spec = spec_at(folded, voxel, 250, 11, growth=growth)
    assert set(map(tuple, grow(folded, spec).vox.tolist())) == set(heap_growth(folded, spec))


def test_a_small_first_box_changes_nothing(folded, monkeypatch):
    voxel = tuple(int(v) for v in folded.ribbon_vox[len(folded.ribbon_vox) // 3])
    spec = spec_at(folded, voxel, 1500, 5)
    usual = grow(folded, spec)
    for fill in (1e-4, 20.0):  # a first ball that holds everything, and one far too small
        monkeypatch.setattr("fcdsynth.masks.growing.front._FILL", fill)
        assert (grow(folded, spec).vox == usual.vox).all()


def test_rough_fronts_differ_by_seed_and_smooth_ones_do_not(folded):
    voxel = tuple(int(v) for v in folded.ribbon_vox[len(folded.ribbon_vox) // 2])
    masks = [grow(folded, spec_at(folded, voxel, 400, s)).vox for s in (1, 2)]
    assert (masks[0] != masks[1]).any()
    even = Growth(roughness=0)
    masks = [grow(folded, spec_at(folded, voxel, 400, s, growth=even)).vox for s in (1, 2)]
    assert (masks[0] == masks[1]).all()


def test_track_reaches_towards_the_ventricle(folded):
    away = np.linalg.norm(folded.grid.to_mm(folded.ribbon_vox) - [10, 0, 45], axis=1)
    voxel = tuple(int(v) for v in folded.ribbon_vox[int(np.argmin(away))])
    plain = grow(folded, spec_at(folded, voxel, 1500))
    grown = grow(folded, spec_at(folded, voxel, 1500, subtype="IIb", track=True))
    assert not plain.on_track.any()
    mask, soft = grown.mask_on(folded.grid), grown.soft_on(folded.grid)
    assert mask.sum() == len(grown.vox) == 1500
    assert 0 < grown.on_track.sum() <= 450
    assert cc3d.connected_components(mask.astype(np.uint8), connectivity=26).max() == 1
    on_track = grown.vox[grown.on_track]
    inside = folded.tissue[tuple(on_track.T)]
    assert np.isin(inside, [Tissue.WHITE_MATTER, Tissue.CORTEX]).all()
    gap = on_track[:, None] - folded.ventricle_vox[None]
    assert np.abs(gap).max(axis=-1).min() == 1
    assert soft[voxel] == pytest.approx(1)
    assert ((soft > 0) == mask).all()


def test_a_small_lesion_gets_no_track(folded):
    voxel = tuple(int(v) for v in folded.ribbon_vox[0])
    assert not grow(folded, spec_at(folded, voxel, 20, track=True)).on_track.any()


def test_no_room():
    host, _ = two_banks("csf")
    with pytest.raises(NoRoom, match="wanted"):
        grow(host, spec_at(host, (13, 15, 15), 15 * 31 * 31 + 1))


def test_existing_lesion_is_not_entered():
    lesion = np.zeros((64, 64, 64), dtype=bool)
    lesion[32:, 40:] = True
    host = folded_head(lesion=lesion)
    assert not lesion[tuple(host.ribbon_vox.T)].any()
    near = int(np.argmin(np.abs(host.ribbon_vox - [50, 39, 34]).sum(axis=1)))
    grown = grow(host, spec_at(host, tuple(int(v) for v in host.ribbon_vox[near]), 800))
    assert not lesion[tuple(grown.vox.T)].any()


def test_field_is_one_function_of_position():
    whole = gaussian_field(7, (0.0, 0.0, 0.0), (20, 20, 20), (1.0, 1.0, 1.0), 6.0)
    part = gaussian_field(7, (4.0, 6.0, 2.0), (5, 5, 5), (2.0, 2.0, 2.0), 6.0)
    np.testing.assert_allclose(part, whole[4:14:2, 6:16:2, 2:12:2], atol=1e-4)


def test_field_has_unit_variance_and_the_asked_correlation():
    fields = np.stack(
        [gaussian_field(s, (0.0,) * 3, (13, 1, 1), (1.0,) * 3, 6.0).ravel() for s in range(3000)]
    )
    assert fields.mean() == pytest.approx(0, abs=0.05)
    assert fields.var() == pytest.approx(1, abs=0.06)
    assert (fields[:, 0] * fields[:, 6]).mean() == pytest.approx(np.exp(-0.5), abs=0.06)
    assert (fields[:, 0] * fields[:, 12]).mean() == pytest.approx(np.exp(-2), abs=0.06)


@pytest.fixture
def candidate(folded):
    voxel = tuple(int(v) for v in folded.ribbon_vox[len(folded.ribbon_vox) // 2])
    spec = spec_at(folded, voxel, 300)
    placement = place(folded, LesionPrior())
    return Candidate(placement, spec, grow(folded, spec), Limits(), (0.1, 60.0))


def with_mask(candidate, mask, **more):
    vox = np.argwhere(mask)
    grown = Grown(vox, np.ones(len(vox), np.float32), np.zeros(len(vox), bool))
    return replace(candidate, grown=grown, **more)


def test_every_rejection_test_can_refuse(candidate):
    assert first_failure(candidate) is None
    placement, host, grown = candidate.placement, candidate.host, candidate.grown
    own = grown.mask_on(host.grid)
    two = np.zeros(host.grid.shape, dtype=bool)
    two[20:22, 30, 30] = two[40:42, 30, 30] = True

    def under(**laws):
        return replace(candidate, placement=replace(placement, prior=LesionPrior(**laws)))

    # A law of shapes around another shape, with unit variances: 10 away in each of 8 is 800.
    away = shape_features(own, host.grid, host.tissue, host.depth_mm).descriptors() + 10
    far = ShapeLaw(tuple(away), tuple(map(tuple, np.eye(8).tolist())), 20, 0.0)
    taken = replace(placement, host=replace(host, lesion=own))
    copied = Gallery.of([host.grid.to_mm(grown.vox)], ["sub-1"], [host.to_mni(grown.vox)])
    refusals = {
        "R1_one_component": with_mask(candidate, two),
        "R2_ribbon_fraction": with_mask(candidate, host.tissue == Tissue.WHITE_MATTER),
        "R3_tissue_share": with_mask(candidate, host.tissue == Tissue.CSF),
        "R4_one_hemisphere": with_mask(candidate, host.tissue == Tissue.CORTEX),
        "R5_volume": replace(candidate, spec=replace(candidate.spec, size_vox=301)),
        "R6_shape": under(shapes=far),
        "R7_site": under(site_floor=5.0),  # e to the power of 5 times the even density
        "R8_novelty": replace(candidate, gallery=copied),
        "R9_no_overlap": replace(candidate, placement=taken),
        "R10_in_view": replace(candidate, limits=Limits(margin_vox=31)),
    }
    assert set(refusals) == set(TESTS)
    for name, case in refusals.items():
        assert not TESTS[name](case), name
        assert first_failure(case) is not None
    near = replace(far, mean=tuple(away - 10))
    assert TESTS["R6_shape"](under(shapes=near))
    assert TESTS["R7_site"](under(site_floor=-20.0))
    assert TESTS["R7_site"](replace(under(site_floor=5.0), targeted=True))
    assert not TESTS["R5_volume"](replace(candidate, bounds_ml=(0.1, 2.39)))  # 300 x 0.008 ml
    assert TESTS["R8_novelty"](replace(candidate, gallery=None))


def test_a_donor_is_no_copy_of_itself(candidate):
    grown, host = candidate.grown, candidate.host
    gallery = Gallery.of([host.grid.to_mm(grown.vox)], ["sub-1"])
    own = replace(candidate.spec, method="transplant", donor="sub-1")
    assert TESTS["R8_novelty"](replace(candidate, spec=own, gallery=gallery))


def test_an_ellipsoid_is_asked_little(candidate):
    csf = with_mask(candidate, candidate.host.tissue == Tissue.CSF)
    size = len(csf.grown.vox)
    spec = replace(candidate.spec, method="ellipsoid", size_vox=size)
    ml = size * candidate.host.grid.voxel_ml
    assert first_failure(replace(csf, spec=spec, bounds_ml=(0.1, ml))) is None
    assert first_failure(replace(csf, spec=spec, bounds_ml=(0.1, ml / 2))) == "R5_volume"


def test_holes_are_refused(candidate):
    shell = np.zeros(candidate.host.grid.shape, dtype=bool)
    shell[10:15, 10:15, 10:15] = True
    assert TESTS["R1_one_component"](with_mask(candidate, shell))
    shell[11:14, 11:14, 11:14] = False
    assert not TESTS["R1_one_component"](with_mask(candidate, shell))


def test_give_up_names_host_and_worst_test():
    error = give_up("sub-7", 3.2, Counter({"R2_ribbon_fraction": 4, "R5_volume": 1}), 5)
    assert isinstance(error, CohortError)
    assert "sub-7" in str(error)
    assert "R2_ribbon_fraction refused 4" in str(error)


def test_spec_round_trip_and_bad_specs(candidate, tmp_path):
    spec = replace(candidate.spec, growth=Growth(roughness=0.25), centre_mni_mm=(1.0, 2.0, 3.0))
    path = write_specs(tmp_path / "spec.json", [spec, candidate.spec])
    assert read_specs(path) == (spec, candidate.spec)
    path.write_text(path.read_text().replace('"side"', '"wide"'))
    with pytest.raises(SettingsError, match="unknown keys"):
        read_specs(path)
    both = json.dumps({"lesions": [asdict(spec), asdict(replace(spec, host="sub-9"))]})
    for text in ("[]", "{}", "no json", '{"lesions": []}', both):
        path.write_text(text)
        with pytest.raises(SettingsError, match=r"spec\.json"):
            read_specs(path)
    with pytest.raises(SettingsError, match=r"spec\.json"):
        read_specs(tmp_path / "absent" / "spec.json")
    for wrong in ({"kind": "tumour"}, {"method": "magic"}, {"method": "transplant"},
                  {"donor": "sub-1"}, {"size_vox": 0}):  # fmt: skip
        with pytest.raises(SettingsError, match="kind"):
            replace(spec, **wrong)
    with pytest.raises(SettingsError, match="roughness"):
        Growth(roughness=-1)
    with pytest.raises(SettingsError, match="limits"):
        Limits(tries=0)
