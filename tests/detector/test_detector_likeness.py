"""Clusters traced to the training lesions that look like them to the network."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from phantom import prepared_cohort

from fcdsynth.cli import main
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detection, Detections, OperatingPoint
from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.subject import Origin, Split
from fcdsynth.core.volume import Volume, read_mask, write_volume
from fcdsynth.detector.likeness import likeness, read_likeness

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = [f"sub-{n:05d}" for n in range(1, 9)]  # four patients, four controls


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Patients 1 to 3 train, 3 as if synthetic; test rows are copies of patients 1 and 3."""
    folder = tmp_path_factory.mktemp("likeness")
    made = prepared_cohort(folder / "real")
    splits = dict.fromkeys(NAMES[:3] + NAMES[4:7], Split.TRAIN) | dict.fromkeys(
        (NAMES[3], NAMES[7]), Split.VAL
    )
    rows = [replace(s, split=splits[s.id]) for s in made.subjects]
    rows[2] = replace(rows[2], origin=Origin.SYNTHETIC)
    training = Cohort(made.folder, tuple(rows))
    training.write()
    words = ["-c", str(CONFIGS / "detector/smoke.yaml"), "-c", str(CONFIGS / "machine/cpu.yaml"),
             "--data.cohort", str(made.folder), "--out", str(folder / "run"),
             "--trainer.enable_progress_bar", "false"]  # fmt: skip
    assert main(["fit", *words]) == 0
    copies = [replace(rows[k], id=f"copy-{k + 1}", split=Split.TEST) for k in (0, 2)]
    Cohort(made.folder, tuple(copies)).moved(folder / "test").write()
    found = folder / "found"
    clusters = []
    for copy in copies:
        mask = read_mask(training.path(copy, "lesion"))
        clusters.append(
            Detection(copy.id, 1, 0.8, 1.0, int(mask.array.sum()), (0.0, 0.0, 0.0), "L", 0.9, 0.8)
        )
        path = found / copy.id / f"{copy.id}_clusters.nii.gz"
        write_volume(path, Volume(mask.array.astype(np.int16), mask.grid))
    names = tuple(copy.id for copy in copies)
    Detections(found, names, tuple(clusters), OperatingPoint()).write_tables()
    return folder


def trace(folder, out, **more):
    words = (folder / "run", folder / "found", folder / "test", folder / "real", folder / out)
    return likeness(*map(str, words), **more)


def test_a_lesion_looks_most_like_itself(world):
    rows = read_likeness(trace(world, "out", nearest=3))
    assert [(r.subject, r.rank) for r in rows] == [
        (name, rank) for name in ("copy-1", "copy-3") for rank in (1, 2, 3)
    ]
    first = {r.subject: r for r in rows if r.rank == 1}
    assert first["copy-1"].training_subject == "sub-00001"
    assert first["copy-1"].origin == "phantom"
    assert first["copy-3"].training_subject == "sub-00003"
    assert first["copy-3"].origin == "synthetic"
    for r in rows:
        assert r.score == 0.8
        if r.rank == 1:
            assert r.likeness == pytest.approx(1, abs=1e-3)
        else:
            assert r.likeness < 0.99
    record = json.loads((world / "out" / "training.json").read_text())
    assert record == {"lesions": 3, "synthetic": 1}


def test_no_more_are_named_than_there_are(world):
    rows = read_likeness(trace(world, "many", nearest=9))
    assert max(r.rank for r in rows) == 3


def test_bad_input(world, tmp_path):
    with pytest.raises(SettingsError, match="nearest"):
        trace(world, "none", nearest=0)
    with pytest.raises(RunError):
        likeness(*(str(world / n) for n in ("real", "found", "test", "real")), str(tmp_path / "x"))
    with pytest.raises(CohortError, match="0 training patients"):
        likeness(*(str(world / n) for n in ("run", "found", "test", "test")), str(tmp_path / "x"))
