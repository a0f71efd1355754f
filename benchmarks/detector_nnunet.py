"""nnU-Net v2 on the same phantoms: exported by our verb, trained by itself, judged as we are.

`peer_nnunet` runs in a process of its own, by the interpreter of this one: nnunetv2 must be
installed beside fcdsynth (``pip install -c constraints.txt '.[nnunet]'``; where its torchvision
does not go with torch, uninstall torchvision: neither needs it).
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from figures import ROOT

from fcdsynth.cli import main as fcdsynth
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import OperatingPoint
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Split, Subject
from fcdsynth.core.trained import TrainedRun
from fcdsynth.core.volume import Volume
from fcdsynth.detector.findings import native_probability, write_findings
from fcdsynth.detector.infer import probability
from fcdsynth.detector.operating import HeldOut, choose_operating_point
from fcdsynth.detector.peers.cases import case_id
from fcdsynth.training.data import load_arrays

FEATURES = (8, 16, 32, 64)


def is_installed() -> bool:
    """Whether nnU-Net can be measured against here."""
    return importlib.util.find_spec("nnunetv2") is not None


def peer(*words: str | Path) -> str:
    """Run one command of `peer_nnunet`; its last line of output."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "peer_nnunet.py"), *map(str, words)],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(
            f"nnU-Net failed at {words[0]}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        )
    return done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""


def exported(work: Path, cohort: Path, patch: int, batch: int) -> Path:
    """The cohort as nnU-Net's raw data set, planned and preprocessed."""
    out = work / "nnunet"
    if fcdsynth(["export", "nnunet", str(cohort), str(out)]):
        raise SystemExit("the cohort could not be exported")
    copy = work / "nnunet-work"
    if not (copy / "prepared").is_file():
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(out, copy)
        peer("prepare", copy, "--patch", str(patch), "--batch", str(batch), "--features",
             *map(str, FEATURES))  # fmt: skip
        (copy / "prepared").touch()
    return copy


def trained(export: Path, steps: int) -> dict[str, float]:
    """Train it; how long that took."""
    if not (export / "trained.json").is_file():
        peer("train", export, "--steps", str(steps))
    return dict(json.loads((export / "trained.json").read_text()))


def detections(work: Path, export: Path, cohort: Cohort, threshold: float, like: Path) -> Path:
    """Its maps as detections: temperature, scores and threshold from the validation subjects.

    Args:
        work: Folder to write into.
        export: From `exported`, trained.
        cohort: The cohort that was exported.
        threshold: Where clusters are cut, after calibration.
        like: A run of ours, which trained on the same subjects.
    """
    logits = work / "nnunet-logits"
    chosen = [s for split in (Split.VAL, Split.TEST) for s in cohort.of_split(split).subjects]
    peer("predict", export, logits, "--flips", "--cases", *(case_id(s.id) for s in chosen))

    def read(subject: Subject) -> tuple[np.ndarray, dict[str, np.ndarray], object]:
        arrays, grid = load_arrays(cohort, subject, ("t1w", "lesion"))
        found = np.load(logits / f"{case_id(subject.id)}.npz")["logits"].astype(np.float32)
        found[arrays["t1w"] <= 0] = -20
        return found, arrays, grid

    held_out = []
    for subject in cohort.of_split(Split.VAL).subjects:
        found, arrays, grid = read(subject)
        held_out.append(HeldOut(subject.id, found, arrays["t1w"] > 0, arrays["lesion"] > 0, grid))
    point, _ = choose_operating_point(held_out)
    point = OperatingPoint(**{**point.to_json(), "threshold": threshold, "min_volume_ml": 0.05,
                              "chosen_on": point.chosen_on})  # fmt: skip
    run = Run(work / "nnunet-detections", "import nnunet", point.to_json(), [])
    if not run.complete:

        def look(subject: Subject) -> Volume:
            found, _, grid = read(subject)
            prepared = Volume(probability(found, point.temperature), grid)
            return native_probability(prepared, cohort, subject)

        test = cohort.of_split(Split.TEST)
        with run:
            write_findings(run, test, look, point, TrainedRun.open(like).trained_on)
    return run.out
