"""The tests of a redrawn pair: what changed, the ranges of contrasts, their agreement."""

import json

import numpy as np
import pytest
from scipy import ndimage, stats

from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.subject import Parent, Role
from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.change import LEAST_GRAIN, Trimmed, change, grain, trim
from fcdsynth.synthesis.contrasts import ring_contrasts, rng_for
from fcdsynth.synthesis.crops import enclosing
from fcdsynth.synthesis.honesty import Checks, Judge
from fcdsynth.synthesis.outcome import refuse_too_many
from fcdsynth.synthesis.ranges import Agreement, Range
from fcdsynth.synthesis.regions import box_around, near
from fcdsynth.synthesis.sidecar import bids_names, write_sidecars

RNG = np.random.default_rng(0)


def test_grain_is_the_noise_and_not_the_anatomy():
    tissue = np.full((40, 40, 40), Tissue.WHITE_MATTER)
    tissue[20:] = Tissue.CORTEX
    level = np.where(tissue == Tissue.CORTEX, 0.4, 0.7)
    image = np.stack([level + RNG.normal(0, sd, tissue.shape) for sd in (0.02, 0.05)])
    assert grain(image.astype(np.float32), tissue) == pytest.approx([0.02, 0.05], rel=0.03)
    still = np.stack([level, level]).astype(np.float32)
    assert (grain(still, tissue) == LEAST_GRAIN).all()
    assert (grain(image, np.full_like(tissue, Tissue.VENTRICLE)) == LEAST_GRAIN).all()


def test_change_adds_the_contrasts_as_squares():
    empty = np.full((2, 1, 1, 2), 0.5, np.float32)
    lesional = empty + np.array([[0.03, 0.0], [0.08, -0.02]], np.float32)[:, None, None]
    found = change(lesional, empty, np.array([0.01, 0.02]))
    assert found.ravel() == pytest.approx([5.0, 1.0], rel=1e-5)  # (3, 4) and (0, 1)


def box(*edges, shape=(16, 16, 16)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*e) for e in edges)] = True
    return mask


def test_a_mask_is_cut_to_the_largest_part_that_changed():
    drawn = box((2, 12), (4, 8), (4, 8))
    changed = box((2, 8), (4, 8), (4, 8)) | box((10, 12), (4, 8), (4, 8))
    found = trim(drawn, np.ones_like(drawn), changed)
    assert np.array_equal(found.mask, box((2, 8), (4, 8), (4, 8)))
    assert found.share == found.least_share == 0.6
    assert found.beyond == 0


def test_holes_and_single_voxels_are_noise():
    drawn = box((2, 12), (2, 12), (2, 12))
    changed = drawn.copy()
    changed[6:8, 6, 6] = False
    changed[2, 5, 5] = False
    found = trim(drawn, np.ones_like(drawn), changed)
    assert np.array_equal(found.mask, drawn)
    changed[7] = False  # a layer is none
    assert np.array_equal(trim(drawn, drawn, changed).mask, box((2, 7), (2, 12), (2, 12)))


def test_each_large_part_must_hold_on_its_own():
    first, second = box((1, 5), (1, 5), (1, 5)), box((9, 13), (9, 13), (9, 13))
    found = trim(first | second, np.ones_like(first), first)
    assert np.array_equal(found.mask, first)
    assert found.share == 0.5
    assert found.least_share == 0
    speck = box((15, 16), (15, 16), (15, 16))
    found = trim(first | speck, np.ones_like(first), first)
    assert found.least_share == 1
    assert found.share == 64 / 65


def test_change_beside_the_mask_counts_from_the_second_voxel():
    drawn = box((6, 10), (6, 10), (6, 10))
    region = box((3, 13), (3, 13), (3, 13))
    blurred = ndimage.binary_dilation(drawn, np.ones((3, 3, 3)))
    assert trim(drawn, region, blurred).beyond == 0
    everywhere = np.ones_like(drawn)
    assert trim(drawn, region, everywhere).beyond == (10**3 - 6**3) / 4**3


