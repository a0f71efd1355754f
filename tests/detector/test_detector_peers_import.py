"""import nnunet: from an export, through predictions made as nnU-Net makes them, to native maps."""

import json
from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from fcdsynth import cli
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.errors import CohortError, GeometryError, LeakageError, RunError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject
from fcdsynth.core.volume import Volume, read_labels, read_volume, write_volume
from fcdsynth.detector.peers import export
from fcdsynth.detector.peers.importing import nnunet
from fcdsynth.detector.peers.predictions import read_prediction

# 2 x 3 x 4 mm; shape, spacing and the lesion differ along every axis.
SHAPE = (12, 14, 16)
RAS = np.array([[2.0, 0, 0, 5], [0, 3.0, 0, -20], [0, 0, 4.0, -31], [0, 0, 0, 1]])
LAS = RAS @ np.array([[-1.0, 0, 0, 11], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
LESION = (slice(2, 5), slice(3, 5), slice(9, 13))  # 3 x 2 x 4 voxels of 24 mm3: 0.576 ml
# Native axes point to the back, up and right, voxels of 1 x 2 x 1 mm around the same place.
NATIVE = Grid.of((60, 40, 40), [[0, 0, 1.0, 0], [-1.0, 0, 0, 32], [0, 2.0, 0, -40], [0, 0, 0, 1]])
SPLITS = {"pat-1": "train", "con-1": "train", "pat 2": "val", "pat-3": "test", "con-3": "test"}


def write_cohort(folder, affine=RAS, shape=SHAPE, lesion=LESION):
    """FLAIR is 0.2, and 0.9 in the lesion, so that a prediction can be made from it."""
    grid = Grid.of(shape, affine)
    subjects = []
    for name, split in SPLITS.items():
        mask = np.zeros(shape, bool)
        mask[lesion] = name.startswith("pat")
        images = {"t1w": np.full(shape, 0.5), "flair": np.where(mask, 0.9, 0.2), "lesion": mask}
        files = {
            key: write_volume(folder / f"{name}_{key}.nii.gz", Volume(array, grid)).name
            for key, array in images.items()
            if key != "lesion" or mask.any()
        }
        native = folder / f"{name}_native.nii.gz"
        files["t1w_native"] = write_volume(native, Volume(np.zeros(NATIVE.shape), NATIVE)).name
        files["transforms"] = f"{name}.json"
        shift = [[1, 0, 0, 10], [0, 1, 0, 20], [0, 0, 1, 30], [0, 0, 0, 1]]
        (folder / f"{name}.json").write_text(json.dumps({"t1w_to_mni": shift}))
        group = Group.PATIENT if mask.any() else Group.CONTROL
        subjects.append(Subject(name, group, Origin.REAL, split=Split(split), files=files))
    cohort = Cohort(folder, tuple(subjects))
    cohort.write()
    return cohort


def predict(raw, out, images="imagesTs", turned=False, probabilities=True):
    """What nnUNetv2_predict leaves, from the exported FLAIR alone, arrays (class, z, y, x)."""
    out.mkdir()
    for path in sorted((raw / "nnUNet_raw" / "Dataset601_FCD" / images).glob("*_0001.nii.gz")):
        image = sitk.ReadImage(str(path))
        seen = sitk.DICOMOrient(image, "RAS") if turned else image
        p = sitk.GetArrayFromImage(seen).astype(np.float32)
        label = sitk.GetImageFromArray((p > 0.5).astype(np.uint8))
        label.CopyInformation(seen)
        if turned:
            code = sitk.DICOMOrientImageFilter_GetOrientationFromDirectionCosines
            label = sitk.DICOMOrient(label, code(image.GetDirection()))
        case = path.name.removesuffix("_0001.nii.gz")
        sitk.WriteImage(label, str(out / f"{case}.nii.gz"))
        if probabilities:
            np.savez_compressed(out / f"{case}.npz", probabilities=np.stack([1 - p, p]))
    return out


def round_trip(folder, affine=RAS, **more):
    cohort = write_cohort(folder / "cohort", affine)
    raw = export.nnunet(str(cohort.folder), str(folder / "raw"))
    return cohort, raw, predict(raw, folder / "predictions", **more)


@pytest.mark.parametrize("affine", [RAS, LAS], ids=["RAS", "LAS"])
@pytest.mark.parametrize("turned", [False, True], ids=["plain", "reorient"])
def test_a_round_trip_puts_the_lesion_where_it_was(tmp_path, affine, turned):
    cohort, raw, predictions = round_trip(tmp_path, affine, turned=turned)
    out = nnunet(str(predictions), str(cohort.folder), str(tmp_path / "out"), str(raw))
    found = Detections.read(out)
    assert found.subjects == ("pat-3", "con-3")
    assert found.of("con-3") == ()
    (cluster,) = found.of("pat-3")
    centre = Grid.of(SHAPE, affine).to_mm([3, 3.5, 10.5])  # the middle of the box
    assert np.allclose(cluster.centre_mm, centre, atol=0.35)
    assert np.allclose(cluster.centre_mni_mm, np.add(centre, [10, 20, 30]), atol=0.35)
    assert cluster.side == ("R" if centre[0] + 10 > 0 else "L")
    # The edge of probability 0.5 lies 4/7 of the way from 0.9 to 0.2 beyond the outer voxels.
    extent = [(n - 1 + 2 * 4 / 7) * mm for n, mm in zip((3, 2, 4), (2, 3, 4), strict=True)]
    assert cluster.volume_ml == pytest.approx(np.prod(extent) / 1000, rel=0.25)
    assert cluster.peak == pytest.approx(0.9, abs=0.01)
    map_ = read_volume(found.probability_path("pat-3"))
    assert map_.grid.close_to(NATIVE)
    where = tuple(np.rint(NATIVE.to_vox(centre)).astype(int))
    assert map_.array[where] == pytest.approx(0.9, abs=0.01)
    labels = read_labels(found.clusters_path("pat-3"))
    assert (labels.array == 1).sum() == cluster.size_vox
    assert np.array_equal(labels.array > 0, map_.array >= 0.5)
    # The lesion volume expected in the cluster, as a share of 2.8 ml.
    expected_ml = map_.array[labels.array == 1].sum() * map_.grid.voxel_ml
    assert cluster.score == pytest.approx(expected_ml / 2.8, rel=0.01)


def test_the_tables_say_who_trained(tmp_path):
    cohort, raw, predictions = round_trip(tmp_path)
    words = [str(predictions), str(cohort.folder)]
    found = Detections.read(nnunet(*words, str(tmp_path / "known"), str(raw), 0.6, 0.2))
    assert found.trained_on == ("con-1", "pat-1")
    point = found.operating_point
    assert (point.threshold, point.min_volume_ml, point.chosen_on) == (0.6, 0.2, ())
    assert Detections.read(nnunet(*words, str(tmp_path / "unknown"))).trained_on == ()
    record = json.loads((found.folder / "provenance.json").read_text())
    assert record["verb"] == "import nnunet"
    names = {path.rsplit("/", 1)[1] for path in record["inputs"]}
    assert {"cases.json", "cohort.csv", "pat-3.nii.gz", "pat-3.npz"} <= names


def test_a_label_map_alone_counts_as_zero_and_one(tmp_path):
    cohort, raw, predictions = round_trip(tmp_path, LAS, probabilities=False)
    out = nnunet(str(predictions), str(cohort.folder), str(tmp_path / "out"), str(raw))
    (cluster,) = Detections.read(out).of("pat-3")
    assert cluster.peak == pytest.approx(1.0)
    assert np.allclose(cluster.centre_mm, Grid.of(SHAPE, LAS).to_mm([3, 3.5, 10.5]), atol=0.35)


def test_validation_subjects_may_be_imported_fold_by_fold(tmp_path):
    cohort = write_cohort(tmp_path / "cohort")
    swap = {"pat-1": Split.VAL, "pat 2": Split.TRAIN}
    rows = [replace(s, split=swap.get(s.id, s.split)) for s in cohort.subjects]
    cohort.write(tmp_path / "folds" / "fold-0")
    replace(cohort, subjects=tuple(rows)).write(tmp_path / "folds" / "fold-1")
    raw = export.nnunet(str(tmp_path / "folds"), str(tmp_path / "raw"))
    predictions = str(predict(raw, tmp_path / "predictions", "imagesTr"))
    words = [predictions, str(cohort.folder), str(tmp_path / "out"), str(raw)]
    with pytest.raises(LeakageError, match="pat 2: found pat 2 in the training of the model"):
        nnunet(*words, split="val")
    found = Detections.read(nnunet(*words, split="val", fold=0))
    assert found.subjects == ("pat 2",)  # its case is pat_2
    assert found.trained_on == ("con-1", "pat-1")
    with pytest.raises(SettingsError, match="fold: found 2; expected 0 to 1"):
        nnunet(*words, fold=2)
    with pytest.raises(SettingsError, match="fold: found 0; expected --raw with it"):
        nnunet(*words[:3], fold=0)


def test_children_of_training_subjects_are_refused(tmp_path):
    cohort, raw, predictions = round_trip(tmp_path)
    child = replace(cohort["pat-3"], parents=(Parent("con-1", Role.HOST),))
    table = replace(cohort, subjects=(child, *cohort.subjects[:3]))
    table.write()
    with pytest.raises(LeakageError, match="pat-3: found con-1 in the training of the model"):
        nnunet(str(predictions), str(cohort.folder), str(tmp_path / "out"), str(raw))


def test_missing_predictions_are_named(tmp_path):
    cohort, raw, predictions = round_trip(tmp_path)
    for path in predictions.glob("*.nii.gz"):
        path.unlink()
    with pytest.raises(CohortError, match="pat-3, con-3: found no prediction of 2 of 2 subjects"):
        nnunet(str(predictions), str(cohort.folder), str(tmp_path / "out"), str(raw))
    assert not (tmp_path / "out").exists()


def test_subjects_that_were_not_exported_are_named(tmp_path):
    cohort, raw, predictions = round_trip(tmp_path)
    replace(cohort, subjects=(*cohort.subjects, replace(cohort["con-3"], id="new"))).write()
    with pytest.raises(CohortError, match="new: found 1 subjects that were not exported"):
        nnunet(str(predictions), str(cohort.folder), str(tmp_path / "out"), str(raw))


GRID = Grid.of(SHAPE, LAS)


def saved(folder, probability, labels=None, grid=GRID, **arrays):
    """One case with a probability of lesion of shape (x, y, z)."""
    labels = probability > 0.5 if labels is None else labels
    write_volume(folder / "a.nii.gz", Volume(labels, grid))
    if not arrays:
        both = np.stack([1 - probability, probability])
        arrays = {"probabilities": both.transpose(0, 3, 2, 1).astype(np.float32)}
    np.savez(folder / "a.npz", **arrays)
    return folder


def lesion():
    probability = np.full(SHAPE, 0.2)
    probability[LESION] = 0.9
    return probability


def test_one_prediction_is_read_as_it_is(tmp_path):
    read = read_prediction(saved(tmp_path, lesion()), "a", GRID)
    assert read.grid == GRID
    assert np.allclose(read.array, lesion())


def test_a_tie_agrees_with_either_label(tmp_path):
    tie = lesion()
    tie[0, 0, 0] = 0.5
    for label in (True, False):
        labels = tie > 0.5
        labels[0, 0, 0] = label
        assert read_prediction(saved(tmp_path, tie, labels), "a", GRID).array[0, 0, 0] == 0.5


def test_where_labels_are_empty_the_plans_name_the_reader(tmp_path):
    low = np.full(SHAPE, 0.1)
    low[1, 2, 3] = 0.4
    folder = saved(tmp_path, low)
    assert np.argmax(read_prediction(folder, "a", GRID).array) == np.argmax(low)
    plans = {"image_reader_writer": "NibabelIOWithReorient"}
    (folder / "plans.json").write_text(json.dumps(plans))
    turned = read_prediction(folder, "a", GRID)
    where = np.unravel_index(np.argmax(turned.array), SHAPE)
    # Saved with x to the right: voxel 1 of the array is the second from the left.
    assert np.allclose(turned.grid.to_mm(where), GRID.to_mm([SHAPE[0] - 1 - 1, 2, 3]))


def test_arrays_in_another_order_are_refused(tmp_path):
    both = np.stack([1 - lesion(), lesion()]).astype(np.float32)
    with pytest.raises(RunError, match=r"found 2 classes, \(16, 14, 12\) voxels; expected 2"):
        read_prediction(saved(tmp_path, lesion(), probabilities=both), "a", GRID)
    cube = Grid.of((14, 14, 14), LAS)
    inside = np.full(cube.shape, 0.1)
    inside[LESION] = 0.9  # 3 x 2 x 4 voxels: the box and its transposed one share none
    both = np.stack([1 - inside, inside])
    with pytest.raises(RunError, match=r"most probable class than a\.nii\.gz in 48 voxels"):
        read_prediction(saved(tmp_path, inside, grid=cube, probabilities=both), "a", cube)


def test_postprocessed_label_maps_are_refused_with_a_way_out(tmp_path):
    with pytest.raises(RunError, match=r"in 24 voxels.*remove the \.npz"):
        read_prediction(saved(tmp_path, lesion(), np.zeros(SHAPE, bool)), "a", GRID)


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"softmax": np.zeros(3)}, "KeyError"),
        ({"probabilities": np.zeros((2, 3))}, r"shape \(2, 3\)"),
        ({"probabilities": np.full((2, 16, 14, 12), 7.0)}, "not all within 0 to 1"),
        ({"probabilities": np.full((2, 16, 14, 12), np.nan)}, "not all within 0 to 1"),
        ({"probabilities": np.full((3, 16, 14, 12), 0.3)}, "found 3 classes"),
    ],
)
def test_damaged_archives_are_refused(tmp_path, arrays, text):
    with pytest.raises(RunError, match=text):
        read_prediction(saved(tmp_path, lesion(), **arrays), "a", GRID)


