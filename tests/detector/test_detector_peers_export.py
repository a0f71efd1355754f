"""export nnunet: nnU-Net's layout, our folds in it, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fcdsynth import cli
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, GeometryError, LeakageError, RunError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject
from fcdsynth.core.volume import Volume, read_labels, read_volume, write_volume
from fcdsynth.detector.peers.cases import Cases, case_id, name_cases
from fcdsynth.detector.peers.export import nnunet
from fcdsynth.detector.peers.folds import Folds

# No two axes alike, so that a wrong order shows.
SHAPE = (16, 18, 20)
AFFINE = np.array([[2.0, 0, 0, -11], [0, 3.0, 0, 7], [0, 0, 4.0, -23], [0, 0, 0, 1]])
GRID = Grid.of(SHAPE, AFFINE)
SPLITS = {"pat-1": "train", "con 1": "train", "pat-2": "val", "con-2": "val", "pat-3": "test",
          "con-3": "test", "pat-4": "none"}  # fmt: skip


def box(number):
    """A lesion of 2 x 3 x 4 voxels, elsewhere in every patient."""
    mask = np.zeros(SHAPE, bool)
    mask[number : number + 2, 8:11, 12:16] = True
    return mask


def write_cohort(folder, splits=None):
    """Noise for images, a box for a lesion; native grids are the prepared one."""
    subjects = []
    for number, (name, split) in enumerate((splits or SPLITS).items()):
        rng = np.random.default_rng(number)
        files = {}
        for key in ("t1w", "flair"):
            image = rng.random(SHAPE).astype(np.float32)
            files[key] = write_volume(folder / f"{name}_{key}.nii.gz", Volume(image, GRID)).name
        if name.startswith("pat"):
            mask = Volume(box(number), GRID)
            files["lesion"] = write_volume(folder / f"{name}_lesion.nii.gz", mask).name
        files["t1w_native"] = files["t1w"]
        group = Group.PATIENT if name.startswith("pat") else Group.CONTROL
        subjects.append(Subject(name, group, Origin.REAL, split=Split(split), files=files))
    cohort = Cohort(folder, tuple(subjects))
    cohort.write()
    return cohort


@pytest.fixture
def cohort(tmp_path):
    return write_cohort(tmp_path / "cohort")


def changed(cohort, name, **fields):
    """The cohort's table with one row changed, written."""
    rows = [replace(s, **fields) if s.id == name else s for s in cohort.subjects]
    replace(cohort, subjects=tuple(rows)).write()


def files(cohort, name, **keys):
    changed(cohort, name, files={**cohort[name].files, **keys})


def test_the_layout_is_that_of_nnunet(cohort, tmp_path):
    out = nnunet(str(cohort.folder), str(tmp_path / "out"))
    raw = out / "nnUNet_raw" / "Dataset601_FCD"
    assert sorted(p.name for p in (raw / "imagesTr").iterdir()) == [
        f"{case}_000{n}.nii.gz" for case in ("con-2", "con_1", "pat-1", "pat-2") for n in (0, 1)
    ]
    assert sorted(p.name for p in (raw / "labelsTr").iterdir()) == [
        "con-2.nii.gz", "con_1.nii.gz", "pat-1.nii.gz", "pat-2.nii.gz",
    ]  # fmt: skip
    assert sorted(p.name for p in (raw / "imagesTs").iterdir()) == [
        f"{case}_000{n}.nii.gz" for case in ("con-3", "pat-3") for n in (0, 1)
    ]
    assert not (raw / "labelsTs").exists()  # what is held out stays with evaluate
    assert json.loads((raw / "dataset.json").read_text()) == {
        "channel_names": {"0": "T1w", "1": "FLAIR"},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": 4,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
    }
    splits = [{"train": ["pat-1", "con_1"], "val": ["pat-2", "con-2"]}]
    preprocessed = out / "nnUNet_preprocessed" / "Dataset601_FCD"
    for place in (raw, preprocessed):
        assert json.loads((place / "splits_final.json").read_text()) == splits
    assert {p.name for p in out.iterdir()} == {
        "nnUNet_raw", "nnUNet_preprocessed", "cases.json", "README.md", "config.yaml",
        "provenance.json",
    }  # fmt: skip


