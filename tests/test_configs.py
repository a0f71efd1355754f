"""Every shipped config is parsed; the smoke ones are run by the chain test."""

from pathlib import Path

import pytest
import yaml
from phantom import prepared_cohort

from fcdsynth.core.subject import Split

CONFIGS = Path(__file__).parents[1] / "configs"
ALL = sorted(CONFIGS.rglob("*.yaml"))
TRAINED = [p for p in ALL if p.parent.name in ("synthesis", "detector")]


def name_of(path):
    return str(path.relative_to(CONFIGS))


@pytest.mark.parametrize("path", ALL, ids=name_of)
def test_configs_are_short_and_say_what_they_are(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40
    assert lines[0].startswith("# ")
    assert isinstance(yaml.safe_load("\n".join(lines)), dict)


@pytest.mark.parametrize("machine", sorted((CONFIGS / "machine").glob("*.yaml")), ids=name_of)
@pytest.mark.parametrize("path", TRAINED, ids=name_of)
def test_every_pair_of_experiment_and_machine_is_understood(path, machine, tmp_path, monkeypatch):
    """Parsed, instantiated, and stopped before the first step."""
    from fcdsynth.training import command

    seen = {}

    def stop(cli, config, out, every):
        seen.update(config)
        return out

    monkeypatch.setattr(command, "_fit", stop)
    prepared_cohort(tmp_path / "p", 2, 2, splits={"sub-00001": Split.TRAIN})
    # A machine without a GPU must still be able to read a GPU machine's config.
    command.train(
        "fit",
        ["-c", str(path), "-c", str(machine), "--data.cohort", str(tmp_path / "p"),
         "--out", str(tmp_path / "run"), "--trainer.accelerator", "cpu",
         "--trainer.devices", "1", "--trainer.precision", "32-true"],
    )  # fmt: skip
    assert seen["model"]["class_path"].startswith("fcdsynth.")
    assert seen["data"]["class_path"].startswith("fcdsynth.")


def test_unknown_keys_are_refused(tmp_path, capsys):
    from fcdsynth.cli import main

    prepared_cohort(tmp_path / "p", 2, 2, splits={"sub-00001": Split.TRAIN})
    words = ["fit", "-c", str(CONFIGS / "detector" / "smoke.yaml"), "-c",
             str(CONFIGS / "machine" / "cpu.yaml"), "--data.cohort", str(tmp_path / "p"),
             "--out", str(tmp_path / "run"), "--model.depht", "3"]  # fmt: skip
    assert main(words) == 2
    assert "depht" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
