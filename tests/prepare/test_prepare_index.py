"""index on good folders, on the real metadata of ds004199, and on every listed bad input."""

import gzip
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from phantom import tiny_grid

sys.path.insert(0, str(Path(__file__).parent))
from bids_trees import (
    FLAIR,
    T1W,
    add_subject,
    control_row,
    ds004199_tree,
    image,
    mask,
    patient_row,
    small_tree,
    write_rows,
)

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.subject import Group, Origin, Split
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.prepare import faults
from fcdsynth.prepare.audit import audit
from fcdsynth.prepare.index import index
from fcdsynth.prepare.integrity import check_whole


@pytest.fixture(autouse=True)
def wide_table(monkeypatch):
    monkeypatch.setattr(faults, "_WIDTH", 600)  # no phrase is broken between lines


@pytest.fixture
def tree(tmp_path):
    return small_tree(tmp_path / "bids")


def out_of(tree):
    return tree.parent / "out"


def test_a_good_folder_becomes_a_cohort(tree, caplog):
    out = index(str(tree), str(out_of(tree)))
    cohort = Cohort.read(out)
    assert [s.id for s in cohort.subjects] == [f"sub-0000{n}" for n in (1, 2, 3, 4)]
    assert cohort.check() == []
    first, last = cohort.subjects[0], cohort.subjects[3]
    assert (first.group, last.group) == (Group.PATIENT, Group.CONTROL)
    assert first.origin is Origin.REAL
    assert first.split is Split.TRAIN
    assert (first.sex, first.age_code, first.subtype, first.side, first.lobe) == (
        "M", "7", "IIb", "L", "FL")  # fmt: skip
    assert (first.mri_negative, last.mri_negative) == ("no", "")
    assert (first.site, first.scanner) == ("Bonn", "1")
    assert (last.subtype, last.side, last.lobe) == ("", "", "")
    assert cohort.path(first, "lesion").name == "sub-00001_acq-T2sel_FLAIR_roi.nii.gz"
    assert not last.has("lesion")
    audits = {a["name"]: a for a in json.loads((out / "confound.json").read_text())["alone"]}
    assert audits["scanner"]["table"] == {
        "0": {"patients": 1, "controls": 1}, "1": {"patients": 1, "controls": 1}
    }  # fmt: skip
    assert not audits["scanner"]["confounded"]
    assert caplog.text == ""


def test_the_same_again_is_the_same_and_a_changed_folder_is_not(tree):
    out = index(str(tree), str(out_of(tree)))
    before = (out / "cohort.csv").read_bytes()
    assert index(str(tree), str(out_of(tree))) == out
    assert (out / "cohort.csv").read_bytes() == before
    add_subject(tree, "sub-00009")
    with pytest.raises(Exception, match="other inputs"):
        index(str(tree), str(out_of(tree)))


def test_the_quirks_of_ds004199(shared_data, tmp_path, caplog):
    names = ["sub-00001", "sub-00018", "sub-00048", "sub-00053", "sub-00063", "sub-00073",
             "sub-00002", "sub-00003", "sub-00005"]  # fmt: skip
    tree = ds004199_tree(tmp_path / "ds", shared_data / "ds004199", names)
    out = index(str(tree), str(tmp_path / "out"))
    cohort = Cohort.read(out)
    assert {s.id for s in cohort.subjects} == set(names)
    odd = cohort["sub-00048"]
    assert cohort.path(odd, "lesion").name == "sub-00048_acq-32ch10_FLAIR_roi.nii.gz"
    assert cohort.path(odd, "flair").name == "sub-00048_acq-T2sel_FLAIR.nii.gz"
    assert odd.split is Split.TEST
    assert odd.age_code == "7"  # a code, not years
    assert odd.scanner == "35083"
    assert odd.site == "Life u. Brain GmbH"
    assert cohort["sub-00063"].lobe == "TL,PL"
    assert cohort["sub-00063"].subtype == ""
    assert cohort["sub-00018"].scanner == "20619"
    notes = json.loads((out / "notes.json").read_text())
    assert "named after a scan that is not there" in notes["sub-00048"][0]
    assert "two-dimensional" in notes["sub-00018"][0]
    assert {"sub-00018", "sub-00048", "sub-00053"} == set(notes)
    assert "sub-00048" in caplog.text


def test_the_whole_metadata_fires_the_confound_audit(shared_data):
    """All 170 subjects: controls only on 35083, 43 of 85 patients on 20619 (known counts)."""
    from fcdsynth.prepare.participants import read_participants

    root = shared_data / "ds004199"
    people, wrong = read_participants(root)
    assert wrong == []
    assert len(people) == 170
    scanners = []
    for person in people:
        (sidecar,) = (root / person.id / "anat").glob("*_T1w.json")
        scanners.append(json.loads(sidecar.read_text())["DeviceSerialNumber"])
    result = audit("scanner", scanners, [p.group for p in people])
    assert result.table["20619"] == {"patients": 43, "controls": 0}
    assert result.table["35083"] == {"patients": 42, "controls": 85}
    assert result.confounded
    assert result.patients_apart == pytest.approx(43 / 85)
    assert result.youden == pytest.approx(43 / 85)
    assert result.p_value < 1e-10
    assert sum(p.split is Split.TEST for p in people) == 28
    assert sum(p.mri_negative == "yes" for p in people) == 5


