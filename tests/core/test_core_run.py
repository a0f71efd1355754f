"""Run folders: whole or absent, resumable, and with provenance."""

import json

import pytest

from fcdsynth.core.errors import RunError
from fcdsynth.core.provenance import hash_path
from fcdsynth.core.run import Run


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "input.txt"
    path.write_text("one")
    return path


def make(tmp_path, source, **changes):
    settings = {"size": 3, "name": "x"} | changes
    return Run(tmp_path / "out", "draw", settings, [source], seed=7)


def test_a_finished_run_says_what_made_it(tmp_path, source):
    with make(tmp_path, source) as run, run.item("sub-1") as folder:
        (folder / "a.txt").write_text("a")
    record = json.loads((tmp_path / "out" / "provenance.json").read_text())
    assert record["verb"] == "draw"
    assert record["seed"] == 7
    assert record["inputs"] == {str(source): hash_path(source)}
    assert "numpy" in record["software"]
    assert (tmp_path / "out" / "config.yaml").read_text() == "size: 3\nname: x\n"
    assert (tmp_path / "out" / "sub-1" / "a.txt").is_file()
    assert not (tmp_path / "out.partial").exists()
    assert make(tmp_path, source).complete


def test_other_settings_or_inputs_are_refused(tmp_path, source):
    with make(tmp_path, source) as run:
        (run.folder / "a.txt").write_text("a")
    with pytest.raises(RunError, match="other inputs, settings"):
        make(tmp_path, source, size=4)
    source.write_text("two")
    with pytest.raises(RunError, match="other inputs, settings"):
        make(tmp_path, source)


def test_a_folder_of_the_user_is_never_overwritten(tmp_path, source):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError):
        make(tmp_path, source)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def stop_half_way(run):
    with run:
        with run.item("sub-1") as folder:
            (folder / "a.txt").write_text("a")
        with run.item("sub-2") as folder:
            (folder / "half.txt").write_text("half")
            raise KeyboardInterrupt


def interrupted(tmp_path, source, **changes):
    with pytest.raises(KeyboardInterrupt):
        stop_half_way(make(tmp_path, source, **changes))


def test_a_stopped_run_goes_on(tmp_path, source):
    interrupted(tmp_path, source)
    assert not (tmp_path / "out").exists()
    with make(tmp_path, source) as run:
        assert run.has("sub-1")
        assert not run.has("sub-2")
        with run.item("sub-2") as folder:
            (folder / "whole.txt").write_text("whole")
    assert sorted(p.name for p in (tmp_path / "out" / "sub-2").iterdir()) == ["whole.txt"]


def test_a_stopped_run_with_other_settings_starts_afresh(tmp_path, source):
    interrupted(tmp_path, source)
    with make(tmp_path, source, size=9) as run:
        assert not run.has("sub-1")


def test_a_run_that_fails_at_once_leaves_nothing(tmp_path, source):
    with pytest.raises(ZeroDivisionError), make(tmp_path, source):
        1 / 0  # noqa: B018
    assert sorted(p.name for p in tmp_path.iterdir()) == ["input.txt"]


def test_an_absent_input_is_named(tmp_path):
    with pytest.raises(RunError, match="gone"):
        Run(tmp_path / "out", "draw", {}, [tmp_path / "gone"])
