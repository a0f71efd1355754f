"""Further channels: region features, snapshots and look-alikes, from files made by hand."""

import json

import numpy as np
import pytest
import simulated_support as sim
from scipy.special import expit

from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.relabel.causes import Cause
from fcdsynth.relabel.deep import DeepRegions, features_path, judge_regions
from fcdsynth.relabel.dynamics import read_dynamics
from fcdsynth.relabel.further import Further, measure_further, mixed
from fcdsynth.relabel.fusion import Verdict
from fcdsynth.relabel.weights import ChannelRecord

D = 6
HIT = np.r_[np.full(3, 2.0), np.zeros(3)]  # what a lesion adds to features


def deep_world(wrong=("sub-03",), seed=1):
    """12 patients in two folds; mask features carry HIT except where the mask is wrong.

    A wrong mask's lesion lies in a cluster elsewhere.
    """
    rng = np.random.default_rng(seed)
    regions, masks = {}, {}
    for k in range(12):
        name = f"sub-{k:02d}"
        mask = np.linalg.norm(sim.MM - [30.0, 0, 0], axis=-1) < 9
        kinds = ["mask", "cluster", "mirror", "background", "background"]
        features = rng.normal(0, 0.5, (2, len(kinds), D)).astype(np.float32)
        hit = 1 if name in wrong else 0
        features[:, hit] += HIT
        centres = np.array([[30, 0, 0], [-30, 30, 0], [-30, 0, 0], [10, 40, 0], [10, -40, 0]])
        regions[name] = DeepRegions(
            ("fold-0", "fold-1"), np.array([k % 2 == 1, k % 2 == 0]), features, np.array(kinds),
            centres.astype(np.float32), np.full(5, 2.0, np.float32),
        )  # fmt: skip
        masks[name] = sim.volume(mask)
    return regions, masks


def test_a_mask_on_the_wrong_side_of_the_boundary_and_the_lesion_it_leaves_out_stand_out():
    regions, masks = deep_world()
    found = judge_regions(regions, masks)
    assert set(found) == set(regions)
    assert max(found, key=lambda name: found[name].unlike) == "sub-03"
    assert max(found, key=lambda name: found[name].overlooked) == "sub-03"
    assert found["sub-03"].unlike > 0.85
    others = [found[name].unlike for name in found if name != "sub-03"]
    assert np.median(others) < 0.5


def test_a_cluster_that_touches_the_mask_is_not_called_overlooked():
    regions, masks = deep_world()
    one = regions["sub-03"]
    one.centres_mm[1] = (30, 12, 0)  # at the mask's border
    found = judge_regions(regions, masks)
    assert np.isnan(found["sub-03"].overlooked)


def test_networks_that_trained_on_a_patient_do_not_judge_him():
    regions, masks = deep_world()
    regions["sub-03"].trained[:] = True
    assert "sub-03" not in judge_regions(regions, masks)


def test_region_features_are_read_back_and_a_damaged_file_is_told(tmp_path):
    regions, _ = deep_world()
    one = regions["sub-00"]
    path = features_path(tmp_path, "sub-00")
    path.parent.mkdir()
    np.savez_compressed(path, features=one.features, models=np.array(one.models),
                        trained=one.trained, kind=one.kinds, number=np.arange(5),
                        centre_mm=one.centres_mm, volume_ml=one.volumes_ml)  # fmt: skip
    back = DeepRegions.read(path)
    assert back.models == one.models
    assert (back.features == one.features).all()
    path.write_bytes(b"no archive")
    with pytest.raises(CohortError, match="features true"):
        DeepRegions.read(path)


def write_snapshots(folder, fold, subjects):
    """``subjects``: id to (split, given, logits of each snapshot)."""
    place = folder / f"fold-{fold}" / "snapshots"
    place.mkdir(parents=True)
    arrays = {f"{s}/given": given for s, (_, given, _) in subjects.items()}
    arrays |= {f"{s}/voxels": np.arange(len(given)) for s, (_, given, _) in subjects.items()}
    np.savez_compressed(place / "places.npz", **arrays)
    (place / "places.json").write_text(json.dumps({s: v[0] for s, v in subjects.items()}))
    for number in range(3):
        logits = {s: np.asarray(v[2][number], np.float16) for s, v in subjects.items()}
        np.savez_compressed(place / f"step-{100 * (number + 1):06d}.npz", **logits)


def test_dynamics_by_hand(tmp_path):
    given = np.array([True, True, False, False])
    rising = [[0, 0, 0, 0], [2, 2, -2, -2], [4, 4, -4, -4]]
    lost = [[3, 3, 0, 0], [-3, -3, 0, 0], [3, 3, 0, 0]]
    outside = [[-4, -4, -4, -4]] * 3
    write_snapshots(tmp_path, 0, {"a": ("train", given, rising), "b": ("train", given, lost)})
    write_snapshots(tmp_path, 1, {"a": ("val", given, rising), "b": ("val", given, outside)})
    found = read_dynamics(tmp_path, threshold=0.5)
    assert found["a"].aum == pytest.approx((0 + 2 + 4) / 3)
    assert found["b"].aum == pytest.approx((3 - 3 + 3) / 3 / 2)  # the band's logits are 0
    assert found["a"].memory == pytest.approx(0, abs=1e-6)
    assert found["b"].memory == pytest.approx(expit(3) - expit(-4), abs=1e-3)
    assert (found["a"].forgotten, found["b"].forgotten) == (0, 1)


def test_a_folder_without_snapshots_is_refused(tmp_path):
    with pytest.raises(RunError, match="no snapshots"):
        read_dynamics(tmp_path, 0.5)
    (tmp_path / "fold-0" / "snapshots").mkdir(parents=True)
    with pytest.raises(RunError, match="written by fit"):
        read_dynamics(tmp_path, 0.5)


def test_channels_count_only_where_named_and_by_their_weights():
    shares = {Cause.TOO_LARGE: 1.0}
    verdicts = {n: Verdict(s, s, shares) for n, s in (("a", 0.9), ("b", 0.5), ("c", 0.1))}
    further = Further({"margin": {"a": 0.1, "b": 0.5, "c": 0.9}})
    alone, credits = mixed(verdicts, further, [])
    assert alone == verdicts
    assert set(map(str, credits.values())) == {"{'planted': 1.0}"}
    even, credits = mixed(verdicts, further, ["margin"])
    assert all(sum(shares.values()) == pytest.approx(1) for shares in credits.values())
    assert len({round(v.score, 6) for v in even.values()}) == 1  # opposite ranks cancel out
    record = ChannelRecord({"planted": 0, "margin": 8}, {"planted": 8, "margin": 0})
    trusted, _ = mixed(verdicts, further, ["margin"], record)
    assert max(trusted, key=lambda name: trusted[name].score) == "c"
    assert all(trusted[name].p_err == verdicts[name].p_err for name in verdicts)
    with pytest.raises(SettingsError, match="one of those measured here: margin"):
        mixed(verdicts, further, ["aum"])


def test_nothing_at_hand_measures_nothing(tmp_path):
    assert measure_further([], {}, tmp_path, ["sub-1"], None, 0.5) == Further()
