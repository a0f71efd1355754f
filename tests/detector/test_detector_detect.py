"""detect through the real door: training that finds its lesion, native space, refusals."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantom import LESION_CENTRES_MM, ORIENTATIONS, prepared_cohort, tiny_grid, tiny_head
from scipy import ndimage

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Origin, Parent, Role, Split
from fcdsynth.core.volume import Volume, read_grid, read_labels, read_volume, write_volume
from fcdsynth.detector.ensemble import Ensemble
from fcdsynth.detector.findings import native_probability

CONFIGS = Path(__file__).parents[2] / "configs"


def fit(cohort, out, *more):
    words = ["-c", str(CONFIGS / "detector/smoke.yaml"), "-c", str(CONFIGS / "machine/cpu.yaml"),
             "--data.cohort", str(cohort.folder), "--out", str(out),
             "--trainer.enable_progress_bar", "false", *more]  # fmt: skip
    assert main(["fit", *words]) == 0
    return out


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Train on patient 1 and control 3; the test rows are patient 1 in three native grids."""
    folder = tmp_path_factory.mktemp("cohort")
    made = prepared_cohort(folder, patients=2, controls=2)
    splits = (Split.TRAIN, Split.VAL, Split.TRAIN, Split.VAL)
    rows = [replace(s, split=p) for s, p in zip(made.subjects, splits, strict=True)]
    for orientation in ORIENTATIONS:
        grid = tiny_grid(orientation, 36, 4.0)
        head = tiny_head(grid, 0, LESION_CENTRES_MM[0])
        name = f"native-{orientation}.nii.gz"
        write_volume(folder / name, Volume(head["t1w"], grid))
        rows.append(replace(rows[0], id=f"as-{orientation}", split=Split.TEST,
                            files={**rows[0].files, "t1w_native": name}))  # fmt: skip
    cohort = Cohort(folder, tuple(rows))
    cohort.write()
    return cohort


@pytest.fixture(scope="module")
def run(cohort, tmp_path_factory):
    return fit(
        cohort, tmp_path_factory.mktemp("fit") / "run", "--trainer.max_steps", "200",
        "--data.steps_per_epoch", "200", "--data.augment", "0", "--model.widths", "[8, 16]",
        "--model.learning_rate", "0.01",
    )  # fmt: skip


@pytest.fixture(scope="module")
def detections(run, cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("detect") / "out"
    assert main(["detect", str(run), str(cohort.folder), str(out)]) == 0
    return Detections.read(out)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_learned_lesion_is_found_in_native_space(cohort, detections, orientation):
    name = f"as-{orientation}"
    grid = read_grid(cohort.path(cohort[name], "t1w_native"))
    map_ = read_volume(detections.probability_path(name))
    labels = read_labels(detections.clusters_path(name))
    assert map_.grid.close_to(grid)
    assert labels.grid.close_to(grid)
    assert 0 <= map_.array.min() <= map_.array.max() <= 1
    best, *others = detections.of(name)
    truth = tiny_head(grid, 0, LESION_CENTRES_MM[0])["lesion"]
    centre = grid.to_mm(ndimage.center_of_mass(truth))
    assert np.linalg.norm(np.subtract(best.centre_mm, centre)) < 6.0  # one prepared voxel
    assert best.score > 0.5
    assert best.side == "R"
    assert all(other.score < best.score for other in others)
    cluster = labels.array == best.cluster
    assert cluster.sum() == best.size_vox
    assert best.volume_ml == pytest.approx(best.size_vox * 0.064, abs=1e-3)
    assert map_.array[cluster].max() == pytest.approx(best.peak, abs=1e-5)
    assert 2 * (cluster & truth).sum() / (cluster.sum() + truth.sum()) > 0.5


def test_the_three_orientations_agree(detections):
    centres = np.array([detections.of(f"as-{o}")[0].centre_mm for o in ORIENTATIONS])
    assert np.abs(centres - centres[0]).max() < 2.0  # half a native voxel


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_round_trip_of_a_blob_within_half_a_voxel(tmp_path, orientation):
    cohort = prepared_cohort(tmp_path, patients=1, controls=0)
    grid = tiny_grid(orientation, 40, 3.7)
    write_volume(tmp_path / "native.nii.gz", Volume(np.zeros(grid.shape), grid))
    files = {**cohort.subjects[0].files, "t1w_native": "native.nii.gz"}
    prepared = Grid.covering((-70, -66, -60), (62, 70, 64), 5.0)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in prepared.shape], indexing="ij"), -1)
    wanted = np.array([21.3, -17.7, 9.1])
    blob = np.exp(-((prepared.to_mm(index) - wanted) ** 2).sum(-1) / (2 * 9.0**2))
    moved = native_probability(
        Volume(blob.astype(np.float32), prepared), cohort, replace(cohort.subjects[0], files=files)
    )
    found = grid.to_mm(ndimage.center_of_mass(moved.array))
    assert np.linalg.norm(found - wanted) < 3.7 / 2


