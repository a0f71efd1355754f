"""Learning curves: accuracy and wrong labels against annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fcdsynth.study.relabelling.methods import METHODS
from fcdsynth.study.relabelling.summary import Cell

_NAMED = {
    "none": "#4477aa",
    "random": "#ccbb44",
    "activelab": "#aa3377",
    "engine": "#228833",
    "oracle": "#222222",
    "noise-free": "#999999",
}


def draw_cell(cell: Cell, path: Path) -> None:
    """Draw a cell's curves; the methods a reader looks for in colour, the others thin."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    accuracy, wrong = figure.subplots(1, 2)
    for method in cell.methods:
        runs = cell.curves(method.name)
        x = runs[0].annotations
        colour = _NAMED.get(method.name)
        style = {"color": colour or "#bbbbbb", "lw": 2 if colour else 0.8,
                 "ls": "--" if method.name in ("oracle", "noise-free") else "-"}  # fmt: skip
        label = METHODS[method.name].title if colour else None
        accuracy.plot(x, np.mean([run.accuracy for run in runs], axis=0), label=label, **style)
        wrong.plot(x, np.mean([run.wrong for run in runs], axis=0), **style)
    accuracy.set(xlabel="annotations", ylabel="accuracy on the test set")
    wrong.set(xlabel="annotations", ylabel="share of wrong labels")
    wrong.set_ylim(bottom=0)
    for axes in (accuracy, wrong):
        axes.grid(alpha=0.3)
    accuracy.legend(fontsize="x-small")
    noise = cell.noise
    figure.suptitle(
        f"{cell.data}, {noise.kind} noise {100 * noise.rate:.0f} %, {noise.reader} second reader, "
        f"mean of {len(cell.seeds)} seeds", fontsize="medium",
    )  # fmt: skip
    figure.savefig(path, dpi=110)