def test_volumes_and_masks_are_those_of_the_cohort(cohort, tmp_path):
    raw = nnunet(str(cohort.folder), str(tmp_path / "out")) / "nnUNet_raw" / "Dataset601_FCD"
    for number, key in enumerate(("t1w", "flair")):
        for folder, name in (("imagesTr", "pat-1"), ("imagesTs", "pat-3")):
            written = read_volume(raw / folder / f"{name}_{number:04d}.nii.gz")
            given = read_volume(cohort.path(cohort[name], key))
            assert np.array_equal(written.array, given.array)
            assert written.grid == given.grid
    label = read_labels(raw / "labelsTr" / "pat-2.nii.gz")
    assert np.array_equal(label.array, box(2))
    assert label.grid.close_to(GRID)
    assert not read_labels(raw / "labelsTr" / "con_1.nii.gz").array.any()


def test_the_record_knows_subjects_and_folds(cohort, tmp_path):
    out = nnunet(str(cohort.folder), str(tmp_path / "out"), name="X", dataset=7)
    cases = Cases.read(out)
    assert cases == Cases.read(out / "nnUNet_raw" / "Dataset007_X")
    assert cases.subjects["con_1"] == "con 1"
    assert cases.test == ("pat-3", "con-3")
    assert cases.trained_on() == ("con 1", "pat-1")
    with pytest.raises(SettingsError, match=r"fold: found 1; expected 0 to 0"):
        cases.trained_on(1)
    with pytest.raises(RunError, match=r"no cases\.json"):
        Cases.read(tmp_path / "elsewhere")


def test_the_readme_holds_the_commands(cohort, tmp_path):
    text = (nnunet(str(cohort.folder), str(tmp_path / "out")) / "README.md").read_text()
    for command in (
        'export nnUNet_raw="$PWD/nnUNet_raw"',
        "nnUNetv2_plan_and_preprocess -d 601 -c 3d_fullres --verify_dataset_integrity",
        "nnUNetv2_train 601 3d_fullres 0 --npz",
        "nnUNetv2_predict -i nnUNet_raw/Dataset601_FCD/imagesTs -o predictions -d 601 "
        "-c 3d_fullres -f 0 --save_probabilities",
        "fcdsynth import nnunet predictions COHORT DETECTIONS --raw .",
    ):
        assert f"\n{command}\n" in text
    assert str(tmp_path) not in text
    assert "4 subjects to learn from (2 patients), 2 test subjects" in text


def fold_cohorts(folder, cohort, *splits, inside=""):
    for number, changes in enumerate(splits):
        rows = [replace(s, split=changes.get(s.id, s.split)) for s in cohort.subjects]
        replace(cohort, subjects=tuple(rows)).write(folder / f"fold-{number}" / inside)
    return folder


SWAP = {"pat-1": Split.VAL, "con 1": Split.VAL, "pat-2": Split.TRAIN, "con-2": Split.TRAIN}


@pytest.mark.parametrize("inside", ["", "training"])
def test_folds_become_entries_of_one_file(cohort, tmp_path, inside):
    folder = fold_cohorts(tmp_path / "arm", cohort, {}, SWAP, inside=inside)
    out = nnunet(str(folder), str(tmp_path / "out"))
    splits = out / "nnUNet_preprocessed" / "Dataset601_FCD" / "splits_final.json"
    assert json.loads(splits.read_text()) == [
        {"train": ["pat-1", "con_1"], "val": ["pat-2", "con-2"]},
        {"train": ["pat-2", "con-2"], "val": ["pat-1", "con_1"]},
    ]
    cases = Cases.read(out)
    assert cases.trained_on() == ("con 1", "con-2", "pat-1", "pat-2")
    assert cases.trained_on(1) == ("con-2", "pat-2")
    text = (out / "README.md").read_text()
    assert "\nnnUNetv2_train 601 3d_fullres 1 --npz\n" in text
    assert "-f 0 1 --save_probabilities" in text