def test_nothing_changed_leaves_nothing():
    drawn = box((2, 4), (2, 4), (2, 4))
    found = trim(drawn, drawn, np.zeros_like(drawn))
    assert not found.mask.any()
    assert found.share == found.least_share == 0


def test_range_of_few_is_the_prediction_interval_and_of_many_the_quantiles():
    known = Range.of([0.1, 0.2, 0.3], 0.025)
    # t(2) at 0.975 is 4.3027, s = 0.1, sqrt(4/3) = 1.1547.
    assert known.low == pytest.approx(0.2 - 4.3027 * 0.1 * 1.1547, abs=1e-4)
    assert known.high == pytest.approx(0.2 + 4.3027 * 0.1 * 1.1547, abs=1e-4)
    heavy = np.r_[np.zeros(900), np.full(50, -9.0), np.full(50, 1.0)]
    many = Range.of(heavy, 0.025)
    assert many.low == -9
    assert Range.of([0.1, np.nan], 0.025) is None
    assert Range.of([0.1, np.nan, 0.1], 0.025) == Range(0.1, 0.1)


def test_the_range_holds_the_share_of_new_lesions_it_promises():
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(800):
        known = Range.of(rng.normal(0, 1, 12), 0.025)
        inside.append(known.low <= rng.normal() <= known.high)
    # Exact for normal values; the hull with the quantiles adds a little.
    assert 0.93 <= np.mean(inside) <= 0.99


def correlated(n, rng):
    first = rng.normal(0, 1, n)
    second = -0.9 * first + np.sqrt(1 - 0.81) * rng.normal(0, 1, n)
    return [(0.006 * a, 0.05 + 0.02 * b) for a, b in zip(first, second, strict=True)]


def test_agreement_knows_the_joint_law():
    law = Agreement.of(correlated(400, np.random.default_rng(2)), 0.99)
    # Both are 1.5 SD from the middle: with the correlation likely, against it not.
    assert law.distance((0.009, 0.02)) < law.limit < law.distance((0.009, 0.08))
    assert law.limit == pytest.approx(stats.chi2.ppf(0.99, 2), rel=0.03)
    exact = np.array([[1, -0.9], [-0.9, 1]])
    at = np.array([1.5, 1.5])
    oracle = at @ np.linalg.inv(exact) @ at
    assert law.distance((0.009, 0.08)) == pytest.approx(oracle, rel=0.25)


def test_agreement_of_few_is_wide_and_of_too_few_unknown():
    rng = np.random.default_rng(3)
    few = [Agreement.of(correlated(8, rng), 0.95) for _ in range(300)]
    inside = [law.distance(row) <= law.limit for law in few for row in correlated(3, rng)]
    assert np.mean(inside) > 0.9
    assert few[0].limit > 2 * stats.chi2.ppf(0.95, 2)
    assert Agreement.of(correlated(3, rng), 0.99) is None
    assert Agreement.of([(0.1,), (0.2,), (0.3,), (0.4,)], 0.99) is None
    assert Agreement.of([], 0.99) is None
    assert Agreement.of([(np.nan, 0.1)] * 9, 0.99) is None


def test_the_judge_names_what_is_wrong():
    lesions = correlated(60, np.random.default_rng(4))
    healthy = [(0.004 * a, 0.01 * b) for a, b in np.random.default_rng(5).normal(size=(80, 2))]
    judge = Judge.of(("t1w", "flair"), Checks(), lesions, healthy)
    assert judge.lesion((0.0, 0.05)) == []
    assert judge.lesion((0.0, 0.0))[0].test == "contrast_flair"
    assert [f.test for f in judge.lesion((0.009, 0.08))] == ["agreement"]
    assert judge.lesion((np.nan, 0.05)) == []
    assert judge.control((0.0, 0.0)) == []
    fault = judge.control((0.0, 0.05))[0]
    assert fault.test == "healthy_flair"
    assert fault.found == "+0.0500 against the ring"
    none = np.zeros((2, 2, 2), bool)
    assert judge.changed(Trimmed(none, 0.9, 0.5, 1.0)) == []
    assert [f.test for f in judge.changed(Trimmed(none, 0.9, 0.4, 1.1))] == ["changed", "beyond"]


