"""Dots with intervals, a line for each group of subjects or lesions: forest plot, subgroups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fcdsynth.evaluation.metrics import Figure
from fcdsynth.evaluation.pages.plot import (
    GREY,
    dodge,
    legend_above,
    new_figure,
    say_empty,
    style_of,
    tidy,
)
from fcdsynth.evaluation.pages.wording import is_share
from fcdsynth.evaluation.report import Report

_FEW = 5
_LINES = 3  # more dotted lines than this hide the dots
_HEADING = 0.24


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the chart.

    Args:
        label: Written on the left.
        scope: Scope of the figures shown on it; empty for a heading.
    """

    label: str
    scope: str = ""


def dots_figure(runs: Mapping[str, Report], lines: Sequence[Line], names: Mapping[str, str]) -> Any:
    """Draw figures of several scopes under the headline rule, each with its interval and n.

    Groups of fewer than five units are drawn in grey outline only: their intervals say little.
    A dotted line marks the figure over everybody.

    Args:
        runs: Reports by name.
        lines: The lines, from top to bottom.
        names: Name of each figure shown, with the words of its axis; a panel for each.
    """
    figure = new_figure(8.6, height_of(runs, lines) + 0.8)
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    unit = _unit(runs)
    ends = np.cumsum([unit if line.scope else _HEADING for line in lines])
    at = ends - [unit / 2 if line.scope else _HEADING / 2 for line in lines]
    for panel, (name, words) in zip(panels, names.items(), strict=True):
        _panel(panel, runs, dict(zip(at, lines, strict=True)), name)
        panel.set_xlabel(words, fontsize=9)
        tidy(panel)
        panel.grid(visible=False, axis="y")
        panel.tick_params(axis="y", length=0)
    panels[0].set_yticks(at, [line.label for line in lines], fontsize=8)
    for tick, line in zip(panels[0].get_yticklabels(), lines, strict=True):
        tick.set_fontweight("normal" if line.scope else "bold")
    panels[0].set_ylim(ends[-1] + 0.04, -0.04)
    if len(runs) > 1:
        legend_above(figure, panels[0], 6)
    return figure


def height_of(runs: Mapping[str, Report], lines: Sequence[Line]) -> float:
    """Inches that the lines of a chart take."""
    return sum(_unit(runs) if line.scope else _HEADING for line in lines)


def _unit(runs: Mapping[str, Report]) -> float:
    return max(0.25, 0.085 * len(runs) + 0.08)


def figure_of(report: Report, name: str, scope: str) -> Figure | None:
    """A figure under the headline rule, None where the report has none of that scope."""
    try:
        return report.figure(name, scope=scope)
    except KeyError:
        return None


def _panel(panel: Any, runs: Mapping[str, Report], lines: Mapping[float, Line], name: str) -> None:
    panel.set_xlim(-0.02, 1.17)
    ticks = ("0", "25", "50", "75", "100 %") if is_share(name) else ("0", ".25", ".5", ".75", "1")
    panel.set_xticks([0, 0.25, 0.5, 0.75, 1], ticks)
    drawn = False
    for number, (run, report) in enumerate(runs.items()):
        style = style_of(number)
        panel.plot([], [], style.mark, color=style.colour, markersize=5, label=run)
        whole = figure_of(report, name, "all")
        if whole is not None and whole.value is not None and len(runs) <= _LINES:
            panel.axvline(whole.value, color=style.colour, linestyle=":", linewidth=0.9)
        for height, line in lines.items():
            figure = figure_of(report, name, line.scope) if line.scope else None
            if figure is None or figure.value is None:
                continue
            drawn = True
            y = height + dodge(number, len(runs), 0.085 * len(runs))
            few = figure.n < _FEW
            colour = GREY if few else style.colour
            if figure.low is not None and figure.high is not None:
                panel.plot([figure.low, figure.high], [y, y], color=colour,
                           linewidth=0.8 if few else 1.5, zorder=2)  # fmt: skip
            panel.plot([figure.value], [y], style.mark, color=colour, markersize=5,
                       markerfacecolor="white" if few else colour, zorder=3)  # fmt: skip
            if number == 0:
                count = "" if figure.count is None or len(runs) > 1 else f"{figure.count}/"
                panel.text(1.165, height, f"{count}{figure.n}", ha="right", va="center",
                           fontsize=7.5)  # fmt: skip
    if not drawn:
        say_empty(panel, "no value")
