"""Folds: everybody is held out once, families together, sites spread, children kept apart."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject
from fcdsynth.training.folds import deal


def people(patients=20, controls=20, sites=2):
    return [
        Subject(
            f"sub-{n:03d}", Group.PATIENT if n < patients else Group.CONTROL, Origin.PHANTOM,
            site=f"site {n % sites}",
        )
        for n in range(patients + controls)
    ]  # fmt: skip


def written(folder, subjects, fitted_on=()):
    Cohort(folder, tuple(subjects), "c", fitted_on=tuple(fitted_on)).write()
    return folder


def test_everybody_is_held_out_once_and_sites_are_spread():
    subjects = people()
    parts = deal(subjects, 5, 0)
    assert Counter(name for part in parts for name in part) == {s.id: 1 for s in subjects}
    by_id = {s.id: s for s in subjects}
    for part in parts:
        cells = Counter((by_id[n].group, by_id[n].site) for n in part)
        assert set(cells.values()) == {2}
        assert len(cells) == 4


def test_families_stay_together():
    subjects = [replace(s, family=f"f{n // 2}") for n, s in enumerate(people())]
    for part in deal(subjects, 5, 1):
        families = Counter(s.family for s in subjects if s.id in part)
        assert set(families.values()) == {2}


def test_fewer_families_than_folds_are_refused():
    subjects = [replace(s, family="one") for s in people()]
    with pytest.raises(SettingsError, match="5 folds of 1 families"):
        deal(subjects, 5, 0)


def test_the_verb_writes_tables_and_keeps_the_test_set(tmp_path, capsys):
    subjects = people()
    subjects[0] = replace(subjects[0], split=Split.TEST)
    child = Subject(
        "syn-1", Group.PATIENT, Origin.SYNTHETIC, split=Split.TRAIN,
        parents=(Parent("sub-025", Role.HOST),),
    )  # fmt: skip
    cohort = written(tmp_path / "cohort", [*subjects, child])
    out = tmp_path / "folds"
    assert main(["folds", str(cohort), str(out), "--number", "4"]) == 0
    record = json.loads((out / "folds.json").read_text())
    assert sorted(record) == [f"fold-{k}" for k in range(4)]
    held_out = Counter()
    for name, told in record.items():
        fold = Cohort.read(out / name)
        splits = {s.id: s.split for s in fold.subjects}
        assert splits["sub-000"] == Split.TEST
        held_out.update(n for n, split in splits.items() if split == Split.VAL)
        assert splits["syn-1"] == (Split.NONE if splits["sub-025"] == Split.VAL else Split.TRAIN)
        assert told["counts"]["test_patients"] == 1
    assert held_out == {s.id: 1 for s in subjects[1:]}


def test_leave_one_site_out(tmp_path):
    cohort = written(tmp_path / "cohort", people(sites=3))
    out = tmp_path / "folds"
    assert main(["folds", str(cohort), str(out), "--by", "site"]) == 0
    record = json.loads((out / "folds.json").read_text())
    assert [told["site"] for told in record.values()] == ["site 0", "site 1", "site 2"]
    for name, told in record.items():
        for s in Cohort.read(out / name).subjects:
            assert (s.split == Split.TEST) == (s.site == told["site"])


def test_a_generator_fitted_on_held_out_subjects_is_refused(tmp_path, capsys):
    cohort = written(tmp_path / "cohort", people(), fitted_on=["sub-001"])
    assert main(["folds", str(cohort), str(tmp_path / "folds")]) == 1
    assert "fitted on held-out sub-001" in capsys.readouterr().err
    assert not (tmp_path / "folds").exists()


def test_one_site_cannot_be_left_out(tmp_path, capsys):
    cohort = written(tmp_path / "cohort", people(sites=1))
    assert main(["folds", str(cohort), str(tmp_path / "folds"), "--by", "site"]) == 1
    assert "at least two sites" in capsys.readouterr().err
