"""Two processes on one machine (gloo): one generator, two shares of the data."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from phantom import prepared_cohort

from fcdsynth.core.subject import Split

SMOKE = Path(__file__).parents[2] / "configs" / "synthesis" / "smoke.yaml"
SCRIPT = Path(__file__).with_name("two_processes.py")
WORDS = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]


def fit(folder, *more):
    cohort = folder / "cohort"
    splits = {f"sub-{n:05d}": Split.TRAIN for n in range(1, 5)}
    prepared_cohort(cohort, 2, 2, splits=splits)
    words = ["fit", "-c", str(SMOKE), "--data.cohort", str(cohort), "--out", str(folder / "run")]
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words, *WORDS, *more],
        env=os.environ | {"NOTES": str(folder)}, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """The first step rests the discriminators, the later ones use them."""
    folder = tmp_path_factory.mktemp("two")
    done = fit(
        folder, "--trainer.devices", "2", "--trainer.strategy", "ddp_find_unused_parameters_true"
    )
    assert done.returncode == 0, done.stderr
    assert (folder / "run" / "last.ckpt").is_file()
    return folder, [torch.load(folder / f"rank-{rank}.pt") for rank in (0, 1)]


def test_both_processes_end_with_one_network(ranks):
    folder, (first, second) = ranks
    assert first["state"].keys() == second["state"].keys()
    for key, value in first["state"].items():
        assert torch.equal(value, second["state"][key]), key
    assert int(first["state"]["steps"]) == 3
    for key in (
        "generator.last.weight",
        "average.module.last.weight",
        "discriminator.scales.1.final_conv.conv.parametrizations.weight.original",
    ):
        assert not torch.equal(first["start"][key], first["state"][key]), key
    kept = torch.load(folder / "run" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, first["state"][key]) for key, value in kept.items())


def test_each_process_draws_its_own_patches(ranks):
    _, (first, second) = ranks
    sums = [torch.cat([batch["sum"] for batch in rank["seen"]]) for rank in (first, second)]
    assert [len(s) for s in sums] == [6, 6]
    assert len(torch.cat(sums).unique()) == 12


def test_a_strategy_that_waits_for_every_weight_is_refused(tmp_path):
    done = fit(tmp_path, "--trainer.devices", "1", "--trainer.strategy", "ddp")
    assert done.returncode != 0
    assert "ddp_find_unused_parameters_true" in done.stderr
    assert not (tmp_path / "run").exists()