@pytest.mark.parametrize("setting", [{"tries": 0}, {"tail": 0.5}, {"agreement": 1.0},
                                     {"least_change": 0.0}, {"least_share": 0.0},
                                     {"beyond": -1.0}])  # fmt: skip
def test_limits_out_of_range_are_named(setting):
    with pytest.raises(SettingsError, match=f"checks.{next(iter(setting))}"):
        Checks(**setting)


def test_too_many_is_more_than_half_of_a_group(tmp_path):
    fault = {"test": "changed", "found": "0.10 of the mask changed", "expected": "at least 0.50"}

    def record(group, made):
        return {"id": f"a-{group}", "group": group, "made": made, "tries": 1,
                "refused": [] if made else [[fault]]}  # fmt: skip

    half = [record("patient", True), record("patient", False), record("control", True)]
    refuse_too_many(tmp_path, half)
    with pytest.raises(RunError, match=r"2 of 3 refused at every draw \(changed 2"):
        refuse_too_many(tmp_path, [*half, record("patient", False), *[half[2]] * 9])


def test_a_subjects_numbers_come_from_its_id():
    first = [rng_for(3, name).integers(2**31) for name in ("a", "b", "a")]
    assert first[0] == first[2] != first[1]
    assert rng_for(4, "a").integers(2**31) != first[0]


def test_contrasts_need_tissue_on_both_sides():
    tissue = np.full((8, 8, 8), Tissue.WHITE_MATTER)
    mask, region = (
        box((3, 5), (3, 5), (3, 5), shape=(8,) * 3),
        box((2, 6), (2, 6), (2, 6), shape=(8,) * 3),
    )
    image = np.stack([np.where(mask, 0.7, 0.5), np.where(mask, 0.4, 0.5)]).astype(np.float32)
    assert ring_contrasts(image, mask, region, tissue) == pytest.approx((0.2, -0.1), abs=1e-6)
    assert np.isnan(ring_contrasts(image, mask, mask, tissue)).all()
    assert np.isnan(ring_contrasts(image, mask, mask & False, tissue)).all()


def test_near_looks_no_farther_than_it_must_and_finds_the_same():
    mask = np.random.default_rng(6).random((30, 20, 25)) > 0.9995
    mask[0, 0, 0] = mask[29, 19, 24] = True
    for distance in (0.5, 3.0, 7.5):
        whole = ndimage.distance_transform_edt(~mask, sampling=(1.0, 2.0, 1.5)) <= distance
        assert np.array_equal(near(mask, distance, (1.0, 2.0, 1.5)), whole)
    corner = box((3, 5), (0, 2), (7, 8), shape=(9, 9, 9))
    assert box_around(corner, (1, 1, 2)) == (slice(2, 6), slice(0, 3), slice(5, 9))


def test_enclosing_box_shares_its_middle_with_the_mask():
    mask = box((5, 25), (10, 12), (39, 40), shape=(40, 40, 40))
    corner, size = enclosing(mask, margin=2, multiple=8)
    assert size == (24, 8, 8)
    assert corner == (15 - 12, 11 - 4, 39 - 4)


def test_labels_that_are_one_without_signs_are_refused(tmp_path):
    assert bids_names(["sub-01", "syn-00002"]) == {"sub-01": "sub-01", "syn-00002": "sub-syn00002"}
    with pytest.raises(CohortError, match="sub-syn1"):
        bids_names(["syn-1", "syn_1"])
    (tmp_path / "anat").mkdir()
    write_sidecars(tmp_path, "sub-a", ["t1w", "region"], [Parent("h", Role.HOST)], "h", {"Seed": 7})
    image = json.loads((tmp_path / "anat" / "sub-a_desc-synthetic_T1w.json").read_text())
    assert image["Parents"] == [{"Subject": "h", "Role": "host"}]
    assert image["Seed"] == 7
    mask = json.loads((tmp_path / "anat" / "sub-a_desc-redrawn_mask.json").read_text())
    assert mask["Type"] == "ROI"
    assert mask["Sources"] == ["h"]