def test_the_audit_is_silent_without_a_confound_and_on_unknown_scanners():
    groups = [Group.PATIENT, Group.CONTROL] * 10
    assert not audit("scanner", ["a", "a", "b", "b"] * 5, groups).confounded
    assert not audit("scanner", [""] * 20, groups).confounded
    assert audit("scanner", ["a", "b"] * 10, groups).confounded
    assert audit("scanner", ["a", "b"], groups[:2]).confounded  # perfect, however few


def test_old_releases(tree):
    """No byte-order mark, a blank in a column's name, no split column, ids without sub-."""
    header = ("participant_id", "group", "mri _diagnosis", "age", "lobe")
    rows = [
        ("00001", "patient", "none", "33", "TL,OL"),
        ("sub-00002", "FCD", "n/a", "n/a", "PL"),
        ("sub-00003", "control", "n/a", "21", "n/a"),
        ("sub-00004", "hc", "", "", ""),
    ]
    write_rows(tree, rows, header, start="")
    cohort = Cohort.read(index(str(tree), str(out_of(tree))))
    assert all(s.split is Split.NONE for s in cohort.subjects)
    assert [s.mri_negative for s in cohort.subjects] == ["yes", "", "", ""]
    assert [s.age_code for s in cohort.subjects] == ["33", "", "21", ""]
    assert cohort["sub-00001"].lobe == "TL,OL"


def test_phantoms_truth_brain_masks_and_sessions(tree):
    made_by = {"Name": "x", "GeneratedBy": [{"Name": "fcdsynth phantom"}]}
    (tree / "dataset_description.json").write_text(json.dumps(made_by))
    truth = tree / "derivatives/truth/sub-00001/anat"
    write_volume(truth / "sub-00001_space-T1w_label-lesion_mask.nii.gz", mask(T1W))
    brains = tree / "derivatives/mine/sub-00002/anat"
    write_volume(brains / "sub-00002_acq-iso08_desc-brain_mask.nii.gz", mask(T1W, 1, 8))
    other_space = brains / "sub-00002_space-MNI_desc-brain_mask.nii.gz"
    write_volume(other_space, mask(FLAIR, 1, 8))
    session = tree / "sub-00003/ses-01"
    session.mkdir()
    shutil.move(tree / "sub-00003/anat", session / "anat")
    cohort = Cohort.read(index(str(tree), str(out_of(tree))))
    assert all(s.origin is Origin.PHANTOM for s in cohort.subjects)
    assert cohort.path(cohort["sub-00001"], "truth").parent == truth.resolve()
    assert "acq-iso08_desc-brain" in cohort.path(cohort["sub-00002"], "brain").name
    assert "ses-01" in str(cohort.path(cohort["sub-00003"], "t1w"))


def test_a_mask_on_the_t1w_grid_is_taken_and_noted(tree):
    write_volume(tree / "sub-00001/anat/sub-00001_acq-T2sel_FLAIR_roi.nii.gz", mask(T1W))
    out = index(str(tree), str(out_of(tree)))
    assert "T1w's grid" in json.loads((out / "notes.json").read_text())["sub-00001"][0]


def test_a_missing_flair_can_be_declared(tree):
    (tree / "sub-00003/anat/sub-00003_acq-T2sel_FLAIR.nii.gz").unlink()
    with pytest.raises(CohortError, match="1 fault"):
        index(str(tree), str(out_of(tree)))
    cohort = Cohort.read(index(str(tree), str(out_of(tree)), flair="optional"))
    assert not cohort["sub-00003"].has("flair")


