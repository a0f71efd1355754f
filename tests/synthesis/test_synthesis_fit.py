"""fit of a generator through the command line: resume, guards, precision, leakage, pictures."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from phantom import prepared_cohort

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Origin, Parent, Role, Split
from fcdsynth.synthesis import memory
from fcdsynth.synthesis.task import SynthesisTask

SMOKE = Path(__file__).parents[2] / "configs" / "synthesis" / "smoke.yaml"
IDS = [f"sub-{n:05d}" for n in range(1, 9)]
SPLITS = {i: Split.VAL if i in (IDS[2], IDS[3], IDS[7]) else Split.TRAIN for i in IDS}
STEP = SynthesisTask.training_step


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return prepared_cohort(tmp_path_factory.mktemp("cohort"), splits=SPLITS)


def fit(cohort, out, *more):
    words = ["fit", "-c", str(SMOKE), "--trainer.accelerator", "cpu", "--data.cohort",
             str(cohort.folder), "--trainer.enable_progress_bar", "false",
             "--out", str(out), *more]  # fmt: skip
    return main(words)


TWO_EPOCHS = ("--trainer.max_epochs", "2", "--checkpoint_every", "2")


@pytest.fixture(scope="module")
def whole(cohort, tmp_path_factory):
    """An unbroken run of two epochs of three steps."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert fit(cohort, out, *TWO_EPOCHS) == 0
    return out


