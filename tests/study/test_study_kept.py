"""Results of arms that are kept: put back where all that decides them is the same."""

import json
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from phantom import prepared_cohort

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import RunError
from fcdsynth.core.volume import Volume, read_volume, write_volume
from fcdsynth.study.choice import make_plan
from fcdsynth.study.jobs import Recipe, plan_jobs
from fcdsynth.study.kept import Shelf, is_kept
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.opening import note_opening, openings
from fcdsynth.study.plan import lock
from fcdsynth.study.settings import Arm

ARMS = (Arm("real"), Arm("more", synthetic=1.0))


@pytest.fixture
def study(tmp_path):
    """A study with an evaluation of its first arm."""
    folder = StudyFolder(tmp_path / "here")
    return with_evaluations(folder, prepared_cohort(folder.prepared, 6, 6))


def with_evaluations(folder, cohort):
    plan = make_plan(cohort, ARMS, n=2, folds=2, recipe={"detector": "steps: 3"})
    file = lock(plan, folder.plans, False)
    draw = plan.draws[0]
    for part in ("evaluation", "curve"):
        place = folder.arm(draw, ARMS[0]) / part
        place.mkdir(parents=True)
        (place / "report.json").write_text(json.dumps({"what": part}))
        (place / "figures.csv").write_text("name,value\nsensitivity,0.5\n")
    note_opening(folder.openings, plan, file, draw, ARMS[0])
    return folder, plan, file


def elsewhere(study, tmp_path):
    """The same prepared subjects in another folder, with a plan of their own."""
    folder, plan, _ = study
    other = StudyFolder(tmp_path / "there")
    shutil.copytree(folder.prepared, other.prepared)
    lock(plan, other.plans, False)
    return other


def jobs(folder, plan, tmp_path):
    recipe = Recipe(tmp_path / "d", tmp_path / "s", tmp_path / "m", 0, 1)
    return [(job.arm.name, job.part) for job in plan_jobs(folder.root, plan, tmp_path, recipe)]


def test_the_same_arm_is_put_back_with_its_looks(study, tmp_path):
    folder, plan, file = study
    draw, shelf = plan.draws[0], tmp_path / "shelf"
    here = Shelf(shelf, folder, plan)
    here.lay_down(file)
    path = here.keep(draw, ARMS[0])
    first = path.read_bytes()
    path.unlink()
    assert here.keep(draw, ARMS[0]).read_bytes() == first
    assert json.loads((shelf / f"plan-{plan.key[:12]}.json").read_text())["key"] == plan.key

    there = elsewhere(study, tmp_path)
    assert Shelf(shelf, there, plan).put_back() == ["draw-1 real"]
    for part in ("evaluation", "curve"):
        name = f"draws/draw-1/real/{part}/report.json"
        assert (there.root / name).read_bytes() == (folder.root / name).read_bytes()
    assert openings(there.openings) == openings(folder.openings)
    assert is_kept(there, draw, ARMS[0])
    assert not is_kept(there, draw, ARMS[1])
    # A second time there is nothing left to take, and no look is noted twice.
    assert Shelf(shelf, there, plan).put_back() == []
    assert len(openings(there.openings)) == 1


def test_only_what_is_missing_is_trained(study, tmp_path):
    folder, plan, _ = study
    all_jobs = jobs(folder, plan, tmp_path)
    assert [j for j in all_jobs if j[0] == "real"] == [
        ("real", "fold"), ("real", "fold"), ("real", "test"), ("real", "flag")
    ]  # fmt: skip
    (tmp_path / "shelf").mkdir()
    Shelf(tmp_path / "shelf", folder, plan).keep(plan.draws[0], ARMS[0])
    there = elsewhere(study, tmp_path)
    Shelf(tmp_path / "shelf", there, plan).put_back()
    left = jobs(there, plan, tmp_path)
    assert left == [("more", "generator")] * 2 + [("more", "fold")] * 2 + [
        ("more", "test"), ("more", "flag")
    ]  # fmt: skip


def test_other_masks_settings_or_subjects_are_another_result(study, tmp_path):
    folder, plan, _ = study
    draw, shelf = plan.draws[0], tmp_path / "shelf"
    shelf.mkdir()
    here = Shelf(shelf, folder, plan)
    here.keep(draw, ARMS[0])
    key = here.key(draw, ARMS[0])
    changed = replace(plan, recipe={"detector": "steps: 4"})
    assert Shelf(shelf, folder, changed).key(draw, ARMS[0]) != key
    assert here.key(draw, replace(ARMS[0], real=2.0)) != key
    # A further arm or draw changes nothing for this one.
    more = replace(plan, arms=(*ARMS, Arm("third", real=1.5)))
    assert Shelf(shelf, folder, more).key(draw, ARMS[0]) == key

    there = elsewhere(study, tmp_path)
    cohort = Cohort.read(there.prepared)
    path = cohort.path(cohort[draw.train_patients[0]], "lesion")
    mask = read_volume(path)
    array = np.array(mask.array)
    array.flat[np.flatnonzero(array)[0]] = 0
    write_volume(path, Volume(array, mask.grid))
    other = Shelf(shelf, there, plan)
    assert other.key(draw, ARMS[0]) != key
    assert other.put_back() == []


def test_a_file_that_is_not_what_its_name_says_is_named(study, tmp_path):
    folder, plan, _ = study
    draw, shelf = plan.draws[0], tmp_path / "shelf"
    shelf.mkdir()
    path = Shelf(shelf, folder, plan).keep(draw, ARMS[0])
    there = Shelf(shelf, elsewhere(study, tmp_path), plan)
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(RunError, match=r"real.*\.zip"):
        there.put_back()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.json", json.dumps({"key": "0", "openings": []}))
        for name in ("evaluation/report.json", "evaluation/figures.csv", "curve/report.json"):
            archive.writestr(name, "{}")
    with pytest.raises(RunError, match="something else"):
        there.put_back()
    assert not is_kept(there.folder, draw, ARMS[0])
