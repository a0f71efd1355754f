"""Bad input: named, kept apart from the others, and nothing left behind."""

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from phantom import bids_folder

sys.path.insert(0, str(Path(__file__).parent))
from bids_trees import image, mask, small_tree

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.progress import WorkerKilled
from fcdsynth.core.volume import Volume, read_mask, read_volume, write_volume
from fcdsynth.prepare import faults, person
from fcdsynth.prepare import prepare as verb
from fcdsynth.prepare.failures import Failure
from fcdsynth.prepare.prepare import prepare
from fcdsynth.prepare.template import Placement


@pytest.fixture(autouse=True)
def wide_table(monkeypatch):
    monkeypatch.setattr(faults, "_WIDTH", 800)  # no phrase is broken between lines


# --- what headers and masks show: index refuses it -----------------------------------------------


def _t1w(tree):
    return tree / "sub-00002/anat/sub-00002_acq-iso08_T1w.nii.gz"


def _four_dimensions(tree):
    nib.save(nib.Nifti1Image(np.ones((6, 6, 6, 3), np.float32), np.eye(4)), _t1w(tree))


def _zero_affine(tree):
    one = nib.Nifti1Image(np.ones((6, 6, 6), np.float32), np.eye(4))
    one.header["sform_code"] = 1
    one.header["srow_x"], one.header["srow_y"], one.header["srow_z"] = np.zeros((3, 4))
    with _t1w(tree).with_suffix("").open("wb") as stream:
        stream.write(one.header.binaryblock + bytes(4) + one.get_fdata().astype("<f4").tobytes())
    _t1w(tree).unlink()


def _junk(tree):
    _t1w(tree).write_bytes(bytes(range(16)))


def _tiny_voxels(tree):
    write_volume(_t1w(tree), image(Grid.of((10, 10, 10), np.diag([0.1, 0.1, 0.1, 1.0]))))


def _mask_of_another(tree):
    other = Grid.of((7, 8, 9), np.diag([3.0, 3.0, 3.0, 1.0]))
    write_volume(tree / "sub-00002/anat/sub-00002_acq-T2sel_FLAIR_roi.nii.gz", mask(other))


BAD_HEADERS = {
    "4D": (_four_dimensions, "(6, 6, 6, 3)"),
    "zero affine": (_zero_affine, "affine [[0.0, 0.0, 0.0, 0.0]"),
    "16 bytes of junk": (_junk, "a readable NIfTI image"),
    "0.1 mm voxels": (_tiny_voxels, "voxels of 0.1 x 0.1 x 0.1 mm"),
    "mask on another grid": (_mask_of_another, "on another grid: 7 x 8 x 9 voxels"),
}


@pytest.mark.parametrize("what", BAD_HEADERS)
def test_bad_headers_are_named_by_index(tmp_path, capsys, what):
    spoil, said = BAD_HEADERS[what]
    tree = small_tree(tmp_path / "bids")
    spoil(tree)
    assert main(["index", str(tree), str(tmp_path / "out")]) == 1
    shown = capsys.readouterr().err
    line = next(line for line in shown.splitlines() if said in line)
    assert line.split()[0] == "sub-00002"
    assert [p.name for p in tmp_path.iterdir()] == ["bids"]


def test_a_dispute_of_sform_and_qform_is_noted_and_read_over(tmp_path, caplog):
    tree = small_tree(tmp_path / "bids")
    one = nib.load(_t1w(tree))
    mirrored = np.diag([-1.0, 1, 1, 1]) @ one.affine
    one.set_qform(mirrored, code=1)
    nib.save(one, _t1w(tree))
    assert main(["index", str(tree), str(tmp_path / "out")]) == 0
    notes = json.loads((tmp_path / "out/notes.json").read_text())
    assert notes == {"sub-00002": [f"{_t1w(tree).name}: sform and qform disagree about left and "
                                   "right; the sform is used"]}  # fmt: skip
    assert "left and right" in caplog.text


# --- what only voxels show: prepare reports it and goes on ---------------------------------------


def _spoil(path, change):
    volume = read_volume(path)
    one = nib.Nifti1Image(change(volume.array.copy()), volume.grid.matrix)
    nib.save(one, path)


def _with(value):
    def change(array):
        array[3, 4, 5] = value
        return array

    return change


BAD_VOXELS = {
    "sub-00001": ("T1w", _with(np.nan), "1 voxels that are NaN or infinite"),
    "sub-00002": ("FLAIR", _with(np.inf), "1 voxels that are NaN or infinite"),
    "sub-00003": ("T1w", lambda a: a * 0, "nothing but zeros"),
    "sub-00004": ("FLAIR", lambda a: a * 0 + 7, "one value everywhere (7)"),
    "sub-00005": ("FLAIR_roi", None, "of which 0% lies in the brain"),
}