def test_what_is_no_archive_is_refused(tmp_path):
    (saved(tmp_path, lesion()) / "a.npz").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(RunError, match=r"a\.npz: found BadZipFile"):
        read_prediction(tmp_path, "a", GRID)


def test_other_grids_and_labels_are_refused(tmp_path):
    folder = saved(tmp_path, lesion())
    with pytest.raises(GeometryError, match=r"a\.nii\.gz: found 12 x 14 x 16"):
        read_prediction(folder, "a", Grid.of(SHAPE, RAS))
    with pytest.raises(RunError, match=r"found labels \[0, 2\]; expected 0 and 1"):
        read_prediction(saved(tmp_path, lesion(), 2 * (lesion() > 0.5)), "a", GRID)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"threshold": 0.0}, "threshold: found 0.0"),
        ({"min_volume_ml": -1.0}, "min_volume_ml: found -1.0"),
        ({"split": "tset"}, "split: found tset; expected all, train, val, test, none"),
    ],
)
def test_bad_settings_are_refused(tmp_path, settings, text):
    cohort = write_cohort(tmp_path)
    with pytest.raises(SettingsError, match=text):
        nnunet(str(tmp_path), str(cohort.folder), str(tmp_path / "out"), **settings)


def test_noise_that_cannot_be_numbered_is_refused(tmp_path, monkeypatch):
    cohort, raw, predictions = round_trip(tmp_path)

    def many(*_):
        raise OverflowError

    monkeypatch.setattr("fcdsynth.detector.findings.find_clusters", many)
    with pytest.raises(SettingsError, match="too many clusters in pat-3 to be numbered"):
        nnunet(str(predictions), str(cohort.folder), str(tmp_path / "out"), str(raw))


def test_a_stopped_import_goes_on_and_the_door_opens(tmp_path, monkeypatch, capsys):
    cohort, raw, predictions = round_trip(tmp_path)
    verb = ("fcdsynth.detector.peers.importing", "turn nnU-Net's predictions into detections")
    monkeypatch.setitem(cli.VERBS, "import nnunet", verb)
    import fcdsynth.detector.findings as room

    whole, calls = room.find_clusters, []

    def stops(subject, *rest):
        calls.append(subject)
        if len(calls) == 2:
            raise RuntimeError("the power went")
        return whole(subject, *rest)

    monkeypatch.setattr(room, "find_clusters", stops)
    words = ["import", "nnunet", str(predictions), str(cohort.folder), str(tmp_path / "out"),
             "--raw", str(raw)]  # fmt: skip
    with pytest.raises(RuntimeError):
        cli.main(words)
    assert cli.main(words) == 0
    assert calls == ["pat-3", "con-3", "con-3"]
    assert Detections.read(tmp_path / "out").subjects == ("pat-3", "con-3")
    assert cli.main([*words, "--threshold", "2"]) == 1
    assert "threshold: found 2.0" in capsys.readouterr().err
