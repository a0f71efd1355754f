"""Every planted error does what its name promises, measured on the masks it leaves."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from folded import folded_head

from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.measure.components import label_components
from fcdsynth.phantom.annotator import (
    ERRORS,
    EXTENT,
    MISSED_WHOLE,
    MIXES,
    AnnotatorSpec,
    Reader,
    dealt_error,
    draw_annotator,
    draw_reader,
)
from fcdsynth.phantom.illness import fall_ill, outlined_elsewhere
from fcdsynth.phantom.lesionlaw import LesionLaw, draw_disease, draw_lesion
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.patch import Patch, to_mask, with_holes
from fcdsynth.phantom.roster import draw_roster
from fcdsynth.phantom.sources import TEMPLATE

EXACT = Reader("exact", 0.0, 0.0, 0.0, 0.0, 1.0)
STILL = np.eye(4)


@pytest.fixture(scope="module")
def head():
    return folded_head()


def a_lesion(**changes):
    base = draw_lesion(np.random.default_rng(0), LesionLaw())
    settings = {"lobe": "FL", "side": "L", "volume_ml": 4.0, "tail": False, "seed": 2}
    return replace(base, **(settings | changes))


def a_reader(error="none", amount=0.0, **changes):
    base = AnnotatorSpec("exact", 0.0, 0.4, (0.0, 0.0, 0.0), True, error, amount, False, 0, None, 7)
    return replace(base, **changes)


def drawn(head, spec, lesions=None, grid=None, other=None):
    """Truth and outline on one grid, as boolean arrays."""
    ill = fall_ill("sub-1", lesions or [a_lesion()], spec, head, other)
    grid = grid or head.grid
    roi = ill.outlined_on(grid, STILL)
    return ill.truth_on(grid).array, None if roi is None else roi.array


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def centroid(head, mask):
    return head.grid.to_mm(np.argwhere(mask).mean(axis=0))


def test_mixes_hold_the_rates_of_the_notes():
    for name in ("realistic", "stress"):
        assert sum(MIXES[name].values()) == pytest.approx(1)
    realistic = MIXES["realistic"]
    assert sum(realistic[e] for e in EXTENT) == pytest.approx(0.60)
    assert [realistic[e] for e in ("missed", "false", "shifted", "side", "subject")] == [
        0.15, 0.10, 0.05, 0.05, 0.05]  # fmt: skip
    stress = MIXES["stress"]
    assert stress["missed"] + stress[MISSED_WHOLE] == pytest.approx(stress["side"])


def test_errors_come_at_their_share_and_change_nothing_else():
    def many(share, mix="realistic"):
        return [draw_annotator(np.random.default_rng(n), share, mix, EXACT) for n in range(600)]

    some, none = many(0.3), many(0.0)
    counts = Counter(a.error for a in some)
    assert 1 - counts["none"] / 600 == pytest.approx(0.3, abs=0.06)
    assert set(counts) <= {"none", *ERRORS}
    for a, b in zip(some, none, strict=True):
        assert (a.seed, a.bias_mm, a.shift_mm, a.keeps_tail) == (
            b.seed, b.bias_mm, b.shift_mm, b.keeps_tail)  # fmt: skip
        assert b.error == "none"
    stress = Counter(a.error for a in many(1.0, "stress"))
    assert set(stress) == {*ERRORS, MISSED_WHOLE}
    assert all(a.other >= 1 for a in some if a.error == "subject")
    amounts = [a.amount for a in many(1.0) if a.error == "shifted"]
    assert 3 <= min(amounts) < max(amounts) <= 8


@pytest.mark.parametrize("bad", [(0.5, "none"), (1.5, "stress"), (0.1, "wild")])
def test_bad_mixes_and_shares_are_refused(bad):
    with pytest.raises(SettingsError):
        draw_annotator(np.random.default_rng(0), *bad, EXACT)


def test_what_an_error_needs_is_drawn_with_it():
    law = LesionLaw(error_share=1.0, mix="realistic", reader=EXACT)
    rng = np.random.default_rng(2)
    ills = [draw_disease(rng, law) for _ in range(200)]
    for ill in ills:
        assert (ill.annotator.false_lesion is not None) == (ill.annotator.error == "false")
        if ill.annotator.error == "missed":
            assert ill.second is not None
    plain = [x for x in ills if x.annotator.error not in ("missed", "none")]
    assert np.mean([x.second is None for x in plain]) > 0.8


def test_one_reader_always_draws_a_millimetre_larger():
    readers = [draw_reader(1, site, 3) for site in (1, 2, 3)]
    assert readers == [draw_reader(1, site, 3) for site in (1, 2, 3)]
    large, others = readers[1].bias_mm, [readers[0].bias_mm, readers[2].bias_mm]
    assert large > max(others) + 0.5
    assert abs(np.mean([draw_reader(s, 1).bias_mm for s in range(200)])) < 0.05
    shift = [draw_reader(s, 1, 2).bias_mm for s in range(1, 200)]
    assert np.mean(shift[1::2]) == pytest.approx(1.0, abs=0.1)  # site 1 where the seed is even


def test_a_careful_reader_is_near_the_truth(head):
    truth, roi = drawn(head, a_reader())
    assert dice(truth, roi) > 0.8
    again = drawn(head, a_reader())[1]
    assert np.array_equal(roi, again)
    large = drawn(head, a_reader(bias_mm=1.0))[1]
    assert large.sum() > 1.15 * roi.sum()


@pytest.mark.parametrize("amount", [1.0, 3.0])
@pytest.mark.parametrize("volume_ml", [0.4, 10.0])
@pytest.mark.parametrize("one_sided", [False, True])
def test_too_large_and_too_small(head, amount, volume_ml, one_sided):
    lesions = [a_lesion(volume_ml=volume_ml)]
    truth, roi = drawn(head, a_reader("too_large", amount, one_sided=one_sided), lesions)
    assert roi.sum() > 1.2 * truth.sum()
    assert (roi & truth).sum() > 0.75 * truth.sum()
    if one_sided and amount == 3.0:  # what was added lies in white matter
        both = drawn(head, a_reader("too_large", amount), lesions)[1]
        white = [(head.parts == Part.WHITE)[m & ~truth].mean() for m in (roi, both)]
        assert white[0] > white[1] + 0.2
    truth, roi = drawn(head, a_reader("too_small", amount, one_sided=one_sided), lesions)
    assert 0 < roi.sum() < 0.8 * truth.sum()
    assert (roi & truth).sum() > 0.8 * roi.sum()


def test_millimetres_mean_the_same_at_every_spacing(head):
    lesions = [a_lesion(volume_ml=8.0)]
    spec = a_reader("too_large", 2.0)
    ratios = []
    for spacing in (1.5, 3.0):
        corners = head.grid.corners_mm()
        grid = Grid.covering(corners.min(0), corners.max(0), spacing)
        truth, roi = drawn(head, spec, lesions, grid)
        ratios.append(roi.sum() / truth.sum())
    assert ratios[0] == pytest.approx(ratios[1], rel=0.1)


def test_a_tail_is_cut_off_on_the_white_matter_side(head):
    lesions = [a_lesion(tail=True, subtype="IIb", volume_ml=2.0)]
    ill = fall_ill("sub-1", lesions, a_reader(), head)
    tail = Patch(ill.lesions[0].grid, ill.lesions[0].tail)
    band = to_mask([tail], head.grid, STILL).array
    band &= ~drawn(head, a_reader(), [replace(lesions[0], tail=False)])[0]
    kept = drawn(head, a_reader(), lesions)[1]
    cut = drawn(head, a_reader("too_small", 1.5, one_sided=True), lesions)[1]
    assert band.sum() > 20
    assert (kept & band).sum() > 0.4 * band.sum()
    assert (cut & band).sum() < 0.1 * band.sum()
    assert (drawn(head, a_reader(keeps_tail=False), lesions)[1] & band).sum() < 0.35 * band.sum()


def test_a_wobbly_border_is_unbiased_and_wanders(head):
    ratios, overlaps = [], []
    for seed in range(8):
        truth, roi = drawn(head, a_reader("wobbly", 2.5, seed=seed), [a_lesion(volume_ml=6.0)])
        ratios.append(roi.sum() / truth.sum())
        overlaps.append(dice(truth, roi))
    assert np.mean(ratios) == pytest.approx(1, abs=0.08)
    careful = dice(*drawn(head, a_reader(), [a_lesion(volume_ml=6.0)]))
    assert np.mean(overlaps) < careful - 0.1


@pytest.mark.parametrize("amount", [3.0, 8.0])
def test_a_shift_has_its_length_and_keeps_to_the_cortex(head, amount):
    cortex = head.grid.to_mm(np.argwhere(head.parts == Part.CORTEX))
    for seed in range(4):
        still = drawn(head, a_reader(seed=seed))[1]
        ill = fall_ill("sub-1", [a_lesion()], a_reader("shifted", amount, seed=seed), head)
        lesion = ill.lesions[0]
        step = ill.drawn[0].grid.matrix[:3, 3] - lesion.grid.matrix[:3, 3]
        assert np.linalg.norm(step) == pytest.approx(amount, abs=0.01)
        moved = ill.outlined_on(head.grid, STILL).array
        assert centroid(head, moved) - centroid(head, still) == pytest.approx(step, abs=0.7)
        landed = lesion.grid.to_mm(lesion.centre) + step
        assert np.linalg.norm(cortex - landed, axis=1).min() < 1.5


@pytest.mark.parametrize("volume_ml", [0.5, 8.0])
def test_the_other_side_is_the_mirror_image_on_cortex(head, volume_ml):
    lesions = [a_lesion(volume_ml=volume_ml)]
    own = drawn(head, a_reader(), lesions)[1]
    truth, roi = drawn(head, a_reader("side"), lesions)
    assert dice(truth, roi) == 0
    here, there = centroid(head, own), centroid(head, roi)
    assert here[0] < 0 < there[0]
    assert np.linalg.norm(there - here * [-1, 1, 1]) < 6
    assert roi.sum() == pytest.approx(own.sum(), rel=0.25)
    # This head is its own mirror image: what is drawn fits the cortex as well as the truth.
    cortex = head.parts == Part.CORTEX
    assert cortex[roi].mean() > 0.7 * cortex[own].mean()


def test_a_missed_second_lesion_leaves_the_first(head):
    two = [a_lesion(volume_ml=4.0), a_lesion(volume_ml=1.5, lobe="PL", seed=5)]
    truth, both = drawn(head, a_reader(), two)
    assert len(label_components(truth, head.grid, 0.1)[1]) == 2
    assert len(label_components(both, head.grid, 0.1)[1]) == 2
    _, one = drawn(head, a_reader("missed"), two)
    assert len(label_components(one, head.grid, 0.1)[1]) == 1
    assert dice(one, drawn(head, a_reader(), two[:1])[1]) > 0.99
    assert drawn(head, a_reader(MISSED_WHOLE), two)[1] is None


def test_a_false_lesion_is_added_on_healthy_cortex(head):
    false = a_lesion(volume_ml=2.0, seed=9)
    truth, roi = drawn(head, a_reader("false", false_lesion=false))
    labels, parts = label_components(roi, head.grid, 0.1)
    overlap = [(truth & (labels.array == p.label)).sum() for p in parts]
    assert len(parts) == 2
    assert min(overlap) == 0 < max(overlap)
    wrong = labels.array == parts[int(np.argmin(overlap))].label
    assert 1.0 < wrong.sum() * head.grid.voxel_ml < 4.0
    assert np.isin(head.parts, [Part.CORTEX, Part.WHITE])[wrong].mean() > 0.5


def test_another_subject_comes_through_scanner_space(head):
    theirs = [a_lesion(lobe="PL", side="R", seed=8)]
    other = outlined_elsewhere(theirs, a_reader("side"), head)
    truth, roi = drawn(head, a_reader("subject", other=2), other=other)
    expected = drawn(head, a_reader(), theirs)[1]
    assert dice(truth, roi) == 0
    assert np.array_equal(roi, expected)
    # The head moved between its scans: its own outline follows, a stranger's does not.
    motion = np.eye(4)
    motion[0, 3] = 6.0
    ill = fall_ill("sub-1", [a_lesion()], a_reader("subject", other=2), head, other)
    assert np.array_equal(ill.outlined_on(head.grid, motion).array, expected)
    with pytest.raises(CohortError, match="sub-1"):
        fall_ill("sub-1", [a_lesion()], a_reader("subject", other=2), head)


@pytest.mark.parametrize("every", [2, 3])
@pytest.mark.parametrize("spacing", [(0.9, 0.9, 5.0), (5.0, 0.9, 0.9), (1.0, 1.0, 1.0)])
def test_holes_are_whole_slices(every, spacing):
    shape = tuple(round(60 / s) for s in spacing)
    full = np.zeros(shape, bool)
    full[tuple(slice(n // 4, 3 * n // 4) for n in shape)] = True
    grid = Grid.of(shape, np.diag([*spacing, 1.0]))
    holed = with_holes(Volume(full, grid), every).array
    axis = 0 if spacing[0] == 5 else 2  # the thick axis, or the upright one of cubes
    left = holed.any(axis=tuple(a for a in range(3) if a != axis))
    used = np.flatnonzero(full.any(axis=tuple(a for a in range(3) if a != axis)))
    slab = 1 if spacing[axis] == 5 else 3
    expected = [(i - used[0]) // slab % every != every - 1 for i in used]
    assert left[used].tolist() == expected
    kept = tuple(slice(None) if a != axis else left for a in range(3))
    assert np.array_equal(holed[kept], full[kept])


def test_holes_show_in_the_outline_and_never_take_all(head):
    corners = head.grid.corners_mm()
    low = corners.min(0)
    shape = np.ceil((corners.max(0) - low) / [1.5, 1.5, 5.0]).astype(int)
    affine = np.diag([1.5, 1.5, 5.0, 1.0])
    affine[:3, 3] = low
    thick = Grid.of(shape, affine)
    whole = drawn(head, a_reader(), [a_lesion(volume_ml=10.0)], thick)[1]
    holed = drawn(head, a_reader("holes", 2.0), [a_lesion(volume_ml=10.0)], thick)[1]
    slices = [m.any(axis=(0, 1)) for m in (whole, holed)]
    used = np.flatnonzero(slices[0])
    assert slices[1][used].tolist() == [i % 2 == 0 for i in range(len(used))]
    tiny = drawn(head, a_reader("holes", 2.0), [a_lesion(volume_ml=0.2)], thick)[1]
    assert tiny.any()


@pytest.mark.parametrize("error", [e for e in ERRORS if e not in ("false", "subject")])
@pytest.mark.parametrize("seed", range(3))
def test_no_outline_of_a_tiny_lesion_is_empty(head, error, seed):
    amount = {"holes": 2.0, "shifted": 8.0}.get(error, 3.0)
    spec = a_reader(error, amount, seed=seed, wobble_mm=1.2, bias_mm=-1.0)
    ill = fall_ill("sub-1", [a_lesion(volume_ml=0.15, seed=seed)], spec, head)
    corners = head.grid.corners_mm()
    coarse = Grid.covering(corners.min(0), corners.max(0), 4.0)
    assert ill.outlined_on(coarse, STILL).array.any()


def test_patches_are_seen_the_same_on_any_grid(head):
    """Volume and centre of a mask survive oblique, coarse and flipped grids."""
    ill = fall_ill("sub-1", [a_lesion(volume_ml=8.0)], a_reader(), head)
    patches = [Patch(x.grid, x.share) for x in ill.lesions]
    true = ill.lesions[0]
    angle = np.deg2rad(10)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0],
                     [0, 0, 1]])  # fmt: skip
    for size, flip in (((1.5, 1.5, 1.5), 1), ((2.0, 2.0, 2.0), -1), ((1.0, 1.0, 4.0), 1)):
        affine = np.eye(4)
        affine[:3, :3] = turn @ np.diag([flip * size[0], size[1], size[2]])
        shape = np.ceil(np.array([200, 230, 200]) / size).astype(int)
        affine[:3, 3] = [0, -15, 20] - affine[:3, :3] @ ((shape - 1) / 2)
        grid = Grid.of(shape, affine)
        mask = to_mask(patches, grid, STILL).array
        assert mask.sum() * grid.voxel_ml == pytest.approx(8.0, rel=0.25)
        centre = grid.to_mm(np.argwhere(mask).mean(axis=0))
        assert np.linalg.norm(centre - true.centre_mm) < 1.2


def test_dealt_errors_are_all_there_equally_often_and_keep_to_no_scanner():
    """Of 450 patients a fifth: ten of each kind, whatever the seed."""
    for seed in range(3):
        dealt = [dealt_error(n, 0.2, seed) for n in range(450)]
        counts = Counter(dealt)
        assert counts.pop("none") == 360
        assert counts == dict.fromkeys(ERRORS, 10)
        places = {e: {n % 3 for n, x in enumerate(dealt) if x == e} for e in ERRORS}
        assert all(len(sites) > 1 for sites in places.values())
    law = LesionLaw(error_share=0.2, mix="dealt")
    roster = draw_roster(45, 5, 3, 4, (TEMPLATE,), law)
    patients = [s for s in roster.specs if s.patient]
    assert [s.annotator.error for s in patients] == [dealt_error(n, 0.2, 4) for n in range(45)]
    lone = next(s for s in patients if s.annotator.error == "missed")
    assert lone.second is not None
    none = draw_roster(45, 5, 3, 4, (TEMPLATE,), LesionLaw())
    assert [s.lesion for s in none.specs] == [s.lesion for s in roster.specs]
