"""One site left out at a time: what a detector finds at a scanner that it has never seen."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from detector_froc import Scored, add_sensitivity
from figures import Figures
from fits import fitted_apart

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Split

Look = Callable[..., Scored]


def tables(work: Path, cohort: Path) -> dict[str, Path]:
    """One table per site: its test subjects test, the other sites' subjects train and validate.

    Test subjects of other sites are left out, so no anatomy trains and tests.
    """
    table = Cohort.read(cohort)
    found = {}
    for number, site in enumerate(sorted({s.site for s in table.subjects}), start=1):
        rows = tuple(
            replace(s, split=s.split if (s.site == site) == (s.split is Split.TEST) else Split.NONE)
            for s in table.subjects
        )  # fmt: skip
        out = work / f"cohort-without-site-{number}"
        replace(table, subjects=rows).moved(out).write()
        found[site] = out
    return found


def measure_sites(
    figures: Figures, work: Path, cohort: Path, config: str, steps: int, look: Look, workers: int
) -> None:
    """Add sensitivity and false clusters at each left-out site.

    Args:
        figures: Where to.
        work: Folder of fits and detections.
        cohort: The table with all sites.
        config: Config of the detector.
        steps: Training steps.
        look: Detects in the test subjects of a table and scores them.
        workers: Fits side by side.
    """
    left_out = tables(work, cohort)
    words = ("--trainer.max_steps", str(steps), "--data.cache", str(work / "cache"))
    with ThreadPoolExecutor(workers) as pool:
        fits = [pool.submit(fitted_apart, work / f"fit-{t.name}", t, config, *words)
                for t in left_out.values()]  # fmt: skip
        runs = [fit.result() for fit in fits]

    for number, (table, run) in enumerate(zip(left_out.values(), runs, strict=True), start=1):
        found = look(run, table, work / f"found-site-{number}")
        add_sensitivity(figures, f"site_{number}_sensitivity_at_half_fp", found)
        # At the operating point of its own validation subjects, who are of other sites.
        kept = look(run, table, work / f"kept-site-{number}", own_point=True)
        false = np.bincount(kept.curve.owners, minlength=len(kept.ids))
        rng = np.random.default_rng(1)
        draws = [np.mean(rng.choice(false, len(false))) for _ in range(2000)]
        figures.add(f"site_{number}_fp_per_subject", float(np.mean(false)), len(false),
                    tuple(np.quantile(draws, (0.025, 0.975))))  # fmt: skip
        hits = int((kept.curve.best[kept.curve.patient] > -np.inf).sum())
        figures.add_share(f"site_{number}_sensitivity", hits, int(kept.curve.patient.sum()))