def test_tables_say_what_was_looked_at(detections, run):
    assert detections.subjects == tuple(f"as-{o}" for o in ORIENTATIONS)
    assert detections.trained_on == ("sub-00001", "sub-00003")
    assert detections.operating_point.chosen_on == ("sub-00002", "sub-00004")
    record = json.loads((detections.folder / "provenance.json").read_text())
    assert any(path.endswith("last.ckpt") for path in record["inputs"])
    assert (run / "operating_sweep.csv").read_text().startswith("threshold,min_volume_ml")


def test_detect_repeats_to_the_byte_and_resumes(run, cohort, detections, tmp_path, monkeypatch):
    out = tmp_path / "out"
    import fcdsynth.detector.detect as room

    whole, calls = room.write_subject, []

    def stops(folder, subject, *rest):
        calls.append(subject)
        if len(calls) == 2:
            raise RuntimeError("the power went")
        return whole(folder, subject, *rest)

    monkeypatch.setattr(room, "write_subject", stops)
    with pytest.raises(RuntimeError):
        main(["detect", str(run), str(cohort.folder), str(out)])
    assert not out.exists()
    assert main(["detect", str(run), str(cohort.folder), str(out)]) == 0
    assert calls == ["as-RAS", "as-LAS", "as-LAS", "as-oblique"]
    for path in sorted(detections.folder.rglob("*")):
        if path.is_file() and path.name != "provenance.json":
            assert path.read_bytes() == (out / path.relative_to(detections.folder)).read_bytes()


def test_mirror_averages_and_changes_little_here(run, cohort, detections, tmp_path):
    out = tmp_path / "out"
    assert main(["detect", str(run), str(cohort.folder), str(out), "--mirror", "true"]) == 0
    best = Detections.read(out).of("as-RAS")[0]
    assert "averaged with the result of the mirrored volume" in (out / "index.html").read_text()
    assert np.allclose(best.centre_mm, detections.of("as-RAS")[0].centre_mm, atol=6)
    assert best.score != detections.of("as-RAS")[0].score


def test_training_subjects_are_refused(run, cohort, tmp_path, capsys):
    words = ["detect", str(run), str(cohort.folder), str(tmp_path / "out"), "--split"]
    for split in ("train", "all"):
        assert main([*words, split]) == 1
        assert "sub-00001: found sub-00001 in the training of" in capsys.readouterr().err
    assert main([*words, "test", "--out_of_fold", "true"]) == 1
    assert "as-RAS: found none of 1 models validated on it" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_children_of_training_subjects_are_refused(run, cohort, tmp_path, capsys):
    child = replace(cohort["as-RAS"], id="syn-1", origin=Origin.SYNTHETIC,
                    parents=(Parent("sub-00003", Role.HOST),))  # fmt: skip
    Cohort(cohort.folder, (child,)).moved(tmp_path / "c").write()
    assert main(["detect", str(run), str(tmp_path / "c"), str(tmp_path / "out")]) == 1
    assert "syn-1: found sub-00003 in the training of" in capsys.readouterr().err


