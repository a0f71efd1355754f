"""The command line: help, version, unknown words, errors as sentences."""

import re
import subprocess
import sys

import pytest

from fcdsynth import __version__
from fcdsynth.cli import TRAINED, VERBS, main


def test_help_and_version_in_a_process():
    run = [sys.executable, "-m", "fcdsynth"]
    shown = subprocess.run([*run, "--help"], capture_output=True, text=True, check=True)
    for verb in (*VERBS, *TRAINED):
        assert f"  {verb} " in shown.stdout
    version = subprocess.run([*run, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.strip() == __version__


def test_top_help_imports_no_torch():
    code = (
        "import sys; from fcdsynth.cli import main; main(['--help']); print('torch' in sys.modules)"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip().endswith("False")


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_of_a_verb_explains_every_option(verb, capsys):
    assert main([*verb.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: fcdsynth {verb}" in shown
    assert re.search(r"Result:\s+\w", shown)
    assert "-c" in shown
    # Every option line is followed by words from the docstring, with type and default.
    assert "default:" in shown or verb in ("index", "adopt", "ledger verify")


@pytest.mark.parametrize("verb", sorted(TRAINED))
def test_help_of_the_trained_verbs(verb, capsys):
    assert main([verb, "--help"]) == 0
    assert "--out" in capsys.readouterr().out


def test_words_that_cannot_be_understood(capsys):
    assert main([]) == 2
    assert main(["sing"]) == 2
    assert "no verb 'sing'" in capsys.readouterr().err
    assert main(["index"]) == 2
    assert main(["draw", "a", "b", "--colour", "red"]) == 2
    assert "colour" in capsys.readouterr().err


def test_an_error_is_a_sentence_and_not_a_traceback(tmp_path, capsys):
    assert main(["prepare", str(tmp_path / "gone"), str(tmp_path / "out")]) == 1
    shown = capsys.readouterr().err
    assert "gone" in shown
    assert "expected" in shown
    assert "Traceback" not in shown
    assert list(tmp_path.iterdir()) == []
