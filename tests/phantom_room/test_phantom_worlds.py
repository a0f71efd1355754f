"""Worlds, difficulty and the laws of lesions, on many draws against published or given figures."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.provenance import plain
from fcdsynth.measure.lobes import BONN_LOBES
from fcdsynth.phantom.difficulty import PRESETS, difficulty_of
from fcdsynth.phantom.lesionlaw import LesionLaw, draw_disease, draw_lesion, draw_volumes_ml
from fcdsynth.phantom.world import BONN, LAWS, VARIANTS, draw_world

N = 1500


def lesions(law, seed=0, n=N, site=1):
    rng = np.random.default_rng(seed)
    return [draw_lesion(rng, law, site) for _ in range(n)]


@pytest.fixture(scope="module")
def bonn():
    return lesions(LesionLaw(difficulty=PRESETS["medium"]))


def test_three_neighbouring_seeds_have_all_three_shape_laws():
    assert [draw_world(s).law for s in range(3)] == list(LAWS)
    assert {x.variant for x in lesions(LesionLaw(world=draw_world(2)), n=60)} == set(VARIANTS)
    assert {x.variant for x in lesions(LesionLaw(world=draw_world(0)), n=60)} == {""}


def test_hidden_numbers_are_stable_differ_and_stay_in_range():
    worlds = [draw_world(s) for s in range(40)]
    assert worlds[7] == draw_world(7)
    medians = [w.median_ml for w in worlds]
    assert 1.5 <= min(medians) < 2 < 4 < max(medians) <= 5
    assert len({w.lobes["FL"] for w in worlds}) == 40
    assert all(abs(sum(w.lobes.values()) - 1) < 1e-9 for w in worlds)
    frontal = np.mean([w.lobes["FL"] for w in worlds])
    assert frontal == pytest.approx(BONN_LOBES["FL"] / 91, abs=0.05)
    one = worlds[3]
    assert one.contrast_at(1) == one.contrast_at(9) != one.contrast_at(2)
    assert json.loads(json.dumps(plain(one)))["contrasts"][0]["mean"] == one.contrasts[0].mean


def test_a_negative_world_is_refused():
    with pytest.raises(SettingsError, match="world"):
        draw_world(-1)


def test_volumes_follow_the_truncated_law_of_their_world():
    world = draw_world(4)
    rng = np.random.default_rng(1)
    logs = np.log(draw_volumes_ml(rng, 3000, world, 0.6))
    mean = np.log(0.6 * world.median_ml)
    low, high = ((np.log(v) - mean) / world.spread for v in world.volume_range_ml)
    law = stats.truncnorm(low, high, loc=mean, scale=world.spread)
    assert stats.kstest(logs, law.cdf).pvalue > 0.01


def test_published_shares_come_out(bonn):
    def share(of):
        return np.mean([of(x) for x in bonn])

    assert share(lambda x: x.lobe == "FL") == pytest.approx(55 / 91, abs=0.04)
    assert share(lambda x: x.lobe == "IL") == pytest.approx(3 / 91, abs=0.015)
    assert share(lambda x: x.side == "L") == pytest.approx(46 / 85, abs=0.04)
    assert share(lambda x: x.subtype == "IIb") == pytest.approx(34 / 50, abs=0.04)
    assert share(lambda x: x.mri_negative) == pytest.approx(7 / 85, abs=0.025)
    small = [x.at_bottom for x in bonn if x.volume_ml < 3]
    assert np.mean(small) == pytest.approx(13 / 16, abs=0.04)
    tails = [x.tail for x in bonn if x.subtype == "IIb" and not x.subtle]
    assert np.mean(tails) == pytest.approx(0.64, abs=0.05)
    assert not any(x.tail for x in bonn if x.subtype == "IIa" or x.subtle)
    rng = np.random.default_rng(5)
    law = LesionLaw()
    seconds = [draw_disease(rng, law).second for _ in range(800)]
    assert np.mean([s is not None for s in seconds]) == pytest.approx(0.08, abs=0.025)


@pytest.mark.parametrize("preset", ["easy", "hard"])
def test_the_overlooked_are_the_least_visible_under_every_preset(preset):
    law = LesionLaw(difficulty=PRESETS[preset], world=draw_world(1))
    drawn = lesions(law, site=3)
    negative = [x.visibility for x in drawn if x.mri_negative]
    assert len(negative) / N == pytest.approx(law.world.negative_share, abs=0.03)
    assert max(negative) < min(x.visibility for x in drawn if not x.mri_negative)


def test_mid_cortex_has_either_sign_whatever_lies_below(bonn):
    dark = np.array([x.cortex_share < 0 for x in bonn])
    below = np.array([x.below_share for x in bonn])
    assert dark.mean() == pytest.approx(BONN.contrasts[0].dark_share, abs=0.03)
    assert below.min() > 0
    assert stats.mannwhitneyu(below[dark], below[~dark]).pvalue > 0.001
    iib = np.array([x.subtype == "IIb" for x in bonn])
    assert below[iib].mean() > below[~iib].mean() + 0.2


def test_subtle_lesions_are_weak_in_every_sign(bonn):
    for sign in ("contrast_sd", "thickening_mm", "blur_mm"):
        subtle, plain_ = (
            np.mean([getattr(x, sign) for x in bonn if x.subtle is wanted])
            for wanted in (True, False)
        )
        assert subtle < 0.75 * plain_
    assert np.mean([x.subtle for x in bonn]) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("preset", list(PRESETS))
def test_contrast_keeps_to_the_preset(preset):
    low, high = PRESETS[preset].contrast_sd
    sizes = [x.contrast_sd for x in lesions(LesionLaw(difficulty=PRESETS[preset]), n=500)]
    assert low <= min(sizes) < low + 0.1 * (high - low)
    assert low + 0.9 * (high - low) < max(sizes) <= high


def test_presets_are_ordered_and_a_given_contrast_wins():
    easy, study, medium, hard = (
        np.median([x.visibility for x in lesions(LesionLaw(difficulty=PRESETS[p]), n=600)])
        for p in ("easy", "study", "medium", "hard")
    )
    assert easy > 1.5 * medium > 2.5 * hard
    assert easy > study > medium
    given = LesionLaw(difficulty=difficulty_of("hard", (1.0, 1.2)))
    assert all(1.0 <= x.contrast_sd <= 1.2 for x in lesions(given, n=100))
    assert difficulty_of("easy", (1, 2)).contrast_sd == (1.0, 2.0)
    assert difficulty_of("easy", (1, 2)).size_factor == PRESETS["easy"].size_factor


@pytest.mark.parametrize("bad", [("brutal", None), ("easy", (3.0, 1.0)), ("easy", (0.0, 1.0))])
def test_a_bad_difficulty_is_refused_by_name(bad):
    with pytest.raises(SettingsError) as caught:
        difficulty_of(*bad)
    assert caught.value.subject in ("difficulty", "contrast_sd")


def test_scanners_have_contrast_laws_of_their_own():
    law = LesionLaw(world=draw_world(3))
    means = [np.mean([x.contrast_sd for x in lesions(law, site=n, n=300)]) for n in range(1, 9)]
    expected = [law.world.contrast_at(n).mean for n in range(1, 9)]
    assert stats.spearmanr(means, expected).statistic > 0.6


def test_a_second_lesion_is_smaller_and_on_the_same_side():
    law = LesionLaw(world=replace(BONN, second_share=1.0))
    rng = np.random.default_rng(3)
    for _ in range(100):
        ill = draw_disease(rng, law)
        assert ill.second.volume_ml <= max(0.6 * ill.lesion.volume_ml, 0.15)
        assert ill.second.side == ill.lesion.side
        assert ill.second.seed != ill.lesion.seed
