"""The README's commands are run, in their order, as they stand."""

import re
import shlex
from pathlib import Path

import pytest

from fcdsynth.cli import main

TOP = Path(__file__).parents[1]
README = (TOP / "README.md").read_text(encoding="utf-8")


def commands():
    block = re.search(r"<!-- commands.*?-->\n```\n(.*?)```", README, re.DOTALL)
    assert block is not None
    return [line for line in block[1].splitlines() if line]


@pytest.mark.timeout(600)
def test_ten_commands(tmp_path, monkeypatch, capsys):
    (tmp_path / "configs").symlink_to(TOP / "configs")
    monkeypatch.chdir(tmp_path)
    simulated = ["--patients", "4", "--controls", "4", "--spacing", "4", "--split", "true",
                 "--report", "false"]  # fmt: skip
    assert main(["phantom", "demo/bids", *simulated]) == 0
    lines = commands()
    assert len(lines) == 10
    for line in lines:
        program, *words = shlex.split(line)
        assert program == "fcdsynth"
        assert main(words) == 0, (line, capsys.readouterr().err)
    for name in ("cohort", "prepared", "drawn", "generator", "synthetic", "detector",
                 "detections", "evaluation", "held-out", "flags"):  # fmt: skip
        assert (tmp_path / name / "provenance.json").is_file(), name
    assert not list(tmp_path.glob("*.partial"))


def test_every_verb_is_named_in_the_readme():
    from fcdsynth.cli import VERBS

    for verb in VERBS:
        assert re.search(rf"\b{verb}\b", README), verb


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (TOP / target).exists(), target


def test_make_has_both_commands():
    targets = re.findall(r"^(\w+):", (TOP / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test"} <= set(targets)
