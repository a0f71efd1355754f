"""Benchmark of the phantom: how long a subject takes, and whether trivial methods find lesions.

Full: 8 subjects at 2 mm and 4 at 1 mm on one core, then 16 patients and 8 controls of the preset
``study`` in each of the worlds 0, 1 and 2, which differ in the law of shapes.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from figures import Figures, arguments, finish, peak_gib

from fcdsynth.phantom.bank import fill_bank
from fcdsynth.phantom.detectability import METHODS, best_found
from fcdsynth.phantom.difficulty import PRESETS
from fcdsynth.phantom.lesionlaw import LesionLaw
from fcdsynth.phantom.phantom import _one, phantom
from fcdsynth.phantom.report import TOO_EASY, read_counts
from fcdsynth.phantom.roster import draw_roster
from fcdsynth.phantom.sources import TEMPLATE, list_label_maps
from fcdsynth.phantom.world import draw_world


def time_subjects(folder: Path, anatomies: Path | None, spacing: float, n: int, report: bool
                  ) -> list[float]:  # fmt: skip
    """Seconds to simulate and write each of n subjects, their anatomies being ready."""
    names = tuple(p.name for p in list_label_maps(anatomies)) if anatomies else (TEMPLATE,)
    law = LesionLaw(
        difficulty=PRESETS["study"], world=draw_world(0), error_share=0.15, mix="realistic"
    )
    roster = draw_roster(n // 2, n - n // 2, 2, 11, names, law)
    bank = folder / "bank"
    fill_bank(bank, [spec.anatomy for spec in roster.specs], anatomies)
    out = folder / f"{spacing}-{report}"
    seconds = []
    for spec in roster.specs:
        start = time.perf_counter()
        _one(out, out, bank, spacing, roster, report, spec)
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    """Measure, print, write."""
    args = arguments(__doc__ or "")
    figures = Figures("phantom", args.quick)
    anatomies = args.data / "anatomies"
    known = anatomies if anatomies.is_dir() and not args.quick else None
    if known is None:
        figures.notes.append("anatomy: ICBM152 (no label maps used)")
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        n2, n1 = (2, 0) if args.quick else (8, 4)
        start = time.perf_counter()
        seconds = time_subjects(Path(scratch), known, 2.0, n2, report=False)
        figures.add_values("subject_seconds_2mm", seconds, at_most=2)
        if n1:
            figures.add_values("subject_seconds_1mm",
                               time_subjects(Path(scratch), known, 1.0, n1, False),
                               at_most=20)  # fmt: skip
            figures.add_values("subject_with_report_seconds_2mm",
                               time_subjects(Path(scratch), known, 2.0, 4, True))  # fmt: skip
        figures.add("peak_gib", peak_gib(), 1, (peak_gib(), peak_gib()), at_most=4)
        figures.notes.append(f"timings took {time.perf_counter() - start:.0f} s")
        every = []
        patients, controls, worlds = (2, 1, (0,)) if args.quick else (16, 8, (0, 1, 2))
        spacing = 3.0 if args.quick else 2.0
        ring: list[float] = []
        bottoms: Counter[bool] = Counter()
        for world in worlds:
            out = phantom(
                str(work / f"world-{world}"), patients, controls, seed=20 + world, world=world,
                anatomies=str(known) if known else None, spacing=spacing, workers=args.workers,
            )  # fmt: skip
            truth = out / "derivatives" / "truth"
            own = read_counts(truth)
            every += own
            for method in METHODS:
                found = best_found(own, method)
                hits = round(found.share * found.n_patients)
                figures.add_share(f"world{world}_{method}_found_at_1fp", hits, found.n_patients)
            for record in sorted(truth.glob("sub-*/*_truth.json")):
                for lesion in json.loads(record.read_text())["lesions"][:1]:
                    ring.append(abs(lesion["flair_ring_z"]))
                    if lesion["volume_ml"] < 3:
                        bottoms[lesion["at_bottom"]] += 1
    for method in METHODS:
        found = best_found(every, method)
        figures.add_share(f"{method}_found_at_1fp", round(found.share * found.n_patients),
                          found.n_patients, at_most=TOO_EASY)  # fmt: skip
    figures.add("flair_ring_z_median", float(np.median(ring)), len(ring),
                tuple(np.quantile(ring, [0.25, 0.75])))  # fmt: skip
    figures.add_share("small_at_sulcal_bottom", bottoms[True], bottoms.total())
    finish(figures, args.out)


if __name__ == "__main__":
    main()
