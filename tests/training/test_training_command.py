"""fit, validate and test through the real door."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from phantom import prepared_cohort

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Origin, Parent, Role, Split
from fcdsynth.core.trained import TrainedRun
from fcdsynth.core.volume import Volume, read_volume, write_volume
from fcdsynth.detector.task import DetectorTask

CONFIGS = Path(__file__).parents[2] / "configs"
ORDER = (Split.TRAIN, Split.TRAIN, Split.VAL, Split.TEST, Split.TRAIN, Split.VAL, Split.TEST)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    splits = {f"sub-{n:05d}": split for n, split in enumerate(ORDER, start=1)}
    return prepared_cohort(tmp_path_factory.mktemp("cohort"), splits=splits)


def words(cohort, out, *more):
    return ["-c", str(CONFIGS / "detector" / "smoke.yaml"),
            "-c", str(CONFIGS / "machine" / "cpu.yaml"),
            "--data.cohort", str(cohort.folder), "--out", str(out),
            "--trainer.enable_progress_bar", "false", "--checkpoint_every", "3", *more]  # fmt: skip


@pytest.fixture(scope="module")
def finished(cohort, tmp_path_factory):
    out = tmp_path_factory.mktemp("finished") / "run"
    assert main(["fit", *words(cohort, out)]) == 0
    return out


def weights(out):
    stored = torch.load(out / "last.ckpt", map_location="cpu", weights_only=True)
    return stored["global_step"], stored["state_dict"]


def same_weights(one, other):
    return all(torch.equal(value, weights(other)[1][key]) for key, value in weights(one)[1].items())


def table(out):
    with (out / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_fit_leaves_a_whole_run(finished):
    run = TrainedRun.open(finished)
    assert run.trained_on == ("sub-00001", "sub-00002", "sub-00005")
    assert run.validated_on == ("sub-00003", "sub-00006")
    assert json.loads((finished / "provenance.json").read_text())["verb"] == "fit"
    assert weights(finished)[0] == 8
    names = {row["name"] for row in table(finished)}
    assert {"detector/train/loss", "detector/val/loss", "detector/val/dice"} <= names
    assert np.isfinite([float(row["value"]) for row in table(finished)]).all()
    assert [p.name for p in finished.parent.iterdir()] == ["run"]
    assert not [p.name for p in finished.iterdir() if p.name.startswith(".")]


def test_a_whole_run_returns_at_once_and_refuses_other_settings(cohort, finished, capsys):
    before = (finished / "last.ckpt").stat().st_mtime_ns
    assert main(["fit", *words(cohort, finished)]) == 0
    assert (finished / "last.ckpt").stat().st_mtime_ns == before
    assert main(["fit", *words(cohort, finished, "--model.average_decay", "0.25")]) == 1
    assert "other inputs, settings or version" in capsys.readouterr().err


def test_the_config_of_a_run_repeats_it(finished, tmp_path):
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert set(config) == {"seed_everything", "trainer", "model", "data"}
    out = tmp_path / "again"
    assert main(["fit", "-c", str(finished / "config.yaml"), "--out", str(out)]) == 0
    assert same_weights(finished, out)
    assert table(out) == table(finished)


def test_another_seed_gives_other_weights(cohort, finished, tmp_path):
    assert main(["fit", *words(cohort, tmp_path / "run", "--seed_everything", "1")]) == 0
    assert not same_weights(finished, tmp_path / "run")


@pytest.mark.parametrize("step", [2, 5, 7])
def test_a_stopped_fit_resumes_as_if_unbroken(cohort, finished, tmp_path, monkeypatch, step):
    out = tmp_path / "run"
    calls = []
    whole = DetectorTask.training_step

    def stops(self, batch, batch_idx):
        calls.append(batch["subject"])
        if len(calls) == step + 1:
            raise RuntimeError("the power went")
        return whole(self, batch, batch_idx)

    monkeypatch.setattr(DetectorTask, "training_step", stops)
    with pytest.raises(RuntimeError, match="the power went"):
        main(["fit", *words(cohort, out)])
    assert not out.exists()
    monkeypatch.setattr(DetectorTask, "training_step", whole)
    assert main(["fit", *words(cohort, out)]) == 0
    assert weights(out)[0] == 8
    assert same_weights(finished, out)

    def of_validation(run):
        return [row for row in table(run) if "/val/" in row["name"]]

    assert of_validation(out) == of_validation(finished)
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_a_stopped_fit_refuses_other_settings(cohort, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"

    def fails(*_args):
        raise RuntimeError("late")

    monkeypatch.setattr(DetectorTask, "finish", fails)
    with pytest.raises(RuntimeError, match="late"):
        main(["fit", *words(cohort, out)])
    assert main(["fit", *words(cohort, out, "--model.learning_rate", "0.1")]) == 1
    assert "stopped fit of other settings" in capsys.readouterr().err
    assert (tmp_path / "run.partial" / "last.ckpt").is_file()


def test_validate_and_test(cohort, finished, capsys):
    again = ["-c", str(finished / "config.yaml"), "--out", str(finished)]
    assert main(["validate", *again]) == 0
    assert "detector/val/dice" in capsys.readouterr().out
    assert main(["test", *again]) == 0
    assert "detector/test/dice" in capsys.readouterr().out
    assert main(["test", *words(cohort, finished, "--model.average_decay", "0.25")]) == 1
    assert "model.init_args.average_decay: found 0.25; expected 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        (["--model.widht", "8"], 2, "widht"),
        (["--trainer.max_step", "8"], 2, "max_step"),
        (["--data.batch_size", "two"], 2, "batch_size"),
        (["--data.batch_size", "0"], 1, "data.batch_size: found 0; expected at least 1"),
        (["--seed_everything", "false"], 1, "seed_everything"),
        (["--checkpoint_every", "0"], 1, "checkpoint_every: found 0; expected at least 1"),
        (["--data.patch_size", "[16, 16, 17]"], 1, "data.patch_size: found [16, 16, 17]"),
        (["--data.inputs", "[t1w]"], 1, "data.inputs: found ['t1w']; expected ['t1w', 'flair']"),
        (["--data.inputs", "[t2w]"], 1, "data.inputs"),
        (["--trainer.max_steps", "-1"], 1, "trainer.max_steps"),
        (["--data.lesion_share", "1.5"], 1, "data.lesion_share"),
        (["--model.supervised", "2"], 1, "model.supervised"),
        (["--data.cohort", "nowhere"], 1, "nowhere: found no cohort.csv"),
        (["--data.real_weight", "0"], 1, "no patient in training"),
    ],
)
def test_bad_settings_are_refused(cohort, tmp_path, capsys, more, code, text):
    assert main(["fit", *words(cohort, tmp_path / "run", *more)]) == code
    assert text in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_out_is_required(capsys):
    assert main(["fit", "-c", str(CONFIGS / "detector/smoke.yaml"), "--data.cohort", "x"]) == 2
    assert "out" in capsys.readouterr().err


def test_help_exits_well(capsys):
    assert main(["fit", "--help"]) == 0
    text = capsys.readouterr().out
    assert "--out" in text
    assert "--checkpoint_every" in text


def test_leakage_is_refused(cohort, tmp_path, capsys):
    child = replace(cohort["sub-00001"], id="syn-1", origin=Origin.SYNTHETIC, split=Split.TRAIN,
                    parents=(Parent("sub-00004", Role.STYLE),))  # fmt: skip
    leaky = Cohort(cohort.folder, (*cohort.subjects, child)).moved(tmp_path / "leaky")
    leaky.write()
    assert main(["fit", *words(leaky, tmp_path / "run")]) == 1
    assert "syn-1: found a training subject whose style is sub-00004" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_no_training_subjects(tmp_path, capsys):
    empty = prepared_cohort(tmp_path / "cohort", patients=1, controls=0)
    assert main(["fit", *words(empty, tmp_path / "run")]) == 1
    assert "no subject with split train" in capsys.readouterr().err


def test_changed_images_are_not_taken_for_the_same_fit(tmp_path, capsys):
    splits = {"sub-00001": Split.TRAIN, "sub-00002": Split.TRAIN}
    made = prepared_cohort(tmp_path / "cohort", patients=1, controls=1, splits=splits)
    assert main(["fit", *words(made, tmp_path / "run", "--trainer.max_steps", "1")]) == 0
    path = made.path(made["sub-00002"], "t1w")
    volume = read_volume(path)
    write_volume(path, Volume(volume.array * 0.9, volume.grid))
    assert main(["fit", *words(made, tmp_path / "run", "--trainer.max_steps", "1")]) == 1
    assert "other inputs, settings or version" in capsys.readouterr().err


def test_a_truncated_image_is_named_and_nothing_is_left(tmp_path, capsys):
    splits = {"sub-00001": Split.TRAIN, "sub-00002": Split.TRAIN}
    made = prepared_cohort(tmp_path / "cohort", patients=1, controls=1, splits=splits)
    path = made.path(made["sub-00002"], "flair")
    path.write_bytes(path.read_bytes()[:2000])
    assert main(["fit", *words(made, tmp_path / "run")]) == 1
    assert f"{path}: found" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["cohort"]
