"""Plans: nested arms, folds, sites, the table's own test subjects, and the lock."""

from pathlib import Path

import pytest

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.subject import Group, Origin, Split, Subject
from fcdsynth.study.plan import make_plan
from fcdsynth.study.settings import DEFAULT_ARMS, Arm, check_arms


def cohort(patients=12, controls=12, test=()):
    rows = []
    for number in range(patients + controls):
        name = f"sub-{number:02d}"
        rows.append(
            Subject(
                name,
                Group.PATIENT if number < patients else Group.CONTROL,
                Origin.REAL,
                site="AB"[number % 2],
                split=Split.TEST if name in test else Split.NONE,
            )
        )
    return Cohort(Path("nowhere"), tuple(rows))


def test_arms_are_nested_and_disjoint_from_the_test_subjects():
    plan = make_plan(cohort(), DEFAULT_ARMS, folds=2)
    assert plan.n == 4  # a third of 12 tests, 8 are left, 2n = 8
    small, large = plan.training(DEFAULT_ARMS[0]), plan.training(DEFAULT_ARMS[2])
    for few, many in zip(small, large, strict=True):
        assert (len(few), len(many)) == (4, 8)
        assert set(few) < set(many)
        assert not set(many) & set(plan.test)


def test_folds_partition_the_training_subjects_and_mix_the_sites():
    table, arm = cohort(), DEFAULT_ARMS[2]
    plan = make_plan(table, DEFAULT_ARMS, folds=2)
    held = [{k for k, v in plan.splits(arm, fold).items() if v is Split.VAL} for fold in range(2)]
    assert held[0].isdisjoint(held[1])
    assert held[0] | held[1] == set(sum(plan.training(arm), ()))
    assert all(plan.splits(arm, 0)[name] is Split.TEST for name in plan.test)
    sites = {table[name].site for name in plan.test_patients}
    assert sites == {"A", "B"}


def test_the_tables_own_test_patients_win():
    plan = make_plan(cohort(test=("sub-00", "sub-05")), DEFAULT_ARMS, folds=2, test_controls=3)
    assert plan.test_patients == ("sub-00", "sub-05")
    assert plan.test_from_table
    assert len(plan.test_controls) == 3
    assert plan.n == 4  # 9 controls are left: 2n = 8


def test_seeds_decide():
    one, two = (make_plan(cohort(), DEFAULT_ARMS, folds=2, seed=s) for s in (1, 2))
    assert one == make_plan(cohort(), DEFAULT_ARMS, folds=2, seed=1)
    assert one.test != two.test


@pytest.mark.parametrize(
    "wrong", [{"n": 9}, {"folds": 5}, {"test_controls": 0}, {"test_patients": 10}]
)
def test_too_few_subjects(wrong):
    with pytest.raises(CohortError, match=r"patients|controls"):
        make_plan(cohort(), DEFAULT_ARMS, **({"folds": 2} | wrong))


def test_the_lock_refuses_another_plan(tmp_path):
    first = make_plan(cohort(), DEFAULT_ARMS, folds=2, seed=1)
    first.lock(tmp_path / "plan.json")
    first.lock(tmp_path / "plan.json")
    with pytest.raises(RunError, match="locked plan"):
        make_plan(cohort(), DEFAULT_ARMS, folds=2, seed=2).lock(tmp_path / "plan.json")


def test_arms_that_cannot_be():
    with pytest.raises(SettingsError):
        Arm("a", real=0)
    with pytest.raises(SettingsError):
        Arm("a", synthetic=-1)
    with pytest.raises(SettingsError):
        Arm("a/b")
    with pytest.raises(SettingsError):
        check_arms([])
    with pytest.raises(SettingsError):
        check_arms([Arm("a"), Arm("a", real=2)])
