"""Training sets: labels of another cohort, pools made elsewhere, and what may not enter."""

from dataclasses import replace

import pytest

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, LeakageError
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject
from fcdsynth.study.chain import without_flair
from fcdsynth.study.choice import make_plan
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.settings import Arm
from fcdsynth.study.training_set import fold_cohort, of_pool, relabelled, to_draw, training_table


def subject(name, patient=True, **more):
    files = {"t1w": f"{name}/t1w.nii.gz"} | ({"lesion": f"{name}/old.nii.gz"} if patient else {})
    group = Group.PATIENT if patient else Group.CONTROL
    return Subject(name, group, Origin.REAL, files=files, **more)


def synthetic(name, parent, patient=True):
    made = subject(name, patient, parents=(Parent(parent, Role.HOST),))
    return replace(made, origin=Origin.SYNTHETIC, split=Split.TRAIN)


def table(folder):
    rows = [subject(f"p{k}") for k in range(6)] + [subject(f"c{k}", False) for k in range(6)]
    return Cohort(folder, tuple(rows))


def test_labels_reach_training_and_validation_but_no_test_subject(tmp_path):
    splits = {"p0": Split.TRAIN, "p1": Split.VAL, "p2": Split.TEST, "c0": Split.TRAIN}
    given = table(tmp_path / "a").with_splits(splits)
    labels = Cohort(tmp_path / "b", tuple(
        replace(s, files={"lesion": f"{s.id}/new.nii.gz"}) for s in given.subjects if s.is_patient
    ))  # fmt: skip
    new = relabelled(given, labels, "arm")
    assert new["p0"].files["lesion"] == "../b/p0/new.nii.gz"
    assert new["p1"].files["lesion"] == "../b/p1/new.nii.gz"
    assert new["p2"].files["lesion"] == "p2/old.nii.gz"
    assert new["p0"].files["t1w"] == "p0/t1w.nii.gz"
    assert not new["c0"].has("lesion")
    short = labels.select(lambda s: s.id != "p1")
    with pytest.raises(CohortError, match="p1"):
        relabelled(given, short, "arm")


def test_children_of_held_out_subjects_are_left_out_of_a_pool(tmp_path):
    given = table(tmp_path).with_splits({"p0": Split.TRAIN, "c0": Split.TRAIN, "c1": Split.TEST})
    pool = Cohort(tmp_path, tuple(
        [synthetic(f"s{k}", f"c{k % 2}") for k in range(4)]
        + [synthetic(f"h{k}", f"c{k % 2}", False) for k in range(4)]
    ))  # fmt: skip
    arm = Arm("a", synthetic=1, pool="x")
    assert [s.id for s in of_pool(pool, 2, given, arm).subjects] == ["s0", "s2", "h0", "h2"]
    assert [s.id for s in of_pool(pool, 1, given, arm).subjects] == ["s0", "h0"]
    with pytest.raises(CohortError, match="2 patients and 2 controls without a held-out parent"):
        of_pool(pool, 3, given, arm)
    own = Arm("a", synthetic=1)  # fewer than asked are left when pairs were refused
    assert len(of_pool(pool, 3, given, own)) == 4


def test_more_are_drawn_where_some_may_be_refused():
    assert to_draw(35, refuse=True) == 43
    assert to_draw(35, refuse=False) == 35
    assert to_draw(0, refuse=True) == 0


def test_a_pool_fitted_on_a_test_subject_does_not_train(tmp_path):
    folder = StudyFolder(tmp_path)
    table(folder.prepared).write()
    plan = make_plan(
        Cohort.read(folder.prepared), [Arm("a", synthetic=1, pool=str(tmp_path / "pool"))],
        folds=2, test_patients=2, test_controls=2,
    )  # fmt: skip
    (draw,), (arm,) = plan.draws, plan.arms
    host = plan.training(draw, arm)[1][1]  # of fold 0's training controls
    pool = [synthetic(f"s{k}", host) for k in range(4)]
    pool += [synthetic(f"h{k}", host, False) for k in range(4)]
    for fitted, refused in (((), False), ((draw.test_patients[0],), True)):
        Cohort(tmp_path / "pool", tuple(pool), fitted_on=fitted).write()
        fold_cohort(folder, plan, draw, arm, 0, folder.fold(draw, arm, 0) / "cohort")
        if refused:
            with pytest.raises(LeakageError, match="fitted on held-out"):
                training_table(folder, plan, draw, arm, 0)
        else:
            made = Cohort.read(training_table(folder, plan, draw, arm, 0))
            assert sum(s.origin is Origin.SYNTHETIC for s in made.subjects) == 4  # 2 + 2 of a fold


def test_flair_and_what_is_made_of_it_leave_the_inputs(tmp_path):
    config = tmp_path / "a.yaml"
    config.write_text("data: {init_args: {inputs: [t1w, flair, t1w_mirror, flair_mirror]}}\n")
    told = "[t1w, t1w_mirror]"
    words = ["--model.inputs", told, "--data.inputs", told, "--data.flair_dropout", "0"]
    assert without_flair(config) == words
    config.write_text("data: {}\n")
    assert without_flair(config)[1] == "[t1w]"