def truncate(path, share=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def anat(tree, number):
    return tree / f"sub-0000{number}/anat/sub-0000{number}"


def extra_row(tree, row):
    with (tree / "participants.tsv").open("ab") as stream:
        stream.write("\t".join(row).encode() + b"\r\n")


def no_rows_of(tree, name):
    path = tree / "participants.tsv"
    lines = path.read_bytes().split(b"\r\n")
    path.write_bytes(b"\r\n".join(row for row in lines if not row.startswith(name.encode())))


def roi(tree):
    return Path(f"{anat(tree, 1)}_acq-T2sel_FLAIR_roi.nii.gz")


BAD = {
    "missing FLAIR": (
        lambda t: Path(f"{anat(t, 3)}_acq-T2sel_FLAIR.nii.gz").unlink(), "no FLAIR image"),
    "missing T1w": (lambda t: Path(f"{anat(t, 3)}_acq-iso08_T1w.nii.gz").unlink(), "no T1w image"),
    "mask on another grid": (
        lambda t: write_volume(roi(t), mask(tiny_grid(size=7))), "on another grid"),
    "control with a mask": (
        lambda t: write_volume(Path(f"{anat(t, 4)}_acq-T2sel_FLAIR_roi.nii.gz"), mask(FLAIR)),
        "a control with a lesion mask"),
    "patient without a mask": (lambda t: roi(t).unlink(), "a patient without a lesion mask"),
    "duplicate id": (lambda t: extra_row(t, control_row("sub-00004")), "2 rows with this id"),
    "truncated image": (
        lambda t: truncate(Path(f"{anat(t, 2)}_acq-iso08_T1w.nii.gz")), "cut short"),
    "not an image": (
        lambda t: Path(f"{anat(t, 2)}_acq-iso08_T1w.nii.gz").write_bytes(b"no"), "T1w.nii.gz:"),
    "dead link": (
        lambda t: (roi(t).unlink(), roi(t).symlink_to("../annex/gone")), "a link whose content"),
    "row without a folder": (lambda t: extra_row(t, patient_row("sub-00077")),
                             "without a folder"),
    "folder without a row": (lambda t: no_rows_of(t, "sub-00004"), "a folder without a row"),
    "empty mask": (
        lambda t: write_volume(roi(t), Volume(np.zeros(FLAIR.shape, bool), FLAIR)), "is empty"),
    "full mask": (
        lambda t: write_volume(roi(t), Volume(np.ones(FLAIR.shape, bool), FLAIR)),
        "covers the whole"),
    "image for a mask": (lambda t: write_volume(roi(t), image(FLAIR)), "as an image would"),
    "truncated mask": (lambda t: truncate(roi(t)), "FLAIR_roi.nii.gz"),
    "two T1w": (
        lambda t: write_volume(Path(f"{anat(t, 1)}_acq-sag111_T1w.nii.gz"), image(T1W)),
        "2 T1w images"),
    "unknown group": (
        lambda t: extra_row(t, ("sub-00004", "alien", *control_row("x")[2:])), "group 'alien'"),
    "unknown split": (
        lambda t: extra_row(t, control_row("sub-00004", split="maybe")), "split 'maybe'"),
    "four dimensions": (
        lambda t: _write_4d(Path(f"{anat(t, 2)}_acq-iso08_T1w.nii.gz")), "three dimensions"),
}  # fmt: skip


def _write_4d(path):
    import nibabel as nib

    nib.save(nib.Nifti1Image(np.zeros((5, 5, 5, 3), np.float32), np.eye(4)), path)


@pytest.mark.parametrize("what", BAD)
def test_bad_inputs_are_named_and_nothing_is_written(tree, capsys, what):
    spoil, said = BAD[what]
    spoil(tree)
    assert main(["index", str(tree), str(out_of(tree))]) == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert said in shown
    assert "nothing was written" in shown
    assert [p.name for p in tree.parent.iterdir()] == ["bids"]


def test_two_t1w_name_both_files(tree, capsys):
    write_volume(Path(f"{anat(tree, 1)}_acq-sag111_T1w.nii.gz"), image(T1W))
    with pytest.raises(CohortError):
        index(str(tree), str(out_of(tree)))
    shown = capsys.readouterr().err
    assert "acq-iso08_T1w" in shown
    assert "acq-sag111_T1w" in shown


def test_all_faults_are_found_in_one_go(tree, capsys):
    for what in ("missing FLAIR", "control with a mask", "empty mask", "row without a folder"):
        BAD[what][0](tree)
    with pytest.raises(CohortError, match="4 faults"):
        index(str(tree), str(out_of(tree)))
    shown = " ".join(capsys.readouterr().err.split())
    for what in ("missing FLAIR", "control with a mask", "empty mask", "row without a folder"):
        assert BAD[what][1] in shown


def test_no_folder_no_table_no_group_column(tmp_path, tree):
    with pytest.raises(CohortError, match="no folder there"):
        index(str(tmp_path / "absent"), str(tmp_path / "out"))
    write_rows(tree, [], header=("participant_id", "sex"))
    with pytest.raises(CohortError, match="no column group"):
        index(str(tree), str(tmp_path / "out"))
    (tree / "participants.tsv").unlink()
    with pytest.raises(CohortError, match=r"no participants\.tsv"):
        index(str(tree), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_length_is_told_without_trusting_the_gzip_trailer(tmp_path):
    """A file of two gzip members ends with the length of the second; it is whole all the same."""
    path = write_volume(tmp_path / "a.nii.gz", image(T1W))
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content[:900]) + gzip.compress(content[900:]))
    assert check_whole(path, "sub-1").close_to(T1W)
    path.write_bytes(gzip.compress(content[:-40]))
    with pytest.raises(CohortError, match="cut short"):
        check_whole(path, "sub-1")
    plain = tmp_path / "b.nii"
    plain.write_bytes(content)
    assert check_whole(plain, "sub-1").close_to(T1W)
    plain.write_bytes(content[:-1])
    with pytest.raises(CohortError, match="cut short"):
        check_whole(plain, "sub-1")