def same(one, other, where=""):
    """Equal to the bit, through lists and dictionaries."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            same(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for number, pair in enumerate(zip(one, other, strict=True)):
            same(*pair, f"{where}.{number}")
    else:
        assert one == other, where


def stored(folder):
    return torch.load(folder / "last.ckpt", map_location="cpu", weights_only=True)


def rows(folder):
    with (folder / "metrics.csv").open() as stream:
        return [tuple(row.values()) for row in csv.DictReader(stream)]


def stop_at(monkeypatch, number, how):
    def stopping(task, batch):
        if int(task.steps) == number:
            how(batch)
        return STEP(task, batch)

    monkeypatch.setattr(SynthesisTask, "training_step", stopping)


# In the middle of the first epoch; at the border and in the second, with one step lost.
@pytest.mark.parametrize("number", [2, 3, 5])
def test_a_resumed_fit_is_the_unbroken_one_to_the_bit(cohort, whole, tmp_path, monkeypatch, number):
    def power_fails(_batch):
        raise RuntimeError("the power went")

    with monkeypatch.context() as patched:
        stop_at(patched, number, power_fails)
        with pytest.raises(RuntimeError, match="the power went"):
            fit(cohort, tmp_path / "run", *TWO_EPOCHS)
    assert int(stored(tmp_path / "run.partial")["state_dict"]["steps"]) == number // 2 * 2
    assert fit(cohort, tmp_path / "run", *TWO_EPOCHS) == 0
    expected, found = stored(whole), stored(tmp_path / "run")
    assert int(found["state_dict"]["steps"]) == found["global_step"] == 6
    for key in ("state_dict", "optimizer_states", "lr_schedulers"):
        same(expected[key], found[key], key)
    assert any(key.startswith("average.") for key in found["state_dict"])
    assert len(found["optimizer_states"]) == 2
    if number != 3:  # a stop at the border repeats neither validation nor its rows
        assert rows(tmp_path / "run") == rows(whole)


def test_every_loss_is_logged(whole):
    names = {name for _, name, _ in rows(whole)}
    parts = ["inside", "outside", "texture", "contrast", "kl", "region_same", "region_different",
             "discriminator", "adversarial", "matching", "total"]  # fmt: skip
    assert {f"synthesis/train/{part}" for part in parts} <= names
    assert {f"synthesis/val/{part}" for part in (*parts[:5], "active_units")} <= names
    # Whole brains go by names of their own, and have no surroundings.
    assert {f"synthesis/train/full_{part}" for part in parts} <= names
    assert {f"synthesis/val/full_{part}" for part in ("inside", "texture", "contrast")} <= names
    assert {float(v) for _, name, v in rows(whole) if name == "synthesis/train/full_outside"} == {0}
    assert "synthesis/val/full_outside" not in names
    assert np.isfinite([float(value) for _, _, value in rows(whole)]).all()


def test_damaged_intensities_stop_the_fit_before_they_spoil_it(
    cohort, tmp_path, monkeypatch, capsys
):
    stop_at(monkeypatch, 4, lambda batch: batch["target"].fill_(float("nan")))
    assert fit(cohort, tmp_path / "run", *TWO_EPOCHS) == 1
    message = capsys.readouterr().err
    assert "synthesis/train/discriminator at step 4" in message
    assert "damaged intensities" in message
    kept = stored(tmp_path / "run.partial")
    assert int(kept["state_dict"]["steps"]) == 4
    numbers = [*kept["state_dict"].values()]
    numbers += [v for o in kept["optimizer_states"] for s in o["state"].values()
                for v in s.values()]  # fmt: skip
    assert all(torch.isfinite(number).all() for number in numbers)


def test_bfloat16_trains_weights_of_single_precision(cohort, tmp_path, whole):
    words = ("--trainer.precision", "bf16-mixed", "--trainer.max_epochs", "2")
    assert fit(cohort, tmp_path / "run", *words) == 0
    found, single = stored(tmp_path / "run")["state_dict"], stored(whole)["state_dict"]
    assert {v.dtype for v in found.values()} == {v.dtype for v in single.values()}
    losses = {(step, name): float(v) for step, name, v in rows(tmp_path / "run")}
    exact = {(step, name): float(v) for step, name, v in rows(whole)}
    assert losses.keys() == exact.keys()
    for key in (("0", "synthesis/train/full_inside"), ("1", "synthesis/train/outside")):
        assert losses[key] == pytest.approx(exact[key], rel=0.03)
        assert losses[key] != exact[key]


def test_half_precision_is_refused(cohort, tmp_path, capsys):
    assert fit(cohort, tmp_path / "run", "--trainer.precision", "16-true") == 1
    assert "bf16-mixed" in capsys.readouterr().err


def test_a_child_of_a_validation_subject_is_refused(cohort, tmp_path, capsys):
    child = replace(cohort[IDS[4]], id="syn-1", origin=Origin.SYNTHETIC, split=Split.TRAIN,
                    parents=(Parent(IDS[7], Role.HOST),))  # fmt: skip
    leaky = Cohort(cohort.folder, (*cohort.subjects, child)).moved(tmp_path / "leaky")
    leaky.write()
    assert fit(leaky, tmp_path / "run") == 1
    message = capsys.readouterr().err
    assert "syn-1: found a training subject whose host is sub-00008" in message
    assert not list(tmp_path.glob("run*"))


@pytest.mark.parametrize(
    ("fitting", "key", "remedy"),
    [
        ((2, 32), "data.batch_size 4", "Lower data.batch_size to 2."),
        ((1, 24), "data.crop 32", "Lower data.batch_size to 1 and data.crop to 24."),
        (None, "model.channels", "use a larger machine"),
    ],
)
def test_a_step_that_does_not_fit_names_the_setting(
    cohort, tmp_path, monkeypatch, capsys, fitting, key, remedy
):
    def free(*_):
        if fitting is None:
            return 0.01
        task = SynthesisTask([8, 4], 4, 4, 2, discriminator_channels=4, discriminator_layers=1)
        networks = (task.generator, task.discriminator)
        return memory.estimate(*networks, *fitting, True, True, False).total * 1.001

    monkeypatch.setattr(memory, "free_on", free)
    words = ("--data.batch_size", "4", "--data.crop", "32")
    assert fit(cohort, tmp_path / "run", *words) == 1
    message = capsys.readouterr().err
    assert key in message
    assert remedy in message
    assert not list(tmp_path.iterdir())


def test_samples_are_drawn_at_each_validation(whole):
    from PIL import Image

    files = sorted((whole / "samples").iterdir())
    assert [f.name for f in files] == ["step-0000003.png", "step-0000006.png"]
    pictures = [np.asarray(Image.open(f).convert("RGB")) for f in files]
    assert pictures[0].shape == pictures[1].shape
    assert (pictures[0] != pictures[1]).any()
    red = (pictures[0][..., 0] > 200) & (pictures[0][..., 1] < 120)
    assert red.sum() > 20  # the outline of a lesion
