"""The verb benchmark relabel through the door; what it writes, and that it goes on."""

import csv
import json

import numpy as np
import pytest

from fcdsynth.cli import main
from fcdsynth.study.relabelling import runs
from fcdsynth.study.relabelling.methods import METHODS
from fcdsynth.study.relabelling.noise import NoiseSettings
from fcdsynth.study.relabelling.protocol import Curve, Protocol
from fcdsynth.study.relabelling.summary import Cell, area, paired_difference

NOISE = NoiseSettings("symmetric", 0.3, "noisy")


def table(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def curve(last, wrong=0.1):
    return Curve(
        (100, 200, 400), (0.2, 0.4, last), (0.3, 0.2, wrong), wrong, 0.0, 4, 3, 2, 1, 3, 96, 1.0
    )


def test_the_verb(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(runs, "DIGITS", runs.Size(600, 300, 100, 40))
    out = tmp_path / "out"
    words = ["benchmark", "relabel", str(out), "--methods", "none,random,engine", "--seeds", "2",
             "--readers", "noisy"]  # fmt: skip
    assert main(words) == 0
    assert capsys.readouterr().out.strip() == str(out / "report.md")
    made = {path.name for path in out.iterdir()}
    assert made == {"runs.jsonl", "methods.csv", "differences.csv", "report.md", "config.yaml",
                    "digits-symmetric-30-noisy.png", "provenance.json"}  # fmt: skip
    rows = {row["method"]: row for row in table(out / "methods.csv")}
    assert list(rows) == ["none", "random", "engine"]
    assert float(rows["engine"]["accuracy"]) > float(rows["none"]["accuracy"])
    assert float(rows["engine"]["hit_rate"]) > float(rows["engine"]["break_even"]) == 0.3
    assert float(rows["none"]["over_none_mean"]) == 0
    asked = [(row["method"], row["against"]) for row in table(out / "differences.csv")]
    assert asked == [("engine", "none"), ("random", "none")]
    report = (out / "report.md").read_text()
    assert "Not a medical device" in report
    assert "(digits-symmetric-30-noisy.png)" in report
    before = (out / "runs.jsonl").read_bytes()
    assert main(words) == 0
    assert (out / "runs.jsonl").read_bytes() == before
    assert main([*words, "--share", "0.5"]) == 1
    assert "another output folder" in capsys.readouterr().err


def test_an_absent_set_says_what_to_do(tmp_path, capsys):
    assert main(["benchmark", "relabel", str(tmp_path / "out"), "--data", "mnist"]) == 1
    assert "--folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_stopped_benchmark_goes_on(tmp_path, monkeypatch):
    done = []

    def fake(data, method, noise, protocol, seed):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append((method.name, seed))
        return curve(0.5)

    monkeypatch.setattr(runs, "simulate", fake)
    methods = (METHODS["none"], METHODS["engine"])
    jobs = runs.plan("digits", methods, [NOISE, NoiseSettings(reader="clean")], range(2))
    assert len(jobs) == 6  # without second looks one run serves both readers
    with pytest.raises(KeyboardInterrupt):
        runs.run_jobs(jobs, tmp_path)
    file = tmp_path / runs.FILE
    file.write_text(file.read_text() + '{"code": "torn')
    assert len(runs.read_runs(tmp_path, runs.fingerprint(Protocol()))) == 3
    monkeypatch.setattr(runs, "simulate", lambda *_args: curve(0.7))
    found = runs.run_jobs(jobs, tmp_path)
    assert [c.accuracy[-1] for c in found.values()] == [0.5] * 3 + [0.7] * 3
    assert all(json.loads(line) for line in file.read_text().splitlines())
    assert runs.read_runs(tmp_path, runs.fingerprint(Protocol(share=0.5))) == {}


def test_area_by_hand():
    """0.2 to 0.4 over 100 annotations, 0.4 to 0.8 over 200: (30 + 120) / 300."""
    assert area(curve(0.8)) == pytest.approx(0.5)


def test_paired_difference():
    rng = np.random.default_rng(0)
    base = rng.normal(size=10)
    found = paired_difference(base + 0.1, base)
    assert (found.low, found.value, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.verdict == "helps"
    noisy = paired_difference(rng.normal(size=10), rng.normal(size=10))
    assert noisy.low < 0 < noisy.high
    assert noisy.verdict == "nothing measurable"
    assert paired_difference([1.0], [0.0]).verdict == "nothing measurable"


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(1)
    held = [
        (d := paired_difference(rng.normal(size=10), np.zeros(10))).low <= 0 <= d.high
        for _ in range(150)
    ]
    assert np.mean(held) > 0.9


def test_a_cell_counts():
    jobs = runs.plan("digits", (METHODS["none"], METHODS["engine"]), [NOISE], range(3))
    curves = {job: curve(0.9 if job.method == "engine" else 0.8) for job in jobs}
    cell = Cell("digits", NOISE, (METHODS["none"], METHODS["engine"]), range(3), curves)
    row = cell.row(METHODS["engine"])
    assert (row.n, row.looks, row.hit_rate, row.damaged, row.most_looks) == (3, 4, 0.75, 1, 3)
    assert row.over_none.value == pytest.approx(0.1)
    assert row.over_activelab is None
    assert cell.name == "digits-symmetric-30-noisy"
