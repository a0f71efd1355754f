"""Does the acquisition give the group away? Known cohorts, the real metadata, and chance."""

import json

import numpy as np
import pytest

from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group
from fcdsynth.prepare.acquisition import Acquisition
from fcdsynth.prepare.audit import audit_acquisition, warnings_of
from fcdsynth.prepare.bids import Layout
from fcdsynth.prepare.guess import guess
from fcdsynth.prepare.participants import read_participants

P, C = Group.PATIENT, Group.CONTROL


def test_one_binary_property_gives_the_auc_of_its_table():
    """30 of 40 patients and 10 of 40 controls on scanner a: AUC = (1 + 0.75 - 0.25) / 2."""
    groups = [P] * 40 + [C] * 40
    values = ["a"] * 30 + ["b"] * 10 + ["a"] * 10 + ["b"] * 30
    found = guess("scanner", [values], groups)
    assert found.auc == pytest.approx(0.75, abs=0.02)
    assert (found.n_patients, found.n_controls) == (40, 40)
    assert found.confounded
    assert "AUC 0.7" in found.sentence()


def test_a_perfect_property_gives_one_and_a_constant_one_gives_half():
    groups = [P, C] * 12
    assert guess("scanner", [["a", "b"] * 12], groups).auc == 1
    same = guess("scanner", [["a"] * 24], groups)
    assert same.auc == pytest.approx(0.5, abs=0.05)
    assert not same.confounded


def test_two_properties_together_tell_what_neither_tells_alone():
    """Scanner and protocol each cross the group half and half; their combination does not."""
    pairs = [("a", "x"), ("b", "y")] * 10 + [("a", "y"), ("b", "x")] * 10
    groups = [P] * 20 + [C] * 20
    acquired = [Acquisition(scanner=s, t1w_protocol=t, t1w_settings=s + t) for s, t in pairs]
    audits, guessed = audit_acquisition(acquired, groups)
    by_name = {g.name: g for g in guessed}
    assert not by_name["scanner"].confounded
    assert not by_name["t1w_protocol"].confounded
    assert by_name["all together"].confounded
    assert by_name["all together"].auc == 1
    assert "all together" in warnings_of(audits, guessed)[0]


def test_chance_is_not_called_a_confound():
    """20 cohorts without any; at the 1 % level an alarm is expected in one of five such tests."""
    rng = np.random.default_rng(5)
    groups = [P] * 30 + [C] * 30
    alarms = sum(
        guess("scanner", [list(rng.choice(["a", "b", "c"], 60))], groups).confounded
        for _ in range(20)
    )
    assert alarms <= 1


def test_a_handful_of_subjects_is_not_tried():
    found = guess("scanner", [["a", "b"] * 4], [P, C] * 4)
    assert found.auc is None
    assert not found.confounded
    assert "too few" in found.sentence()


def test_voxel_size_alone_is_seen():
    """One scanner, one protocol name, but the patients' T1w have other voxels."""
    grids = [Grid.of((8, 8, 8), np.diag([mm, mm, 1.0, 1.0])) for mm in [0.8] * 10 + [1.0] * 10]
    acquired = [Acquisition.of(Layout("sub-1"), {"t1w": g}) for g in grids]
    assert {one.t1w_voxels for one in acquired} == {""}  # no file, no voxels
    acquired = [Acquisition.of(Layout("sub-1", t1w=_nowhere()), {"t1w": g}) for g in grids]
    audits, guessed = audit_acquisition(acquired, [P] * 10 + [C] * 10)
    assert [a.name for a in audits if a.confounded] == ["t1w_voxels"]
    assert [g.name for g in guessed] == ["t1w_voxels"]
    assert guessed[0].auc == 1
    assert any("t1w_voxels" in text for text in warnings_of(audits, guessed))


def _nowhere():
    from pathlib import Path

    return Path("/nowhere/sub-1_acq-iso08_T1w.nii.gz")


def test_the_real_metadata_fire_the_alarm(shared_data):
    """ds004199: half of the patients lie on a scanner without controls."""
    root = shared_data / "ds004199"
    people, _ = read_participants(root)
    layouts = []
    for person in people:
        found = {}
        for key, suffix in (("t1w", "T1w"), ("flair", "FLAIR")):
            (sidecar,) = (root / person.id / "anat").glob(f"*_{suffix}.json")
            found[key] = sidecar.with_suffix("").with_suffix(".nii.gz")
        layouts.append(Layout(person.id, **found))
    audits, guessed = audit_acquisition(
        [Acquisition.of(layout, {}) for layout in layouts], [p.group for p in people]
    )
    by_name = {g.name: g for g in guessed}
    assert by_name["scanner"].auc == pytest.approx(0.5 + 43 / 85 / 2, abs=0.02)
    assert by_name["all together"].auc > 0.75
    assert by_name["all together"].n_patients == 85
    alone = {a.name for a in audits if a.confounded}
    assert {"scanner", "t1w_protocol", "flair_protocol", "t1w_voxels"} <= alone
    texts = warnings_of(audits, guessed)
    assert "all together" in texts[0]
    json.dumps([g.to_json() for g in guessed])
