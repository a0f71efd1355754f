"""The growth law: trials come near the lesion, the best are kept, draws follow the volume."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.growing.growth import grow
from fcdsynth.masks.laws.growths import (
    GrowthExample,
    GrowthLaw,
    Trial,
    fit_growths,
    try_growths,
)
from fcdsynth.masks.laws.lesions import lesions_of
from fcdsynth.masks.spec import Growth
from fcdsynth.measure.shape import DESCRIPTORS

sys.path.insert(0, str(Path(__file__).parent))
from banks import folded_head, spec_at
from patients import lesion


@pytest.fixture(scope="module")
def folded():
    return folded_head()


def lesion_grown_with(host, growth, seed=5, size=220):
    voxel = tuple(int(v) for v in host.ribbon_vox[len(host.ribbon_vox) // 3])
    mask = grow(host, spec_at(host, voxel, size, seed, growth=growth)).mask_on(host.grid)
    return lesions_of(host, mask)[0]


def test_the_best_trials_have_the_lesion_s_share_of_cortex(folded):
    """One lesion keeps to the cortex, the other prefers white matter."""
    shallow = Growth(white_cost=8, juxtacortical_mm=1, compactness=1)
    deep = Growth(white_cost=0.4, juxtacortical_mm=12, compactness=1)
    column = DESCRIPTORS.index("cortex_share")
    shares = []
    for growth in (shallow, deep):
        lesion = lesion_grown_with(folded, growth)
        best = sorted(try_growths(folded, lesion, 60), key=lambda t: t.distance)[:2]
        found = np.mean([one[column] for trial in best for one in trial.made])
        assert found == pytest.approx(lesion.shape.descriptors()[column], abs=0.12)
        shares.append(found)
    assert shares[0] > shares[1] + 0.2


def test_more_trials_come_nearer(folded):
    lesion = lesion_grown_with(folded, Growth(compactness=2, white_cost=1))
    best = [min(t.distance for t in try_growths(folded, lesion, n)) for n in (4, 60)]
    assert best[1] < best[0] / 1.5


def test_distance_is_that_of_the_descriptors(folded):
    lesion = lesion_grown_with(folded, Growth())
    trials = try_growths(folded, lesion, 20)
    assert [len(trial.made) for trial in trials] == [4, 4]  # 12 search, 8 repeat the two best
    typical = np.array([0.2, 0.35, 0.45, 0.15, 4.0, 0.22, 0.06])
    away = (np.array(trials[0].made) - lesion.shape.descriptors())[:, 1:] / typical
    assert trials[0].distance == pytest.approx(np.sqrt((away**2).mean(axis=1)).mean())


def test_trials_depend_on_seed_and_lesion_alone(folded):
    lesion = lesion_grown_with(folded, Growth())
    assert try_growths(folded, lesion, 4, 1) == try_growths(folded, lesion, 4, 1)
    assert try_growths(folded, lesion, 4, 1) != try_growths(folded, lesion, 4, 2)
    with pytest.raises(SettingsError, match="at least 2"):
        try_growths(folded, lesion, 1)


def test_near_trials_weigh_most_where_all_make_the_same(folded):
    lesion = lesion_grown_with(folded, Growth())
    own = tuple(lesion.shape.descriptors())
    trials = [Trial(Growth(roughness=i / 10), (own,), 0.35 * i) for i in range(3)]
    law = fit_growths([(lesion, trials)])
    assert [e.growth.roughness for e in law.examples] == [0.0, 0.1, 0.2]
    weight = np.exp([0, -0.5, -2])
    found = [e.weight for e in law.examples]
    np.testing.assert_allclose(found, 3 * weight / weight.sum(), atol=1e-3)
    assert all(e.ln_volume == round(math.log(220 * 0.008), 4) for e in law.examples)
    assert fit_growths([]) == GrowthLaw() == fit_growths([(lesion, [])])


def test_what_growth_misses_on_one_side_is_balanced():
    """Nine of ten trials are too round; the weights make up for it over all lesions."""
    rng = np.random.default_rng(0)
    column = DESCRIPTORS.index("solidity")
    tried, wanted = [], []
    for number in range(40):
        one = lesion(f"sub-{number:05d}", volume_ml=float(np.exp(rng.normal())))
        own = one.shape.descriptors()
        own[column] += rng.normal(0, 0.05)
        one = replace(one, shape=replace(one.shape, solidity=own[column]))
        wanted.append(own[column])
        shifts = np.array([0.04] * 9 + [-0.04]) + rng.normal(0, 0.01, 10)
        made = [own + shift * (np.arange(8) == column) for shift in shifts]
        tried.append((one, [Trial(Growth(), (tuple(row),), 0.2) for row in made]))
    law = fit_growths(tried)
    weights = np.array([e.weight for e in law.examples])
    rows = np.array([t.made[0][column] for _, trials in tried for t in trials])
    before, after = rows.mean() - np.mean(wanted), weights @ rows / weights.sum() - np.mean(wanted)
    assert before == pytest.approx(0.032, abs=0.003)
    assert abs(after) < before / 3


def test_draws_come_from_lesions_of_about_the_volume():
    small, large = Growth(roughness=0.1), Growth(roughness=0.9)
    law = GrowthLaw((GrowthExample(0.0, small, 0.0), GrowthExample(1.2, large, 0.0)))
    rng = np.random.default_rng(0)
    drawn = [law.draw(rng, 1.0) for _ in range(2000)]
    # One e to the power of -(1.2 / 0.6)^2 / 2 = 0.135 against one: a share of 0.119.
    assert np.mean([g == large for g in drawn]) == pytest.approx(0.119, abs=0.025)
    heavier = GrowthLaw((law.examples[0], replace(law.examples[1], weight=1 / 0.1353)))
    drawn = [heavier.draw(rng, 1.0) for _ in range(2000)]
    assert np.mean([g == large for g in drawn]) == pytest.approx(0.5, abs=0.035)
    assert GrowthLaw().draw(rng, 3.0) == Growth()


def test_records_are_read_back():
    law = GrowthLaw((GrowthExample(0.5, Growth(white_cost=2), 0.3, 0.7),))
    assert GrowthLaw.from_record(json.loads(json.dumps(law.to_record()))) == law
    with pytest.raises(TypeError):
        GrowthLaw.from_record({"examples": [{"ln_volume": 0, "growth": {"x": 1},
                                                         "distance": 0}]})  # fmt: skip
