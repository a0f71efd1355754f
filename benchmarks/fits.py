"""Networks that a benchmark fits through the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from figures import ROOT

from fcdsynth.cli import main as fcdsynth


def fitted(out: Path, cohort: Path, config: Path | str, *words: str) -> Path:
    """A trained network; resumed where its fit was stopped."""
    if fcdsynth(["fit", "-c", str(config), "-c", "configs/machine/cpu.yaml",
                 "--data.cohort", str(cohort), "--out", str(out), *words]):  # fmt: skip
        raise SystemExit(f"{out.name} could not be fitted")
    return out


def fitted_apart(out: Path, cohort: Path, config: Path | str, *words: str) -> Path:
    """The same in a process of its own, so that two fits can run side by side."""
    command = [sys.executable, "-m", "fcdsynth", "fit", "-c", str(config), "-c",
               "configs/machine/cpu.yaml", "--data.cohort", str(cohort), "--out", str(out),
               *words]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE",
                                "PYTHONPATH": str(ROOT)}  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{out.name} could not be fitted: {done.stderr[-2000:]}")
    return out