@pytest.fixture(scope="module")
def folds(cohort, run, tmp_path_factory):
    """Two folds: the run, and one with the roles of training and validation exchanged."""
    folder = tmp_path_factory.mktemp("folds")
    swap = {Split.TRAIN: Split.VAL, Split.VAL: Split.TRAIN}
    rows = tuple(replace(s, split=swap.get(s.split, s.split)) for s in cohort.subjects)
    swapped = Cohort(cohort.folder, rows).moved(folder / "cohort")
    swapped.write()
    shutil.copytree(run, folder / "runs" / "fold-0")
    fit(swapped, folder / "runs" / "fold-1", "--model.widths", "[8, 16]")
    return folder / "runs"


def test_out_of_fold_asks_only_the_model_that_held_out(folds, run, cohort, tmp_path):
    out = tmp_path / "folds"
    words = [str(cohort.folder), "--split", "val", "--out_of_fold", "true"]
    assert main(["detect", str(folds), words[0], str(out), *words[1:]]) == 0
    assert main(["detect", str(run), words[0], str(tmp_path / "one"), *words[1:]]) == 0
    both, alone = Detections.read(out), Detections.read(tmp_path / "one")
    assert both.subjects == ("sub-00002", "sub-00004")
    for name in both.subjects:  # fold-0 alone has held them out
        assert "1 of 2, which held this subject out" in (out / name / f"{name}.html").read_text()
        one, other = (read_volume(d.probability_path(name)).array for d in (both, alone))
        assert np.array_equal(one, other)
    thresholds = [model.point.threshold for model in Ensemble.open(folds).models]
    assert both.operating_point.threshold == pytest.approx(np.median(thresholds))


def test_an_ensemble_is_the_mean_of_its_models(folds, cohort, tmp_path):
    maps = []
    for number, folder in enumerate((folds, folds / "fold-0", folds / "fold-1")):
        out = tmp_path / str(number)
        assert main(["detect", str(folder), str(cohort.folder), str(out)]) == 0
        maps.append(read_volume(Detections.read(out).probability_path("as-RAS")).array)
    assert np.allclose(maps[0], (maps[1] + maps[2]) / 2, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda files, _: {**files, "flair": ""}, "as-RAS: found no flair"),
        (lambda files, _: {**files, "t1w_native": ""}, "as-RAS: found no t1w_native"),
        (lambda files, other: {**files, "t1w": other, "flair": other},
         "as-RAS: found voxels of (5.0, 5.0, 5.0) mm; expected (6.0, 6.0, 6.0) mm"),
    ],
)  # fmt: skip
def test_bad_subjects_are_refused_before_any_work(run, cohort, tmp_path, capsys, change, text):
    grid = tiny_grid(spacing_mm=5.0)
    other = write_volume(cohort.folder / "other.nii.gz", Volume(np.zeros(grid.shape), grid)).name
    row = cohort["as-RAS"]
    table = Cohort(cohort.folder, (replace(row, files=change(row.files, other)),))
    table.moved(tmp_path / "c").write()
    assert main(["detect", str(run), str(tmp_path / "c"), str(tmp_path / "out")]) == 1
    assert text in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--split", "tset"], "split: found tset; expected all, train, val, test, none"),
        (["--split", "none"], "no subject with split none"),
        (["--device", "tpu9"], "device: found tpu9"),
        (["--windows", "0"], "windows: found 0"),
    ],
)
def test_bad_settings_are_refused(run, cohort, tmp_path, capsys, more, text):
    assert main(["detect", str(run), str(cohort.folder), str(tmp_path / "out"), *more]) == 1
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run_is_refused(cohort, tmp_path, capsys):
    assert main(["detect", str(tmp_path), str(cohort.folder), str(tmp_path / "out")]) == 1
    assert "no last.ckpt" in capsys.readouterr().err


def test_one_channel_works_from_fit_to_detect(cohort, tmp_path):
    run = fit(cohort, tmp_path / "run", "--data.inputs", "[flair]", "--model.inputs", "[flair]")
    assert main(["detect", str(run), str(cohort.folder), str(tmp_path / "out")]) == 0
    assert len(Detections.read(tmp_path / "out").subjects) == 3
