"""Plans: nested arms, draws, folds, sites, families, the table's own subjects, and the lock."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.subject import Group, Origin, Split, Subject
from fcdsynth.study.choice import make_plan, matched
from fcdsynth.study.opening import note_opening, openings, plans_opened
from fcdsynth.study.plan import lock
from fcdsynth.study.settings import DEFAULT_ARMS, Arm, check_arms


def cohort(patients=12, controls=12, test=(), val=(), families=0):
    rows = []
    for number in range(patients + controls):
        name = f"sub-{number:02d}"
        split = Split.TEST if name in test else Split.VAL if name in val else Split.NONE
        rows.append(
            Subject(
                name,
                Group.PATIENT if number < patients else Group.CONTROL,
                Origin.REAL,
                site="AB"[number % 2],
                split=split,
                family=f"anatomy {number % families}" if families else "",
            )
        )
    return Cohort(Path("nowhere"), tuple(rows))


def test_arms_are_nested_and_disjoint_from_the_test_subjects():
    plan = make_plan(cohort(), DEFAULT_ARMS, folds=2, draws=3)
    assert plan.n == 4  # a third of 12 tests, 8 are left, 2n = 8
    for draw in plan.draws:
        small, large = (plan.training(draw, DEFAULT_ARMS[k]) for k in (0, 2))
        for few, many in zip(small, large, strict=True):
            assert (len(few), len(many)) == (4, 8)
            assert set(few) < set(many)
            assert not set(many) & set(plan.test)
    assert len({draw.test for draw in plan.draws}) == 1
    assert len({frozenset(draw.train_patients[:4]) for draw in plan.draws}) > 1


def test_folds_partition_the_training_subjects_and_mix_the_sites():
    table, arm = cohort(), DEFAULT_ARMS[2]
    plan = make_plan(table, DEFAULT_ARMS, folds=2)
    (draw,) = plan.draws
    held = [
        {k for k, v in plan.splits(draw, arm, fold).items() if v is Split.VAL} for fold in range(2)
    ]
    assert held[0].isdisjoint(held[1])
    assert held[0] | held[1] == set(sum(plan.training(draw, arm), ()))
    assert all(plan.splits(draw, arm, 0)[name] is Split.TEST for name in plan.test)
    assert {table[name].site for name in draw.test_patients} == {"A", "B"}
    assert plan.in_fold(draw, arm, 0) == 4


def test_one_fold_validates_on_the_tables_own_subjects():
    held = ("sub-00", "sub-01", "sub-12", "sub-13")
    plan = make_plan(cohort(val=held), DEFAULT_ARMS, folds=1, test_patients=3, test_controls=3)
    (draw,) = plan.draws
    splits = plan.splits(draw, DEFAULT_ARMS[2], 0)
    assert {name for name, split in splits.items() if split is Split.VAL} == set(held)
    assert plan.in_fold(draw, DEFAULT_ARMS[0], 0) == plan.n == 3  # 7 are left
    with pytest.raises(CohortError, match="no validation patient"):
        make_plan(cohort(), DEFAULT_ARMS, folds=1)


def test_n_comes_from_few_families_and_2n_brings_new_ones():
    table = cohort(24, 24, families=6)
    plan = make_plan(table, DEFAULT_ARMS, n=8, folds=2, draws=2, test_patients=8, test_controls=8)
    family = {s.id: s.family for s in table.subjects}
    for draw in plan.draws:
        tested = {family[name] for name in draw.test}
        early = {family[name] for k in (0, 1) for name in plan.training(draw, Arm("a"))[k]}
        every = {family[name] for name in (*draw.train_patients, *draw.train_controls)}
        assert (len(tested), len(early), len(every)) == (2, 2, 4)  # 4 patients a family
        assert not tested & every


def test_a_fraction_of_n_is_a_point_of_the_learning_curve():
    arms = (*DEFAULT_ARMS, Arm("quarter", real=0.5))
    plan = make_plan(cohort(), arms, folds=2)
    (draw,) = plan.draws
    assert len(plan.training(draw, arms[3])[0]) == 2
    assert [arm.plain for arm in arms] == [True, False, True, True]


def test_each_site_is_left_out_once():
    table = cohort()
    plan = make_plan(table, DEFAULT_ARMS, folds=2, by="site")
    assert plan.sites_left_out
    for draw, site in zip(plan.draws, "AB", strict=True):
        assert {table[name].site for name in draw.test} == {site}
        assert {table[name].site for name in draw.train_patients} == {"AB".replace(site, "")}
    assert len(plan.test) == len(table)
    with pytest.raises(SettingsError, match="at least two sites"):
        make_plan(table.select(lambda s: s.site == "A"), DEFAULT_ARMS, folds=2, by="site")


def test_the_tables_own_test_patients_win():
    plan = make_plan(cohort(test=("sub-00", "sub-05")), DEFAULT_ARMS, folds=2, test_controls=3)
    (draw,) = plan.draws
    assert draw.test_patients == ("sub-00", "sub-05")
    assert plan.test_from_table
    assert len(draw.test_controls) == 3
    assert plan.n == 4  # 9 controls are left: 2n = 8


def test_seeds_decide():
    one, two = (make_plan(cohort(), DEFAULT_ARMS, folds=2, seed=s) for s in (1, 2))
    again = make_plan(cohort(), DEFAULT_ARMS, folds=2, seed=1)
    assert one.key == again.key != two.key
    assert one.test == again.test != two.test


@pytest.mark.parametrize(
    "wrong", [{"n": 9}, {"folds": 5}, {"test_controls": 0}, {"test_patients": 10}]
)
def test_too_few_subjects(wrong):
    with pytest.raises(CohortError, match=r"patients|controls"):
        make_plan(cohort(), DEFAULT_ARMS, **({"folds": 2} | wrong))


def test_the_lock_refuses_another_plan_unless_told(tmp_path):
    first, second = (make_plan(cohort(), DEFAULT_ARMS, folds=2, seed=s) for s in (1, 2))
    path = lock(first, tmp_path, new=False)
    assert path == lock(first, tmp_path, new=False) == tmp_path / "plan-1.json"
    with pytest.raises(RunError, match="locked plan"):
        lock(second, tmp_path, new=False)
    assert lock(second, tmp_path, new=True) == tmp_path / "plan-2.json"
    assert lock(first, tmp_path, new=False) == path
    path.write_text(path.read_text().replace('"rate": 0.5', '"rate": 2.0'))
    with pytest.raises(RunError, match="edited"):
        lock(first, tmp_path, new=False)


@pytest.mark.parametrize(
    "other",
    [{"rate": 1.0}, {"draws": 2}, {"rule": "near"}, {"recipe": {"detector": "max_steps: 9"}},
     {"arms": (*DEFAULT_ARMS, Arm("more", real=0.5))}],
)  # fmt: skip
def test_all_that_decides_is_in_the_key(other):
    arms = other.get("arms", DEFAULT_ARMS)
    rest = {k: v for k, v in other.items() if k != "arms"}
    assert make_plan(cohort(), arms, folds=2, **rest).key != (
        make_plan(cohort(), DEFAULT_ARMS, folds=2).key
    )


def test_an_arm_opens_the_test_set_once_a_plan(tmp_path):
    plan = make_plan(cohort(), DEFAULT_ARMS, folds=2)
    file, ledger = lock(plan, tmp_path, new=False), tmp_path / "openings.jsonl"
    (draw,) = plan.draws
    for arm in (plan.arms[0], plan.arms[1], plan.arms[0]):
        note_opening(ledger, plan, file, draw, arm)
    assert [o.arm for o in openings(ledger)] == ["FCDD-1", "FCDD-2"]
    later = replace(plan, rate=1.0)
    note_opening(ledger, later, lock(later, tmp_path, new=True), draw, plan.arms[0])
    assert plans_opened(ledger) == 2
    assert json.loads(ledger.read_text().splitlines()[2])["file"] == "plan-2.json"
    with pytest.raises(RunError, match="locked plan"):
        note_opening(ledger, plan, tmp_path / "plan-9.json", draw, plan.arms[2])
    with ledger.open("a") as stream:
        stream.write("{}\n")
    with pytest.raises(RunError, match="line 4"):
        openings(ledger)


@pytest.mark.parametrize(
    "wrong",
    [{"real": 0}, {"synthetic": -1}, {"masks": "ellipsoid"}, {"pool": "x"},
     {"synthetic": 1, "pool": "x", "masks": "ellipsoid"},
     {"synthetic": 1, "images": "carvemix", "synthesis": "a.yaml"}],
)  # fmt: skip
def test_arms_that_cannot_be(wrong):
    with pytest.raises(SettingsError, match="arms a"):
        Arm("a", **wrong)


def test_names_of_arms():
    with pytest.raises(SettingsError):
        Arm("a/b")
    with pytest.raises(SettingsError):
        check_arms([])
    with pytest.raises(SettingsError):
        check_arms([Arm("a"), Arm("a", real=2)])


def people(codes, patient, sex="MF"):
    group = Group.PATIENT if patient else Group.CONTROL
    return [
        Subject(f"{'pc'[not patient]}{k}", group, Origin.REAL, sex=sex[k % len(sex)],
                age_code=str(code))
        for k, code in enumerate(codes)
    ]  # fmt: skip


def test_controls_are_matched_by_sex_and_age_class():
    """M 3 takes M 4, not F 3, who is nearer in age; F 9 takes F 8."""
    patients = people([3, 9], True)
    controls = people([4, 3, 12, 8], False)  # M 4, F 3, M 12, F 8
    chosen = matched(patients, controls, 2, np.random.default_rng(0))
    assert {s.id for s in chosen} == {"c0", "c3"}
    # Four of two patients: each is matched twice.
    chosen = matched(patients, controls, 4, np.random.default_rng(0))
    assert {s.id for s in chosen} == {"c0", "c1", "c2", "c3"}
    with pytest.raises(CohortError, match="4 to match 5"):
        matched(patients, controls, 5, np.random.default_rng(0))
    with pytest.raises(CohortError, match="c1"):
        matched(patients, [controls[0], replace(controls[1], sex="")], 2, np.random.default_rng(0))


def test_matched_controls_test_and_do_not_train():
    patients = people([2, 5, 9, 12, 7, 7], True)
    patients = [replace(s, split=Split.TEST) if k < 2 else s for k, s in enumerate(patients)]
    table = Cohort(Path("nowhere"), (*patients, *people([12, 12, 2, 5, 9, 7, 7, 7], False)))
    plan = make_plan(table, [Arm("a")], folds=2, test_controls=2, match_controls=True)
    assert plan.draws[0].test == ("p0", "p1", "c2", "c3")
    assert not {"c2", "c3"} & set(plan.draws[0].train_controls)


def test_a_plan_can_be_sent_to_another_process():
    plan = make_plan(cohort(), DEFAULT_ARMS, folds=2, recipe={"detector": "text"})
    assert pickle.loads(pickle.dumps(plan)) == plan