def test_a_subject_of_one_fold_alone_is_exported(cohort, tmp_path):
    leave = {"pat-4": Split.TRAIN}
    out = nnunet(str(fold_cohorts(tmp_path / "arm", cohort, {}, leave)), str(tmp_path / "out"))
    raw = out / "nnUNet_raw" / "Dataset601_FCD"
    assert (raw / "labelsTr" / "pat-4.nii.gz").is_file()
    assert json.loads((raw / "dataset.json").read_text())["numTraining"] == 5
    assert Cases.read(out).splits[0]["train"] == ["pat-1", "con_1"]


def test_folds_that_do_not_fit_are_refused(cohort, tmp_path):
    folder = fold_cohorts(tmp_path / "a", cohort, {}, {})
    fewer = cohort.select(lambda s: s.id != "pat-4")
    fewer.write(folder / "fold-1")
    with pytest.raises(CohortError, match=r"pat-4: found 1 subjects that .*fold-1"):
        Folds.read(folder)
    (folder / "fold-1").rename(folder / "fold-2")
    with pytest.raises(CohortError, match="found folds 0, 2; expected fold-0 to fold-1"):
        Folds.read(folder)
    folder = fold_cohorts(tmp_path / "b", cohort, {}, {"pat-3": Split.VAL})
    with pytest.raises(LeakageError, match="pat-3: found split test in one fold"):
        Folds.read(folder)
    folder = fold_cohorts(tmp_path / "c", cohort, {}, {"pat-3": Split.TRAIN})
    with pytest.raises(LeakageError, match="pat-3: found a held-out subject in training"):
        Folds.read(folder)
    folder = fold_cohorts(tmp_path / "d", cohort, {}, {})
    other = write_cohort(tmp_path / "other")
    other.write(folder / "fold-1")
    with pytest.raises(CohortError, match=r"pat-1 flair: found one file in .* and another in"):
        Folds.read(folder)


def refuse(error, text, cohort, tmp_path, **settings):
    with pytest.raises(error, match=text):
        nnunet(str(cohort.folder), str(tmp_path / "out"), **settings)
    assert {p.name for p in tmp_path.iterdir()} == {"cohort"}


@pytest.mark.parametrize("name", ["pat-1", "con-3"])
def test_a_missing_channel_is_refused(cohort, tmp_path, name):
    files(cohort, name, flair="")
    refuse(CohortError, f"{name}: found no flair file", cohort, tmp_path)


def test_two_grids_in_one_subject_are_refused(cohort, tmp_path):
    moved = AFFINE.copy()
    moved[0, 3] += 0.5
    other = Volume(np.zeros(SHAPE, np.float32), Grid.of(SHAPE, moved))
    files(cohort, "con-2", flair=write_volume(cohort.folder / "moved.nii.gz", other).name)
    refuse(GeometryError, "con-2 flair: found 16 x 18 x 20", cohort, tmp_path)


def test_a_patient_without_a_mask_is_refused_in_training_alone(cohort, tmp_path):
    files(cohort, "pat-3", lesion="")
    nnunet(str(cohort.folder), str(tmp_path / "fine"))
    files(cohort, "pat-2", lesion="")
    with pytest.raises(CohortError, match="pat-2: found no lesion file"):
        nnunet(str(cohort.folder), str(tmp_path / "out"))


def test_masks_must_fit_the_group(cohort, tmp_path):
    files(cohort, "con-2", lesion=cohort["pat-1"].files["lesion"])
    with pytest.raises(CohortError, match="con-2: found a control whose lesion mask has 24 voxels"):
        nnunet(str(cohort.folder), str(tmp_path / "out"))
    empty = write_volume(cohort.folder / "no.nii.gz", Volume(np.zeros(SHAPE, bool), GRID)).name
    files(cohort, "pat-2", lesion=empty)
    with pytest.raises(CohortError, match="pat-2: found a patient whose lesion mask has 0 voxels"):
        nnunet(str(cohort.folder), str(tmp_path / "out"))


