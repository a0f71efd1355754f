"""Novelty: Dice after alignment and in place by hand; limits from other patients' masks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks import novelty
from fcdsynth.masks.novelty import Gallery, aligned_dice


def _box(nx, ny, nz, spacing_mm=2.0, origin_mm=(0.0, 0.0, 0.0)):
    return np.argwhere(np.ones((nx, ny, nz))) * spacing_mm + np.asarray(origin_mm)


def _ball(radius_vox, spacing_mm=2.0):
    n = 2 * radius_vox + 1
    index = np.argwhere(np.ones((n, n, n))) - radius_vox
    return index[(index**2).sum(axis=1) <= radius_vox**2] * spacing_mm


def _chiral():
    """A thick bent bar whose ends leave it along different axes: no turn makes its mirror image."""
    return np.unique(
        np.concatenate(
            [_box(21, 5, 3), _box(5, 15, 3), _box(5, 5, 13, origin_mm=(32.0, 0.0, 0.0))]
        ),
        axis=0,
    )


@pytest.mark.parametrize("turn", ["x", "y", "z"])
def test_turned_and_shifted_copy_is_found(turn):
    body = _chiral()
    moved = body @ Rotation.from_euler(turn, 90, degrees=True).as_matrix().T + [31.3, -7.1, 4.9]
    # Both come to the same points on their axes, but for rounding at a half-filled node or two.
    assert aligned_dice(body, moved) > 0.99


def test_copy_turned_by_any_angle_is_found():
    body = _chiral()
    for seed in range(5):
        turn = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
        assert aligned_dice(body, body @ turn.T - 3) > 0.99


def test_mirror_image_is_found(monkeypatch):
    body = _chiral()
    mirrored = body * [-1, 1, 1]
    assert aligned_dice(body, mirrored) > 0.99
    proper = novelty._FLIPS[novelty._FLIPS.prod(axis=1) == 1]
    monkeypatch.setattr(novelty, "_FLIPS", proper)
    assert aligned_dice(body, mirrored) < 0.95


def test_boxes_by_hand():
    # The smaller lies in the larger once aligned: 2 * 9*7*5 / (13*7*5 + 9*7*5) = 630 / 770.
    assert aligned_dice(_box(13, 7, 5), _box(5, 9, 7)) == pytest.approx(630 / 770)


def test_rod_against_ball_by_hand():
    # A rod of 41 voxels through the middle of a ball of radius 5 voxels meets 11 of them.
    ball = _ball(5)
    assert aligned_dice(_box(41, 1, 1), ball) == pytest.approx(22 / (41 + len(ball)), rel=0.05)


def test_one_body_at_two_voxel_sizes():
    # 26 x 14 x 10 mm. Along an axis the last voxels, at 10.5, 11.5 and 12.5 mm, fill the outermost
    # node at 12 mm by (1/4 + 3/4 + 3/4) / 2 = 7/8 and the one beyond it by 1/8; a corner is at
    # (7/8)^3 = 0.67 still more than half full. So both are the same 455 nodes.
    fine = _box(26, 14, 10, spacing_mm=1.0)
    assert aligned_dice(_box(13, 7, 5), fine) == pytest.approx(1.0)
    # Without the size of a voxel eight times as many would count as eight times as full.
    assert len(novelty._body(_box(26, 14, 10, 1.0, (-12.5, -6.5, -4.5)), 2.0)) == 455


def test_single_voxel():
    one = np.array([[3.0, 4.0, 5.0]])
    assert aligned_dice(one, one + 10) == 1.0
    # The voxel is one node of a box of 455.
    assert aligned_dice(one, _box(13, 7, 5)) == pytest.approx(2 / 456)


def test_in_place_by_hand():
    there = _box(4, 4, 4, origin_mm=(20.0, 0.0, 0.0))
    gallery = Gallery.of([there], ["a"], [there])
    cases = {
        (20.0, 0.0, 0.0): 1.0,
        (24.0, 0.0, 0.0): 0.5,  # 2 * 32 / 128
        (28.0, 0.0, 0.0): 0.0,
        (20.0, 100.0, 0.0): 0.0,
        (-26.0, 0.0, 0.0): 1.0,  # x from -26 to -20: the mirror image of 20 to 26
    }
    for origin, dice in cases.items():
        found = gallery.nearest(there, _box(4, 4, 4, origin_mm=origin))
        assert found.placed_dice == pytest.approx(dice)
        assert found.aligned_dice == pytest.approx(1.0)


def test_gallery_names_the_nearest():
    masks = [_box(41, 3, 3), _box(13, 7, 5), _ball(6)]
    places = [masks[0] + 50, None, masks[2] - 50]
    gallery = Gallery.of(masks, ["rod", "box", "ball"], places)
    found = gallery.nearest(_box(5, 11, 7), masks[2] - [50, 50, 48])
    assert found.subject == "box"
    assert found.aligned_dice == pytest.approx(2 * 385 / (385 + 455))
    assert (found.placed_subject, found.mask, found.placed_mask) == ("ball", 1, 2)
    nowhere = gallery.nearest(_box(5, 11, 7), masks[2] + 150)
    assert (nowhere.placed_subject, nowhere.placed_dice, nowhere.placed_mask) == ("", 0.0, -1)
    assert gallery.nearest(_box(13, 7, 5), apart_from="box").subject != "box"
    assert gallery.nearest(_box(13, 7, 5)).placed_dice == 0.0
    for mask, name in zip(masks, gallery.subjects, strict=True):
        one = gallery.nearest(mask)
        # The gallery is the plain function, many at a time.
        assert one.subject == name
        assert one.aligned_dice == pytest.approx(aligned_dice(mask, mask))


def test_the_nearest_of_several_masks_of_a_subject_is_told():
    masks = [_box(41, 3, 3), _ball(6), _box(13, 7, 5)]
    gallery = Gallery.of(masks, ["a", "b", "a"], [masks[0], masks[1], masks[2] + 40])
    found = gallery.nearest(_box(7, 5, 13), _box(13, 7, 5) + 40)
    assert (found.subject, found.mask, found.placed_mask) == ("a", 2, 2)
    assert (found.aligned_dice, found.placed_dice) == pytest.approx((1.0, 1.0))
    assert gallery.nearest(_ball(6), apart_from="b").mask in (0, 2)


def test_limits_come_from_other_patients():
    first, second = _box(9, 7, 5), _box(11, 7, 5)
    # 2 * 315 / (315 + 385) = 0.9 both ways; its 99 % quantile is itself.
    assert Gallery.of([first, second], ["a", "b"]).limits.aligned == pytest.approx(0.9)
    # Of one patient they are no measure of chance, so the least limit stays.
    assert Gallery.of([first, second], ["a", "a"]).limits.aligned == 0.85
    # One patient entered twice does not make room for copies.
    assert Gallery.of([first, first], ["a", "b"], [first, first]).limits.aligned == 0.95
    assert Gallery.of([first, first], ["a", "b"], [first, first]).limits.placed == 0.95
    assert Gallery.of([first, first], ["a", "b"], [first, first + 90]).limits.placed == 0.5


def test_copies_are_copies():
    first, second = _box(21, 7, 5), _ball(5)
    gallery = Gallery.of([first, second], ["a", "b"], [first, second + 90])
    turned = first[:, [1, 2, 0]] + 40
    assert gallery.is_copy(gallery.nearest(turned))
    assert not gallery.is_copy(gallery.nearest(turned, apart_from="a"))
    other = _box(13, 9, 3)
    assert not gallery.is_copy(gallery.nearest(other, other - 60))
    # Another shape, but over most of the same voxels.
    assert gallery.is_copy(gallery.nearest(_box(15, 7, 5), _box(15, 7, 5)))


def test_empty_gallery_and_bad_input():
    none = Gallery.of([], [])
    assert none.nearest(_ball(3)).aligned_dice == 0.0
    assert not none.is_copy(none.nearest(_ball(3)))
    with pytest.raises(SettingsError, match="no voxel"):
        aligned_dice(np.empty((0, 3)), _ball(3))
    with pytest.raises(SettingsError, match="no voxel"):
        Gallery.of([np.empty((0, 3))], ["a"])
    with pytest.raises(SettingsError, match="1 masks, 2 ids"):
        Gallery.of([_ball(3)], ["a", "b"])
