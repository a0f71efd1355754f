"""What all plots share: drawn without a display, told apart without colour, equal bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fcdsynth.review.plots import png_of

if TYPE_CHECKING:
    from fcdsynth.evaluation.report import Report

GREY = "#555555"
# Okabe and Ito (2008): apart for colour-blind readers; marks and dashes keep them apart in print.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#7f7f7f")
_MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))


@dataclass(frozen=True, slots=True)
class Style:
    """How one series looks.

    Args:
        colour: Colour of line and mark.
        mark: Its mark.
        dash: Its dashes.
    """

    colour: str
    mark: str
    dash: Any


def style_of(number: int) -> Style:
    """Style of the series with this number, from 0."""
    return Style(
        _COLOURS[number % len(_COLOURS)], _MARKS[number % len(_MARKS)],
        _DASHES[number % len(_DASHES)],
    )  # fmt: skip


def new_figure(width: float, height: float) -> Any:
    """An empty white figure of a size in inches that draws into memory."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def tidy(axes: Any) -> None:
    """Take away what carries no number: two of the four borders, and the grid's weight."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def say_empty(axes: Any, why: str) -> None:
    """Write into an empty panel why it is empty."""
    axes.text(0.5, 0.5, why, ha="center", va="center", transform=axes.transAxes, color=GREY)


def legend_above(figure: Any, axes: Any, columns: int = 4) -> None:
    """One legend for all panels, above them, from the marks of one of them."""
    handles, names = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, names, loc="outside upper left", ncols=min(columns, len(names)), fontsize=8,
            frameon=False, handlelength=3.2,
        )  # fmt: skip


def dodge(number: int, n: int, width: float = 0.6) -> float:
    """Where the series with this number lies about a common place, none on top of another."""
    return width * ((number + 0.5) / n - 0.5)


def plot_froc(report: Report, path: Path) -> Path:
    """Write the FROC picture of one report as a PNG file.

    Args:
        report: The evaluation.
        path: PNG file to write.
    """
    from fcdsynth.evaluation.pages.plot_froc import froc_figure

    path.write_bytes(png_of(froc_figure({"": report})))
    return path
