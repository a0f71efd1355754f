"""What second looks are worth at equal cost, on classification sets with planted noise.

Goals: at 30 % symmetric noise and a second reader as noisy as the first, over ten seeds, the
lower ends of the 95 % intervals of the engine's paired gain in accuracy, against no second looks
and against ActiveLab, lie above 0 on digits and on Fashion-MNIST. Settings were chosen on seeds
100 to 107, and an engine that did not withhold doubted labels was tried on seeds 0 to 9; seeds 200
to 209, looked at by nobody before, are reported.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from figures import Figures, arguments, finish

from fcdsynth.core.errors import SettingsError
from fcdsynth.study.relabelling.methods import find_methods
from fcdsynth.study.relabelling.noise import NoiseSettings
from fcdsynth.study.relabelling.pages import write_report, write_tables
from fcdsynth.study.relabelling.relabel import QUICK_METHODS, QUICK_SEEDS
from fcdsynth.study.relabelling.runs import plan, run_jobs
from fcdsynth.study.relabelling.sets import folder_of
from fcdsynth.study.relabelling.summary import Cell, Difference

SETS = {"digits": "digits", "fashion": "fashion-mnist"}
GOAL = NoiseSettings("symmetric", 0.3, "noisy")
NOISES = (
    GOAL,
    NoiseSettings("symmetric", 0.3, "clean"),
    *(NoiseSettings("symmetric", rate, reader) for rate in (0.1, 0.5)
      for reader in ("noisy", "clean")),
    *(NoiseSettings(kind, 0.3, "noisy") for kind in ("pair", "clustered", "boundary")),
)  # fmt: skip
FIRST_SEED, SEEDS = 200, 10


def seeds_of(quick: bool) -> range:
    """Seeds that are reported."""
    return range(FIRST_SEED, FIRST_SEED + (QUICK_SEEDS if quick else SEEDS))


def jobs_of(quick: bool) -> list:
    """All runs, those that the goals rest on first."""
    methods = find_methods(QUICK_METHODS if quick else "all")
    seeds = seeds_of(quick)
    return [
        job
        for noise in ((GOAL,) if quick else NOISES)
        for data in (("digits",) if quick else SETS.values())
        for job in plan(data, methods, (noise,), seeds)
    ]


def measure_classification(figures: Figures, work: Path, quick: bool) -> None:
    """Add the figures of the re-labelling engine on classification sets.

    Args:
        figures: Where to.
        work: Folder where runs are kept; a stopped measurement goes on.
        quick: Digits, three seeds, four methods, one noise; about a minute.
    """
    folder = work / "relabel-classification"
    folder.mkdir(parents=True, exist_ok=True)
    methods = find_methods(QUICK_METHODS if quick else "all")
    seeds = seeds_of(quick)
    cells = []
    for short, data in SETS.items():
        if quick and short != "digits":
            continue
        try:
            source = None if data == "digits" else folder_of(data, None)
        except SettingsError as error:
            figures.notes.append(f"{data} was not measured: {error.remedy}")
            continue
        for noise in (GOAL,) if quick else NOISES:
            curves = run_jobs(plan(data, methods, (noise,), seeds), folder, source)
            cell = Cell(data, noise, methods, seeds, curves)
            cells.append(cell)
            add_cell(figures, short, cell)
    write_tables(folder, cells)
    write_report(folder, cells)
    digits = next(cell for cell in cells if cell.data == "digits" and cell.noise == GOAL)
    add_difference(figures, "random_purity_gain", digits.purity_versus("random", "none"))


def add_cell(figures: Figures, short: str, cell: Cell) -> None:
    """The goals' figures for the cell they are about, and every method's for every cell."""
    noise, n = cell.noise, len(cell.seeds)
    if noise == GOAL:
        for rival, name in (("none", "none"), ("activelab", "activelab")):
            found = cell.versus("engine", rival)
            if found is not None:
                ends = (found.low, found.high)
                figures.add(f"{short}_gain_vs_{name}_low", found.low, n, ends, at_least=1e-9)
    stem = f"{short}_{noise.kind}{round(100 * noise.rate)}_{noise.reader}"
    for row in cell.rows:
        name = f"{stem}_{row.method.replace('-', '_')}"
        figures.add_values(f"{name}_accuracy", cell.accuracy(row.method), "mean")
        wrong = [curve.wrong[-1] for curve in cell.curves(row.method)]
        figures.add_values(f"{name}_wrong", wrong, "mean")
        if np.isfinite(row.hit_rate):
            figures.add(f"{name}_hit_rate", row.hit_rate, n, (row.hit_rate, row.hit_rate))
        for rival, difference in (("none", row.over_none), ("activelab", row.over_activelab)):
            if row.method != rival:
                add_difference(figures, f"{name}_over_{rival}", difference)
        most = float(row.most_looks)
        figures.add(f"{name}_most_annotations_of_one", most, n, (most, most))


def add_difference(figures: Figures, name: str, found: Difference | None) -> None:
    """Add a paired difference with its interval."""
    if found is not None:
        figures.add(name, found.value, found.n, (found.low, found.high))


def main() -> None:
    """Measure, print, write."""
    args = arguments(__doc__ or "")
    figures = Figures("relabel_classification", args.quick)
    with tempfile.TemporaryDirectory() as temporary:
        measure_classification(figures, args.work or Path(temporary), args.quick)
    finish(figures, args.out)


if __name__ == "__main__":
    main()