def test_a_child_of_a_held_out_subject_is_refused(cohort, tmp_path):
    changed(cohort, "pat-1", origin=Origin.SYNTHETIC, parents=(Parent("con-3", Role.HOST),))
    refuse(LeakageError, "pat-1: found a training subject whose host is con-3", cohort, tmp_path)


def test_parents_of_training_subjects_are_remembered(cohort, tmp_path):
    changed(cohort, "pat-1", origin=Origin.SYNTHETIC, parents=(Parent("pat-4", Role.MASK),))
    out = nnunet(str(cohort.folder), str(tmp_path / "out"))
    assert Cases.read(out).trained_on() == ("con 1", "pat-1", "pat-4")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"train": "none"}, "found 0 training subjects, none of them a patient"),
        ({"val": "none"}, "found no subject with split val"),
    ],
)
def test_splits_must_be_filled(tmp_path, change, text):
    splits = {name: change.get(split, split) for name, split in SPLITS.items()}
    refuse(CohortError, text, write_cohort(tmp_path / "cohort", splits), tmp_path)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"dataset": 0}, "dataset: found 0; expected 1 to 999"),
        ({"name": "F CD"}, "name: found 'F CD'"),
        ({"inputs": ()}, "inputs: found "),
        ({"inputs": ("t1w", "t1w")}, "inputs: found "),
        ({"inputs": ("t1w", "truth")}, "inputs: found "),
        ({"reference": "truth"}, "reference: found truth; expected lesion or drawn"),
    ],
)
def test_bad_settings_are_refused(cohort, tmp_path, settings, text):
    refuse(SettingsError, text, cohort, tmp_path, **settings)


def test_two_ids_of_one_case_are_refused(cohort, tmp_path):
    assert case_id("a.b/c é") == "a_b_c__"
    assert case_id("x_seg") == "x_seg_"
    twice = [replace(cohort["con 1"], id=name) for name in ("a b", "a.b")]
    with pytest.raises(CohortError, match=r"a\.b: found the case id a_b, which a b has too"):
        name_cases(twice)


def test_a_stopped_export_goes_on_and_repeats_to_the_byte(cohort, tmp_path, monkeypatch):
    import fcdsynth.detector.peers.export as room

    whole, calls = room.write_volume, []

    def stops(path, volume):
        calls.append(path.name)
        if len(calls) == 5:
            raise RuntimeError("the power went")
        return whole(path, volume)

    monkeypatch.setattr(room, "write_volume", stops)
    with pytest.raises(RuntimeError):
        nnunet(str(cohort.folder), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    out = nnunet(str(cohort.folder), str(tmp_path / "out"))
    assert len(calls) == 5 + 4 * 3 + 2 * 2 - 4  # nothing is written twice but what was stopped
    assert nnunet(str(cohort.folder), str(tmp_path / "out")) == out
    again = nnunet(str(cohort.folder), str(tmp_path / "again"))
    for path in out.rglob("*"):
        if path.is_file() and path.name != "provenance.json":
            assert path.read_bytes() == (again / path.relative_to(out)).read_bytes()


def test_one_channel_through_the_door(cohort, tmp_path, monkeypatch, capsys):
    verb = ("fcdsynth.detector.peers.export", "write nnU-Net's raw data set")
    monkeypatch.setitem(cli.VERBS, "export nnunet", verb)
    words = ["export", "nnunet", str(cohort.folder), str(tmp_path / "out"), "--inputs", "[flair]"]
    assert cli.main(words) == 0
    raw = tmp_path / "out" / "nnUNet_raw" / "Dataset601_FCD"
    assert json.loads((raw / "dataset.json").read_text())["channel_names"] == {"0": "FLAIR"}
    assert not (raw / "imagesTr" / "pat-1_0001.nii.gz").exists()
    assert cli.main([*words[:-1], "[t2w]"]) == 1
    assert "inputs: found ['t2w']" in capsys.readouterr().err
