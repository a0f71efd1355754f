"""How long the default generator takes for a pair of whole 1 mm volumes in insert mode."""

from __future__ import annotations

import time
from pathlib import Path

from figures import Figures
from fits import fitted

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Split
from fcdsynth.masks.draw import draw
from fcdsynth.phantom.phantom import phantom
from fcdsynth.synthesis.honesty import Checks
from fcdsynth.synthesis.synthesize import synthesize


def measure_insert(
    figures: Figures, work: Path, anatomies: Path | None, config: str, lesions: int,
    spacing_mm: float = 1.0, workers: int = 2,
) -> None:  # fmt: skip
    """Add the seconds of a pair, from the call of ``synthesize`` to the written cohort.

    Args:
        figures: Where to.
        work: Folder to write in.
        anatomies: Label maps of whole heads.
        config: Config of the generator; one step is trained, which is enough for its time.
        lesions: Pairs to draw.
        spacing_mm: Voxel size.
        workers: Processes, of one thread each.
    """
    folder = phantom(
        str(work / "fine"), patients=2, controls=2, sites=1, seed=8, prepared=True,
        anatomies=None if anatomies is None else str(anatomies), spacing=spacing_mm,
        workers=workers, report=False,
    )  # fmt: skip
    table = Cohort.read(folder)
    cohort = work / "fine-cohort"
    table.with_splits({s.id: Split.TRAIN for s in table.subjects}).write(cohort)
    crop = "64" if spacing_mm == 1 else "16"
    run = fitted(work / "fine-generator", cohort, config, "--data.workers", "0",
                 "--data.batch_size", "1", "--data.crop", crop, "--data.steps_per_epoch", "1",
                 "--trainer.max_epochs", "1")  # fmt: skip
    drawn = draw(str(cohort), str(work / "fine-drawn"), lesions=lesions, controls=0, seed=9,
                 growth_trials=4, workers=workers)  # fmt: skip
    out = work / f"fine-synthetic-{time.time_ns()}"
    began = time.monotonic()
    synthesize(str(run), str(drawn), str(out), seed=3, workers=workers,
               checks=Checks(refuse=False))  # fmt: skip
    seconds = (time.monotonic() - began) / lesions
    figures.add("insert_seconds_1mm", seconds, lesions, (seconds, seconds), at_most=15)
