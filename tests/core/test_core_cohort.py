"""Cohort tables: round trip, merging, header checks, leakage."""

from dataclasses import replace

import pytest
from phantom import prepared_cohort

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, LeakageError
from fcdsynth.core.leakage import check_leakage
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject

ONE_GRID = ("t1w", "flair", "lesion", "brain", "tissue", "depth")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return prepared_cohort(tmp_path_factory.mktemp("prepared"), 2, 2)


def synthetic(name, host):
    parents = (Parent(host, Role.HOST),)
    return Subject(name, Group.PATIENT, Origin.SYNTHETIC, split=Split.TRAIN, parents=parents)


def test_round_trip(cohort):
    assert Cohort.read(cohort.folder) == cohort
    assert Cohort.read(cohort.folder / "cohort.csv") == cohort


def test_moving_keeps_the_files(cohort, tmp_path):
    moved = Cohort.read(cohort.write(tmp_path / "elsewhere" / "deep").parent)
    for subject in cohort.subjects:
        assert moved.path(moved[subject.id], "t1w") == cohort.path(subject, "t1w")
    assert moved.check(ONE_GRID) == []


def test_merge_keeps_paths_and_what_the_generator_saw(cohort, tmp_path):
    other = Cohort(tmp_path, (synthetic("syn-00001", "sub-00001"),), fitted_on=("sub-00002",))
    merged = cohort.merged(other)
    assert len(merged) == 5
    assert merged.fitted_on == ("sub-00002",)
    with pytest.raises(CohortError, match="syn-00001"):
        merged.merged(other)


def test_check_names_subject_and_key(cohort, tmp_path):
    broken = prepared_cohort(tmp_path, 2, 1)
    (tmp_path / "sub-00002" / "sub-00002_flair.nii.gz").write_bytes(b"junk")
    (tmp_path / "sub-00003" / "sub-00003_t1w.nii.gz").unlink()
    faults = [fault.subject for fault in broken.check(ONE_GRID)]
    assert "sub-00002 flair" in faults
    assert "sub-00003 t1w" in faults


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("id,group\nsub-1,patient\n", "missing columns"),
        ("id,group,origin,colour\nsub-1,patient,real,red\n", "colour"),
        ("id,group,origin\nsub-1,case,real\n", "sub-1"),
        ("id,group,origin\nsub-1,patient,real\nsub-1,patient,real\n", "two rows"),
    ],
)
def test_bad_tables(tmp_path, table, words):
    (tmp_path / "cohort.csv").write_text(table)
    with pytest.raises(CohortError, match=words):
        Cohort.read(tmp_path)


def test_absent_files_and_subjects(cohort, tmp_path):
    with pytest.raises(CohortError, match="fcdsynth index"):
        Cohort.read(tmp_path)
    with pytest.raises(CohortError, match="sub-9"):
        cohort["sub-9"]
    with pytest.raises(CohortError, match="lesion"):
        cohort.path(cohort["sub-00004"], "lesion")


def test_leakage_is_a_hard_error(cohort):
    splits = {"sub-00001": Split.TRAIN, "sub-00002": Split.TEST, "sub-00003": Split.TRAIN,
              "sub-00004": Split.VAL}  # fmt: skip
    table = cohort.with_splits(splits)
    child = Cohort(cohort.folder, (synthetic("syn-1", "sub-00003"),))
    check_leakage(table.merged(child))
    for host in ("sub-00002", "sub-00004"):
        bad = Cohort(cohort.folder, (synthetic("syn-1", host),))
        with pytest.raises(LeakageError, match=f"syn-1.*{host}"):
            check_leakage(table.merged(bad))
    with pytest.raises(LeakageError, match="sub-00002"):
        check_leakage(replace(table.merged(child), fitted_on=("sub-00002",)))
    with pytest.raises(LeakageError, match="sub-00001"):
        check_leakage(table, held_out=["sub-00001"])
