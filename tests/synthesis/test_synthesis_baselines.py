"""Copy-paste after CarveMix and the painted offset, by hand-counted cases."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.carve import Donor, carve, carve_level, centre_vox, signed_distance

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))

from synthesis_baselines import blurred_offset

SHAPE, SPACING = (24, 24, 24), (2.0, 2.0, 2.0)


class Level:
    """Random numbers that are known: a coin and a share of the way between two bounds."""

    def __init__(self, coin, share):
        self.coin, self.share = coin, share

    def random(self):
        return self.coin

    def uniform(self, low, high):
        return low + self.share * (high - low)

    def integers(self, n):
        return n - 1


def donor():
    lesion = np.zeros(SHAPE, bool)
    lesion[4:9, 4:9, 4:9] = True
    image = np.stack([np.full(SHAPE, 0.3), np.full(SHAPE, 0.8)]).astype(np.float32)
    return Donor("sub-1", image, np.full(SHAPE, Tissue.WHITE_MATTER), lesion, SPACING)


def host():
    tissue = np.full(SHAPE, Tissue.WHITE_MATTER)
    tissue[20:] = Tissue.BACKGROUND
    image = np.stack([np.full(SHAPE, 0.6), np.full(SHAPE, 0.5)]).astype(np.float32)
    mask = np.zeros(SHAPE, bool)
    mask[11:14, 11:14, 11:14] = True
    return image, tissue, mask


def moved(image, tissue, mask, given, level):
    way = np.rint(centre_vox(mask) - centre_vox(given.lesion)).astype(int)
    return carve(image, tissue, given, level, way)


def test_signed_distance_in_millimetres():
    distance = signed_distance(donor().lesion, SPACING)
    assert distance[6, 6, 6] == -6  # the third layer of voxels of 2 mm
    assert distance[4, 6, 6] == -2
    assert distance[3, 6, 6] == 2
    assert distance[3, 3, 6] == pytest.approx(np.sqrt(8))


def test_the_level_is_half_as_deep_inside_as_outside():
    levels = np.array([carve_level(np.random.default_rng(n), -6.0) for n in range(4000)])
    assert levels.min() == pytest.approx(-3, abs=0.05)
    assert levels.max() == pytest.approx(6, abs=0.05)
    assert (levels < 0).mean() == pytest.approx(0.5, abs=0.03)
    assert np.median(levels[levels > 0]) == pytest.approx(3, abs=0.3)


def test_a_level_of_minus_three_carves_the_inner_voxels():
    image, tissue, mask = host()
    made = moved(image, tissue, mask, donor(), Level(0.0, 0.0))  # level -3 mm
    # Deeper than 3 mm: the inner 3 x 3 x 3 voxels, moved from 6, 6, 6 to 12, 12, 12.
    expected = np.zeros(SHAPE, bool)
    expected[11:14, 11:14, 11:14] = True
    assert np.array_equal(made.touched, expected)
    assert np.array_equal(made.lesion, expected)
    assert (made.image[:, expected] == np.float32([[0.3], [0.8]])).all()
    assert np.array_equal(made.image[:, ~expected], image[:, ~expected])


def test_a_positive_level_carves_surroundings_too_which_are_no_lesion():
    image, tissue, mask = host()
    made = moved(image, tissue, mask, donor(), Level(0.9, 0.5))  # level +3 mm
    # Nearer than 3 mm: the 125 of the lesion, six faces of 25, twelve edges of 5 at 2.83 mm.
    assert made.lesion.sum() == 125
    assert made.touched.sum() == 125 + 6 * 25 + 12 * 5
    assert not (made.lesion & ~made.touched).any()
    assert made.lesion[12, 12, 12]


def test_without_moving_the_lesion_stays_where_the_patient_has_it():
    image, tissue, _ = host()
    made = carve(image, tissue, donor(), Level(0.9, 0.0))
    assert np.array_equal(made.lesion, donor().lesion)


def test_nothing_is_pasted_outside_either_brain():
    image, tissue, mask = host()
    mask = np.roll(mask, 8, 0)  # its centre is the host's outermost layer but one
    given = donor()
    given.tissue[:5] = Tissue.BACKGROUND
    made = moved(image, tissue, mask, given, Level(0.9, 0.0))
    assert made.touched.any()
    assert not made.touched[20:].any()
    assert not made.touched[:19].any()  # layer 4 of the donor, now 18, is outside its brain


def test_a_lesion_that_lands_over_the_edge_is_cut_there():
    image, tissue, _ = host()
    corner = np.zeros(SHAPE, bool)
    corner[:3, :3, :3] = True  # the donor's centre, 6, 6, 6, comes to 1, 1, 1
    made = moved(image, tissue, corner, donor(), Level(0.9, 0.0))
    assert made.lesion.sum() == 4**3
    assert made.lesion[:4, :4, :4].all()


def test_the_painted_offset_has_the_drawn_contrasts():
    image, tissue, mask = host()
    lesions = [(9.0, np.nan), (-0.05, 0.12)]
    made = blurred_offset(image, tissue, mask, lesions, np.random.default_rng(0), SPACING, 4.0)
    ring = np.zeros(SHAPE, bool)
    where = np.argwhere(~mask)
    inside = np.argwhere(mask)
    near = np.min(np.linalg.norm((where[:, None] - inside[None]) * 2.0, axis=-1), axis=1) <= 4.0
    ring[tuple(where[near].T)] = True
    for channel, truth in zip(made.image, lesions[1], strict=True):
        assert channel[mask].mean() - channel[ring].mean() == pytest.approx(truth, abs=1e-5)
    assert np.array_equal(made.lesion, mask)
    assert np.array_equal(made.image[:, ~made.touched], image[:, ~made.touched])
    assert not made.touched[20:].any()
    rise = made.image[1, 11:14, 12, 12]
    assert rise[1] > rise[0]  # blurred: highest in the middle


def test_a_lesion_without_contrasts_or_a_lost_mask_is_an_error():
    image, tissue, mask = host()
    with pytest.raises(ValueError, match="no training lesion"):
        blurred_offset(image, tissue, mask, [(np.nan, 1.0)], Level(0, 0), SPACING, 4.0)
    one = np.zeros(SHAPE, bool)
    one[12, 12, 12] = True
    with pytest.raises(ValueError, match="above its ring"):
        blurred_offset(image, tissue, one, [(0.1, 0.1)], Level(0, 0), SPACING, 4.0, blur_mm=12.0)