@pytest.fixture(scope="module")
def no_template():
    """Tiny heads are no human brains: save the seconds of placing them in MNI space."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(person, "place", lambda *_: Placement(np.eye(4), False, 0.0))
        yield


@pytest.fixture(scope="module")
def broken(tmp_path_factory, no_template):
    """Five patients, each with another fault, and one sound control."""
    top = tmp_path_factory.mktemp("broken")
    bids = bids_folder(top / "bids", patients=5, controls=1)
    for name, (suffix, change, _) in BAD_VOXELS.items():
        (path,) = (bids / name / "anat").glob(f"*_{suffix}.nii.gz")
        if change is not None:
            _spoil(path, change)
        else:  # a mask of someone else: the right grid, but in the air beside this head
            array = np.zeros(read_mask(path).array.shape, bool)
            array[:2, :2, :2] = True
            write_volume(path, Volume(array, read_mask(path).grid))
    assert main(["index", str(bids), str(top / "cohort")]) == 0
    return top


@pytest.fixture(scope="module")
def survived(broken):
    words = ["prepare", str(broken / "cohort"), str(broken / "out"), "--spacing", "6"]
    assert main(words) == 0
    return broken / "out"


def test_the_others_are_prepared(survived):
    cohort = Cohort.read(survived)
    assert [s.id for s in cohort.subjects] == ["sub-00006"]
    assert cohort.check() == []
    assert sorted(p.name for p in survived.iterdir() if p.is_dir()) == ["sub-00006"]
    assert not [p for p in survived.rglob("*") if "scratch" in p.name or "partial" in p.name]


@pytest.mark.parametrize("name", BAD_VOXELS)
def test_each_failure_is_listed_with_its_reason(survived, name):
    failures = {f["subject"]: f for f in json.loads((survived / "failures.json").read_text())}
    assert list(failures) == list(BAD_VOXELS)
    suffix, change, said = BAD_VOXELS[name]
    assert said in failures[name]["found"]
    if change is not None:
        assert f"{suffix}.nii.gz" in failures[name]["found"]
    assert failures[name]["remedy"]
    page = (survived / "quality.html").read_text()
    row = next(line for line in page.splitlines() if f"<th>{name}</th>" in line)
    assert said in row


def test_the_same_again_is_whole_and_says_again_who_is_missing(survived, capsys, caplog):
    before = (survived / "provenance.json").read_bytes()
    words = ["prepare", str(survived.parent / "cohort"), str(survived), "--spacing", "6"]
    assert main(words) == 0
    assert (survived / "provenance.json").read_bytes() == before
    assert "5 of 6 subjects could not be prepared" in caplog.text
    assert "nothing but zeros" in capsys.readouterr().err
    assert main([*words, "--strict", "true"]) == 1


def test_strict_fails_after_the_others_and_leaves_no_whole_folder(broken, survived, capsys):
    words = ["prepare", str(broken / "cohort"), str(broken / "strict"), "--spacing", "6"]
    assert main([*words, "--strict", "true"]) == 1
    shown = capsys.readouterr().err
    assert "5 of 6 subjects that cannot be prepared" in shown
    for name in BAD_VOXELS:
        assert name in shown
    assert not (broken / "strict").exists()
    assert (broken / "strict.partial" / "sub-00006").is_dir()


def test_when_all_fail_nothing_is_left(broken, tmp_path, capsys):
    cohort = Cohort.read(broken / "cohort")
    cohort.select(lambda s: s.id in ("sub-00001", "sub-00003")).write(tmp_path / "two")
    assert main(["prepare", str(tmp_path / "two"), str(tmp_path / "out"), "--spacing", "6"]) == 1
    assert "2 of 2 subjects" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["two"]


def test_a_killed_worker_is_that_subjects_failure(broken, tmp_path, monkeypatch):
    cohort = Cohort.read(broken / "cohort").select(lambda s: s.id in ("sub-00005", "sub-00006"))
    cohort.write(tmp_path / "two")
    real = verb.try_items

    def one_is_killed(work, items, what, workers):
        assert items[0].job.subject == "sub-00005"
        return [WorkerKilled(), *real(work, items[1:], what, workers)]

    monkeypatch.setattr(verb, "try_items", one_is_killed)
    out = prepare(str(tmp_path / "two"), str(tmp_path / "out"), spacing=6.0)
    (failure,) = json.loads((out / "failures.json").read_text())
    assert failure["subject"] == "sub-00005"
    assert "killed" in failure["found"]
    assert "--workers" in failure["remedy"]


def test_a_fault_in_our_own_code_is_a_failure_too(tmp_path, broken, monkeypatch):
    cohort = Cohort.read(broken / "cohort").select(lambda s: s.id == "sub-00006")
    cohort.write(tmp_path / "one")

    def fault(*_):
        raise TypeError("of ours")

    monkeypatch.setattr(person, "_prepare", fault)
    with pytest.raises(CohortError, match=r"sub-00006.*TypeError: of ours"):
        prepare(str(tmp_path / "one"), str(tmp_path / "out"), spacing=6.0)
    assert [p.name for p in tmp_path.iterdir()] == ["one"]


def test_few_free_gigabytes_lower_the_number_of_processes(tmp_path, broken, monkeypatch, caplog):
    seen = []

    def count(work, items, what, workers):
        seen.append(workers)
        return [CohortError(item.job.subject, "a", "b", "c") for item in items]

    monkeypatch.setattr(verb, "try_items", count)
    for free, number in ((4.0, 3), (1.2, 1), (100.0, 4)):
        monkeypatch.setattr(verb, "free_gib", lambda free=free: free)
        with pytest.raises(CohortError):
            prepare(str(broken / "cohort"), str(tmp_path / "out"), spacing=6.0, workers=4)
        assert seen.pop() == number
    assert "3 of 4 processes" in caplog.text


def test_failures_take_their_names_from_any_error():
    named = Failure.of("sub-1", CohortError("sub-1 lesion", "a", "b", "c"))
    assert (named.subject, named.found) == ("sub-1", "lesion: a")
    assert Failure.of("sub-1", CohortError("sub-1", "a", "b", "c")).found == "a"
    assert Failure.of("sub-1", OSError("disk full")).found == "OSError: disk full"
