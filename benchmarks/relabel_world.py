"""Patients whose masks were drawn with planted errors, and maps of detectors that learnt from them.

Every fifth mask is wrong, each of nine errors in its turn (``phantom --errors dealt``). Subjects
of one anatomy are a family, so no detector has seen the anatomy that it judges. Everything after
the phantom goes through the verbs of docs/detector.md: folds, fit, detect, flag.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from figures import ROOT
from fits import fitted as fitted_here
from fits import fitted_apart

from fcdsynth.cli import main as fcdsynth
from fcdsynth.phantom.parted import Part
from fcdsynth.phantom.phantom import phantom

SEED = 210
FOLDS = 5


@dataclass(frozen=True)
class Size:
    """How large a measurement is.

    Args:
        patients: Patients.
        controls: Controls.
        errors: Share of patients whose mask is wrong.
        config: Config of the detector.
        steps: Training steps of each fold.
        spacing: mm.
        folds: Folds.
        trees: Trees of flag's forests.
        pairs: Times that chance is drawn anew for intervals.
        apart: Whether fits and detections are processes of their own, side by side.
    """

    patients: int = 450
    controls: int = 60
    errors: float = 0.2
    config: str = "configs/detector/phantom-2mm.yaml"
    steps: int = 2000
    spacing: float = 2.0
    folds: int = FOLDS
    trees: int = 300
    pairs: int = 2000
    apart: bool = True


QUICK = Size(18, 3, 0.5, "configs/detector/smoke.yaml", 20, 4.0, 2, 30, 200, False)


def heads(
    work: Path, preset: str, size: Size, anatomies: Path | None, workers: int, seed: int = SEED
) -> Path:
    """Simulate the cohort.

    Args:
        work: Folder to keep it in.
        preset: Difficulty.
        size: How large.
        anatomies: Folder of label maps, each a family; the template alone when None.
        workers: Processes.
        seed: Seed of the heads.
    """
    told = {} if anatomies is None else {
        "anatomies": str(anatomies),
        "parts": [Part(tuple(sorted(p.name for p in anatomies.glob("*.nii.gz"))),
                       size.patients, size.controls, "train")],
    }  # fmt: skip
    return phantom(
        str(work / f"phantom-{preset}"), size.patients, size.controls, 3, seed,
        spacing=size.spacing, workers=workers, difficulty=preset, errors="dealt",
        error_share=size.errors, prepared=True, report=False, **told,
    )  # fmt: skip


def fitted(
    work: Path, cohort: Path, size: Size, workers: int, name: str, steps: int | None = None
) -> Path:
    """Detectors of all folds, trained on the masks as they were drawn; their common folder."""
    if fcdsynth(["folds", str(cohort), str(work / f"folds-{name}"), "--number", str(size.folds)]):
        raise SystemExit(f"{name} could not be dealt into folds")
    out = work / f"fits-{name}"
    steps = steps or size.steps
    words = ("--trainer.max_steps", str(steps), "--model.snapshots", "10",
             "--data.cache", str(work / f"cache-{name}"))  # fmt: skip
    fit = fitted_apart if size.apart else fitted_here
    with ThreadPoolExecutor(workers if size.apart else 1) as pool:
        jobs = [pool.submit(fit, out / f"fold-{k}", work / f"folds-{name}" / f"fold-{k}",
                            size.config, *words) for k in range(size.folds)]  # fmt: skip
        for job in jobs:
            job.result()
    return out


def seen(work: Path, fits: Path, cohort: Path, size: Size, name: str, threads: int) -> Path:
    """Out-of-fold maps of all subjects, with the features of their regions."""
    out = work / f"maps-{name}"
    words = ["detect", str(fits), str(cohort), str(out), "--split", "all", "--out_of_fold", "true",
             "--features", "true", "--pages", "false", "--precision", "bf16", "--windows",
             "8"]  # fmt: skip
    if not size.apart:
        if fcdsynth(words):
            raise SystemExit(f"{name} could not be looked at")
        return out
    command = [sys.executable, "-m", "fcdsynth", *words]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} could not be looked at: {done.stderr[-2000:]}")
    return out


def flagged(
    work: Path, cohort: Path, maps: Path, fits: Path, size: Size, name: str, workers: int
) -> Path:
    """The queue, from what flag can read and nothing else."""
    out = work / f"flags-{name}"
    words = ["flag", str(cohort), str(maps), str(out), "--pictures", "0", "--fits", str(fits),
             "--rule", "learned", "--error_share", str(size.errors), "--mix", "stress",
             "--trees", str(size.trees), "--workers", str(workers)]  # fmt: skip
    if fcdsynth(words):
        raise SystemExit(f"{name} could not be flagged")
    return out


def planted_errors(folder: Path) -> dict[str, str]:
    """Error of every patient's mask in a phantom, ``none`` where it is right."""
    path = folder / "bids" / "derivatives" / "truth" / "truth.tsv"
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return {row["participant_id"]: row["error"] for row in rows}
