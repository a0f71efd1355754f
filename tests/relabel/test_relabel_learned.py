"""The learned rule: forests trained on planted errors, on maps and errors simulated apart."""

from dataclasses import replace

import numpy as np
import pytest
import simulated_support as sim
from sklearn.metrics import roc_auc_score

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.tissue import Tissue
from fcdsynth.relabel.causes import Cause
from fcdsynth.relabel.channels import ChannelSettings, measure_support
from fcdsynth.relabel.fusion import rank_masks
from fcdsynth.relabel.learned import CAUSES, LearnedSettings, judge
from fcdsynth.relabel.planting.copies import Measured
from fcdsynth.relabel.planting.recipes import plant
from fcdsynth.relabel.planting.scene import Scene
from fcdsynth.relabel.planting.spec import ERRORS, REDRAWN, draw_spec
from fcdsynth.relabel.profile.maps import LOG_ODDS, Maps
from fcdsynth.relabel.profile.profile import measure_profile

N = 24
SETTINGS = LearnedSettings(trees=60, mix="stress")
TISSUE = sim.volume(sim.BRAIN * float(Tissue.CORTEX))


def measured(subject, spec, mask, p):
    odds = np.log(np.clip(p, 1e-4, 1 - 1e-4) / (1 - np.clip(p, 1e-4, 1 - 1e-4)))
    maps = Maps({LOG_ODDS: sim.volume(odds)}, TISSUE)
    support = measure_support(sim.volume(mask), sim.volume(p), sim.volume(sim.BRAIN), sim.MIDPLANE,
                              ChannelSettings(threshold=0.3))  # fmt: skip
    return Measured(subject, spec, support, measure_profile(sim.volume(mask), maps, sim.MIDPLANE))


@pytest.fixture(scope="module")
def world():
    """Masks of 24 patients, every fourth wrong by the simulation's own recipes, and copies."""
    lesions, maps, given, wrong = {}, {}, {}, {}
    for k in range(N):
        rng = np.random.default_rng([8, k])
        name = f"sub-{k:02d}"
        lesions[name] = sim.truth(rng, two=k % 2 == 0)
        maps[name] = sim.detect(rng, lesions[name])
        error = sim.ERRORS[k // 4 % len(sim.ERRORS)] if k % 4 == 0 else "none"
        given[name] = np.asarray(sim.corrupt(rng, lesions[name], error)) & sim.BRAIN
        wrong[name] = error != "none"
    scenes = {name: Scene(mask, sim.BRAIN, sim.BRAIN, sim.GRID, sim.MIDPLANE, np.eye(4))
              for name, mask in given.items()}  # fmt: skip
    rows = []
    for name in given:
        others = [other for other in given if other != name]
        own = [measured(name, None, given[name], maps[name])]
        for kind in (*ERRORS, REDRAWN):
            spec = draw_spec(name, kind, others, [1])
            copy = plant(spec, scenes[name], scenes.get(spec.other))
            if copy.any():
                own.append(measured(name, spec, copy, maps[name]))
        rows.append(tuple(own))
    return rows, wrong


def test_wrong_masks_score_higher_than_with_channels_alone(world):
    rows, wrong = world
    judged = judge(rows, {}, settings=SETTINGS)
    names = list(wrong)
    labels = [wrong[name] for name in names]
    ours = roc_auc_score(labels, [judged.masks[name].score for name in names])
    queue = {s.subject: s.score for s in rank_masks(names, {r[0].subject: r[0].regions
                                                            for r in rows})}  # fmt: skip
    assert ours > 0.85, ours
    assert ours > roc_auc_score(labels, [queue[name] for name in names]) - 0.05


def test_planted_errors_are_told_from_masks_and_named(world):
    rows, is_wrong = world
    judged = judge(rows, {}, settings=SETTINGS)
    given = [v.score for name, v in judged.masks.items() if not is_wrong[name]]
    for error in ("side", "subject", "false"):
        scores = [score for kind, score in judged.planted if kind == error]
        labels = [0] * len(given) + [1] * len(scores)
        assert roc_auc_score(labels, given + scores) > 0.85, error
    for verdict in judged.masks.values():
        assert sum(verdict.shares.values()) == pytest.approx(1)
        assert verdict.cause in CAUSES.values()


def test_probabilities_rise_with_scores_and_average_about_the_assumed_share(world):
    rows, _ = world
    judged = judge(rows, {}, settings=SETTINGS)
    verdicts = sorted(judged.masks.values(), key=lambda verdict: verdict.score)
    p = [verdict.p_err for verdict in verdicts]
    assert p == sorted(p)
    assert 0.1 < np.mean(p) < 0.4
    assert (judged.certainty.base_rate, judged.certainty.base_from) == (0.2, "assumed")


def test_a_mask_is_judged_by_forests_that_saw_none_of_its_family(world):
    """A twin with the same wrong mask, taken for right in training, would vouch for it."""
    rows, is_wrong = world
    twins = [tuple(replace(one, subject=f"{one.subject}-twin") for one in own) for own in rows]
    families = {own[0].subject: own[0].subject[:6] for own in (*rows, *twins)}
    apart = judge([*rows, *twins], families, settings=SETTINGS).masks
    together = judge([*rows, *twins], {}, settings=SETTINGS).masks
    wrong = [name for name in is_wrong if is_wrong[name]]
    drop = [apart[name].score - together[name].score for name in wrong]
    assert np.mean(drop) > 0.05, drop
    with pytest.raises(SettingsError, match="two subjects"):
        judge(rows, {r[0].subject: "one" for r in rows}, settings=SETTINGS)


def test_the_same_seed_gives_the_same_verdicts(world):
    rows, _ = world
    assert judge(rows, {}, settings=SETTINGS) == judge(rows, {}, settings=SETTINGS)


def test_too_few_masks_or_no_copies_are_refused(world):
    rows, _ = world
    with pytest.raises(SettingsError, match="at least 12"):
        judge(rows[:11], {})
    with pytest.raises(SettingsError, match="0 wrong copies"):
        judge([own[:1] for own in rows], {})
    with pytest.raises(SettingsError, match="error_share"):
        LearnedSettings(error_share=0)
    with pytest.raises(SettingsError, match="mix"):
        LearnedSettings(mix="often")


def test_the_queue_shows_the_region_of_the_cause(world):
    rows, _ = world
    judged = judge(rows, {}, settings=SETTINGS)
    support = {own[0].subject: own[0].regions for own in rows}
    queue = rank_masks(list(support), support, (), "learned", judged.masks)
    assert [entry.score for entry in queue] == sorted((e.score for e in queue), reverse=True)
    for entry in queue:
        assert entry.cause is judged.masks[entry.subject].cause
        if entry.cause is Cause.OVERLOOKED and entry.channel is Cause.OVERLOOKED:
            assert entry.region.number == 0
        if entry.cause in (Cause.ROUGH, Cause.SHIFTED, Cause.HOLES, Cause.OTHER_LESION):
            assert entry.region.number == 1
