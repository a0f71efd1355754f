"""Benchmark of stage 5: are wrong masks found, are minutes well spent, does it pay?

Parts, each kept when it is done (``benchmarks/results/relabel``, with commit and date), so that
the whole can be measured over days; ``--parts`` measures these anew and takes the others as kept:

    easy, study    planted errors in 450 patients' masks of that preset (`relabel_planted`), and
                   readers who spend a plan's minutes on them (`relabel_readers`)
    curve          preset easy with detectors that were trained for less and find less
    retrain        a detector before and after reviews are adopted (`relabel_retrain`)
    classification second looks on classification sets (`relabel_classification`)
    ledger         speed of the ledger (`ledger_speed`); wants an idle machine

``--quick`` measures all but classification (`relabel_classification --quick`) on tiny heads, keeps
nothing and holds no goals.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from figures import RESULTS, Figures, add_kept, arguments, finish, keep_part
from ledger_speed import measure_ledger
from relabel_classification import measure_classification
from relabel_planted import add_planted, measured_rows, read_rows, write_rows
from relabel_readers import measure_readers
from relabel_retrain import FULL, measure_retrain
from relabel_retrain import QUICK as QUICK_RETRAIN
from relabel_world import QUICK, Size

KEPT = RESULTS / "relabel"
PARTS = ("easy", "study", "curve", "retrain", "classification", "ledger")
SHORTER = (300, 800)


def measure_preset(
    figures: Figures, work: Path, kept: Path, preset: str, size: Size, data: Path | None,
    workers: int,
) -> None:  # fmt: skip
    """Add the figures of planted errors at a preset; the rows are kept as a table."""
    table = kept / f"planted-{preset}.csv"
    rows = measured_rows(work, preset, size, data, workers)
    write_rows(table, rows)
    add_planted(figures, preset, rows, size.pairs)
    kept_rows = [r for r in read_rows(table) if np.isfinite(r.numbers["p_err"])]
    queue = [(r.subject, r.numbers["p_err"], r.numbers["volume_ml"]) for r in kept_rows]
    truth = {r.subject: r.error != "none" for r in kept_rows}
    repeats = 20 if figures.quick else 200
    measure_readers(figures, queue, truth, repeats=repeats, base_rate=size.errors,
                    prefix=f"{preset}_")  # fmt: skip


def measure_curve(
    figures: Figures, work: Path, kept: Path, size: Size, data: Path | None, workers: int
) -> None:
    """Add the mean AUROC by how many lesions the detector finds."""
    for steps in SHORTER:
        rows = measured_rows(work, "easy", size, data, workers, steps)
        write_rows(kept / f"planted-easy-{steps}.csv", rows)
        add_planted(figures, f"easy_{steps}_steps", rows, size.pairs)


def main() -> None:
    """Run the benchmark."""
    args = arguments(__doc__ or "", parts=",".join(PARTS))
    torch.set_num_threads(1)
    quick, workers = args.quick, args.workers
    data = args.data / "anatomies" if (args.data / "anatomies").is_dir() else None
    figures = Figures("relabel", quick)
    with tempfile.TemporaryDirectory() as scratch:
        work = args.work or Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        kept = Path(scratch) if quick else KEPT
        size = QUICK if quick else Size()
        told = QUICK_RETRAIN if quick else FULL
        where = None if quick else data
        todo: dict[str, Callable[[Figures], None]] = {
            preset: lambda f, p=preset: measure_preset(f, work, kept, p, size, where, workers)
            for preset in ("easy", "study")
        }
        todo["curve"] = lambda f: measure_curve(f, work, kept, size, where, workers)
        todo["retrain"] = lambda f: measure_retrain(f, work, told, where, workers)
        todo["classification"] = lambda f: measure_classification(f, work, quick)
        events = (2000, 50) if quick else (100_000, 1000)
        todo["ledger"] = lambda f: measure_ledger(f, work, *events)
        asked = ("easy", "retrain", "ledger") if quick else tuple(args.parts.split(","))
        for name in asked:
            found = Figures("relabel", quick)
            todo[name](found)
            figures.figures |= found.figures
            figures.notes += found.notes
            if not quick:
                keep_part(found, name)
        for name in () if quick else PARTS:
            if name not in asked:
                add_kept(figures, name)
    lowest(figures)
    finish(figures, args.out)


def lowest(figures: Figures) -> None:
    """The figures that both presets must reach: the lower of the two."""
    for name in ("auroc_gain_vs_softmin", "auroc_gain_vs_dice"):
        both = [figures.figures[key] for key in (f"{name}_easy_low", f"{name}_study_low")
                if key in figures.figures]  # fmt: skip
        if both:
            least = min(both, key=lambda f: f.value)
            figures.add(f"{name}_low", least.value, least.n, least.interval, at_least=1e-9)
    ratios = [figures.figures[key] for key in ("easy_errors_per_minute_ratio",
              "study_errors_per_minute_ratio") if key in figures.figures]  # fmt: skip
    if ratios:
        least = min(ratios, key=lambda f: f.value)
        figures.add("errors_per_minute_ratio", least.value, least.n, least.interval, at_least=1.5)
    sides = [figures.figures[key] for key in ("wrong_side_found_easy", "wrong_side_found_study")
             if key in figures.figures]  # fmt: skip
    if sides:
        n = sum(f.n for f in sides)
        hits = round(sum(f.value * f.n for f in sides))
        figures.add_share("wrong_side_found", hits, n, at_least=1.0)


if __name__ == "__main__":
    main()
