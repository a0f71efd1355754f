"""Networks that a benchmark fits through the command line."""

from __future__ import annotations

from pathlib import Path

from fcdsynth.cli import main as fcdsynth


def fitted(out: Path, cohort: Path, config: Path | str, *words: str) -> Path:
    """A trained network; resumed where its fit was stopped."""
    if fcdsynth(["fit", "-c", str(config), "-c", "configs/machine/cpu.yaml",
                 "--data.cohort", str(cohort), "--out", str(out), *words]):  # fmt: skip
        raise SystemExit(f"{out.name} could not be fitted")
    return out
