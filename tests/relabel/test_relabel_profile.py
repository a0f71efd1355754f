"""Profiles: numbers that can be counted by hand, and agreement with another program's."""

import numpy as np
import pytest
import simulated_support as sim
from sklearn.metrics import roc_auc_score

from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.relabel.profile.alignment import best_shift, rank_area
from fcdsynth.relabel.profile.maps import LOG_ODDS, Maps, tissue_deviation
from fcdsynth.relabel.profile.outline import outline_numbers
from fcdsynth.relabel.profile.profile import measure_profile
from fcdsynth.relabel.profile.zones import Cut


def ball(centre, radius):
    return np.linalg.norm(sim.MM - np.asarray(centre, float), axis=-1) < radius


BALL = ball((30, 0, 0), 10)
TISSUE = np.where(sim.BRAIN, Tissue.WHITE_MATTER, Tissue.BACKGROUND).astype(np.uint8)


def maps_of(**arrays):
    volumes = {name: Volume(a.astype(np.float32), sim.GRID) for name, a in arrays.items()}
    return Maps(volumes, Volume(TISSUE, sim.GRID))


def cut_of(mask, **arrays):
    return Cut.of(mask, mask, sim.GRID, maps_of(**arrays), sim.MIDPLANE)


def test_the_rank_area_is_the_roc_area_of_inside_against_around():
    values = np.random.default_rng(1).normal(size=sim.GRID.shape) + BALL
    cut = cut_of(BALL, flair=values)
    around = (cut.distance_mm > 2.3) & (cut.distance_mm <= 8.0) & cut.usable
    inside = cut.own & cut.usable
    both = np.concatenate([cut.values["flair"][inside], cut.values["flair"][around]])
    expected = roc_auc_score([1] * int(inside.sum()) + [0] * int(around.sum()), both)
    assert rank_area(cut, "flair") == pytest.approx(expected, abs=1e-9)


def test_the_best_shift_leads_back_to_the_lesion():
    lesion = ball((30, 0, 0), 10)
    drawn = ball((30, 6, 0), 10)
    gain, length = best_shift(cut_of(drawn, flair=lesion.astype(float)), "flair")
    assert length == pytest.approx(6.0)
    assert gain == pytest.approx(1 - (drawn & lesion).sum() / drawn.sum(), abs=1e-6)
    assert best_shift(cut_of(lesion, flair=lesion.astype(float)), "flair") == (0.0, 0.0)


def test_outlines_are_counted():
    cube = np.zeros(sim.GRID.shape, bool)
    cube[25:30, 18:23, 18:23] = True
    cube[27, 20, 20] = False
    found = outline_numbers(cut_of(cube))
    assert found["holes"] == 1
    assert found["fullness"] == pytest.approx(124 / 125)
    assert found["log_volume"] == pytest.approx(np.log(124 * 0.027))
    assert found["closing"] == pytest.approx(125 / 124)
    assert found["share_white_matter"] == 1
    # 98 voxels on the faces, and the 6 around the hole.
    assert found["surface"] == pytest.approx(104 / 124 ** (2 / 3))


def test_the_mirrored_place_is_compared_and_a_lesion_on_both_sides_is_not():
    left = ball((-30, 0, 0), 10)
    numbers = measure_profile(
        Volume(BALL, sim.GRID), maps_of(flair=np.where(left, 2.0, 0.0)), sim.MIDPLANE
    ).numbers
    assert numbers["largest_flair_less_across"] == pytest.approx(-2.0, abs=0.05)
    both = Volume(BALL | left, sim.GRID)
    found = measure_profile(both, maps_of(flair=np.where(left, 2.0, 0.0)), sim.MIDPLANE).numbers
    assert np.isnan(found["largest_flair_less_across"])
    assert found["components"] == 2


def test_shells_tell_a_mask_too_small_from_one_too_large():
    lesion = ball((30, 0, 0), 12)
    odds = np.where(lesion, 2.0, -2.0)

    def numbers(mask):
        return measure_profile(Volume(mask, sim.GRID), maps_of(**{LOG_ODDS: odds}), None).numbers

    small, right, large = (numbers(ball((30, 0, 0), r)) for r in (7, 12, 17))
    assert small["largest_log_odds_going_on"] > right["largest_log_odds_going_on"] + 1
    assert large["largest_log_odds_fading"] > right["largest_log_odds_fading"] + 1
    assert right["largest_log_odds_step"] > max(
        small["largest_log_odds_step"], large["largest_log_odds_step"]
    )


def test_support_elsewhere_is_found_and_an_empty_mask_has_only_that():
    odds = np.where(ball((-30, 0, 0), 8), 3.0, -5.0)
    found = measure_profile(Volume(BALL, sim.GRID), maps_of(**{LOG_ODDS: odds}), None).numbers
    assert found["elsewhere"] == pytest.approx(3.0)
    assert found["elsewhere_more"] == pytest.approx(8.0)
    empty = measure_profile(Volume(np.zeros_like(BALL), sim.GRID), maps_of(**{LOG_ODDS: odds}),
                            None).numbers  # fmt: skip
    assert empty["elsewhere"] == pytest.approx(3.0)
    assert empty["components"] == 0
    assert not any(name.startswith("largest") for name in empty)


def test_a_border_between_tissues_is_no_deviation_and_a_bright_spot_is():
    half = sim.MM[..., 0] > 0
    tissue = np.where(half, Tissue.CORTEX, Tissue.WHITE_MATTER)
    rng = np.random.default_rng(2)
    image = np.where(half, 0.7, 0.3) + rng.normal(0, 0.01, sim.GRID.shape)
    spot = ball((30, 0, 0), 9)
    found = tissue_deviation((image + 0.05 * spot).astype(np.float32), tissue, sim.GRID)
    border = np.abs(sim.MM[..., 0]) < 3
    assert np.abs(found[border]).mean() < 0.7
    assert found[ball((30, 0, 0), 5)].mean() == pytest.approx(5, rel=0.15)
