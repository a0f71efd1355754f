"""The whole chain through the real door on tiny heads: index to report, stopped and resumed."""

import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from phantom import bids_folder

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections

TOP = Path(__file__).parents[1]
pytestmark = [pytest.mark.timeout(600)]


def words(bids, out):
    return ["study", str(bids), str(out), "-c", str(TOP / "configs" / "study" / "smoke.yaml"),
            "--spacing", "6", "--brain_mask", "given", "--workers", "1"]  # fmt: skip


def tree(folder):
    return {
        str(p.relative_to(folder)): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.suffix in (".gz", ".csv") and "metrics" not in p.parts
    }


@pytest.fixture(scope="session")
def bids(tmp_path_factory):
    return bids_folder(tmp_path_factory.mktemp("chain") / "bids", labels=True)


@pytest.fixture(scope="session")
def whole(bids):
    out = bids.parent / "whole"
    assert main([*words(bids, out), "--results", str(bids.parent / "kept")]) == 0
    return out


def test_the_report_stands_alone_and_its_numbers_lead_to_files(whole):
    page = (whole / "report.html").read_text(encoding="utf-8")
    assert "Not a medical device" in page
    assert "simulated" in page
    assert page.count("data:image/png;base64,") >= 8
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert str(whole.parent) not in page
    with (whole / "report.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["arm"] for row in rows} == {"FCDD-1", "FCDD-2", "FCDD-3"}
    for row in rows:
        assert (whole / row["file"]).is_file()
        if row["value"]:
            assert int(row["n"]) > 0
    report = json.loads((whole / "report.json").read_text())
    for arm in ("FCDD-1", "FCDD-2", "FCDD-3"):
        assert 0 <= report["arms"][arm][0]["subject_sensitivity"]["value"] <= 1
        assert 0 <= report["endpoint"]["sensitivity"][arm]["value"] <= 1


def test_sensitivity_can_be_recounted_from_the_detections(whole):
    """An independent count: a patient is found when a cluster voxel lies in the exact mask."""
    from fcdsynth.core.volume import read_mask, read_volume

    report = json.loads((whole / "report.json").read_text())
    draw = json.loads((whole / "plans" / "plan-1.json").read_text())["draws"][0]
    cohort = Cohort.read(whole / "draws" / "draw-1" / "test")
    for arm in ("FCDD-1", "FCDD-2", "FCDD-3"):
        detections = Detections.read(whole / "draws" / "draw-1" / arm / "detections")
        found = 0
        for name in draw["test_patients"]:
            exact = read_mask(cohort.path(cohort[name], "truth")).array
            clusters = read_volume(detections.clusters_path(name)).array > 0
            found += bool((exact & clusters).any())
        share = found / len(draw["test_patients"])
        told = report["arms"][arm][0]["subject_sensitivity"]
        assert told["value"] == pytest.approx(share)


def test_a_study_elsewhere_takes_up_results_and_trains_nothing(whole):
    out, kept = whole.parent / "elsewhere", whole.parent / "kept"
    assert len(list(kept.glob("draw-1-FCDD-*.zip"))) == 3
    config = str(TOP / "configs" / "study" / "smoke.yaml")
    assert main(["study", str(whole / "prepared"), str(out), "-c", config,
                 "--results", str(kept)]) == 0  # fmt: skip
    assert (out / "report.csv").read_bytes() == (whole / "report.csv").read_bytes()
    assert not list(out.glob("draws/*/*/detector"))
    told = [json.loads((f / "report.json").read_text()) for f in (whole, out)]
    for part in ("endpoint", "tracing", "plans_opened", "openings"):
        assert told[0][part] == told[1][part]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "draw-1 FCDD-2" in page
    assert "trained elsewhere" in page


def test_nothing_trained_descends_from_a_test_subject(whole):
    draw = json.loads((whole / "plans" / "plan-1.json").read_text())["draws"][0]
    test = {*draw["test_patients"], *draw["test_controls"]}
    for record in whole.glob("draws/*/*/detector/fold-*/subjects.json"):
        seen = json.loads(record.read_text())
        assert not test & {*seen["trained_on"], *seen["validated_on"], *seen["parents"]}
    synthetic = list(whole.glob("draws/draw-1/FCDD-2/fold-*/synthetic/cohort.csv"))
    assert len(synthetic) == 2
    for table in synthetic:
        held_out = test | {
            s.id for s in Cohort.read(table.parents[1] / "cohort").subjects if s.split == "val"
        }
        cohort = Cohort.read(table)
        parents = {p.subject for s in cohort.subjects for p in s.parents}
        assert parents
        assert not held_out & (parents | set(cohort.fitted_on))


def test_every_stage_says_what_made_it(whole):
    one = "draws/draw-1"
    for part in ("cohort", "prepared", "flags", f"{one}/FCDD-2/fold-0/drawn",
                 f"{one}/FCDD-2/fold-0/synthetic", f"{one}/FCDD-1/detector/fold-1",
                 f"{one}/FCDD-1/candidates", f"{one}/FCDD-1/detections",
                 f"{one}/FCDD-2/likeness", f"{one}/FCDD-1/evaluation"):  # fmt: skip
        record = json.loads((whole / part / "provenance.json").read_text())
        assert record["inputs"]
        assert record["wall_s"] >= 0
        assert (whole / part / "config.yaml").is_file()


def test_a_killed_study_goes_on_and_ends_the_same(bids, whole):
    """Killed in the middle of the second arm, then started again, two trainings at a time."""
    out = bids.parent / "stopped"
    with (bids.parent / "stopped.log").open("w") as log:
        command = [sys.executable, "-m", "fcdsynth", *words(bids, out)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + 400
    while not (out / "draws" / "draw-1" / "FCDD-2" / "fold-0" / "drawn").exists():
        assert process.poll() is None, (bids.parent / "stopped.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not (out / "report.html").exists()
    finished = out / "draws" / "draw-1" / "FCDD-1" / "detector" / "fold-1" / "last.ckpt"
    done = finished.stat().st_mtime_ns
    assert main([*words(bids, out), "--side_by_side", "2"]) == 0
    assert "Epoch" in (out / "logs" / "draw-1-FCDD-3-fold-1.log").read_text()
    assert finished.stat().st_mtime_ns == done
    assert tree(out).keys() == tree(whole).keys()
    differing = [name for name, content in tree(whole).items() if tree(out)[name] != content]
    assert differing == []


def test_a_study_is_not_overwritten_by_another(bids, whole, capsys):
    assert main([*words(bids, whole), "--seed", "5"]) == 1
    assert "another study" in capsys.readouterr().err
    assert main([*words(bids, whole), "--rate", "1"]) == 1  # another endpoint, after the looks
    assert "--new_plan" in capsys.readouterr().err
    assert (whole / "report.html").is_file()


def test_the_notebook_walks_through_the_study(whole, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(TOP / "notebooks" / "01_walk_through_a_demo.ipynb", as_version=4)
    before = os.environ.get("FCDSYNTH_STUDY")
    os.environ["FCDSYNTH_STUDY"] = str(whole)
    try:
        NotebookClient(notebook, timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    finally:
        os.environ.pop("FCDSYNTH_STUDY")
        if before is not None:
            os.environ["FCDSYNTH_STUDY"] = before
    pictures = sum(
        "image/png" in output.get("data", {})
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    )
    assert pictures >= 2


@pytest.mark.parametrize(
    ("break_it", "words_shown"),
    [
        (lambda b: next(b.glob("sub-00001/anat/*FLAIR.nii.gz")).unlink(), "sub-00001"),
        (lambda b: next(b.glob("sub-00002/anat/*roi.nii.gz")).unlink(), "sub-00002"),
        (
            lambda b: next(b.glob("sub-00012/anat/*T1w.nii.gz")).write_bytes(b"\x1f\x8b junk"),
            "sub-00012",
        ),
    ],
)
def test_a_faulty_folder_is_named_and_leaves_nothing_behind(
    tmp_path, capsys, break_it, words_shown
):
    bids = bids_folder(tmp_path / "bids", 2, 12, labels=True)
    break_it(bids)
    assert main(words(bids, tmp_path / "out")) == 1
    assert words_shown in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bids"]
