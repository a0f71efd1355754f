"""Reliability diagrams: how often a probability is right, over voxels and over clusters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fcdsynth.evaluation.calibration import CLUSTERS, VOXELS, Calibration
from fcdsynth.evaluation.pages.plot import GREY, legend_above, new_figure, say_empty, style_of, tidy
from fcdsynth.evaluation.report import Report

_FEW = 5


def calibration_figure(runs: Mapping[str, Report]) -> Any:
    """Draw share against probability, and below it how many units each bin holds.

    Args:
        runs: Reports by name; clusters follow the headline rule.
    """
    figure = new_figure(8.6, 4.6)
    panels = figure.subplots(2, 2, sharex=True, height_ratios=[3, 1], squeeze=False)
    for column, level in enumerate((VOXELS, CLUSTERS)):
        upper, lower = panels[0][column], panels[1][column]
        upper.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=":")
        why = ""
        for number, (name, report) in enumerate(runs.items()):
            one = calibration_of(report, level)
            if one is None or one.ece is None:
                why = "" if one is None else one.reason
                continue
            _curve(upper, lower, one, name, number)
        total = {sum(one.n) for r in runs.values() if (one := calibration_of(r, level))}
        low, high = (min(total, default=0), max(total, default=0))
        n = f"{low:,}" if low == high else f"{low:,} to {high:,}"
        upper.set_title(f"{level}, n = {n}", fontsize=9, loc="left")
        upper.set_ylim(0, 1.02)
        if not lower.lines:
            say_empty(upper, why or "no value")
        else:
            lower.set_yscale("log")
        lower.set_xlabel("probability" if level == VOXELS else "score of the cluster", fontsize=9)
        lower.set_xlim(0, 1)
        for axes in (upper, lower):
            tidy(axes)
    panels[0][0].set_ylabel("share inside a lesion", fontsize=9)
    panels[0][1].set_ylabel("share that hit a lesion", fontsize=9)
    panels[1][0].set_ylabel("n in the bin", fontsize=9)
    if len(runs) > 1:
        legend_above(figure, panels[0][1])
    return figure


def calibration_of(report: Report, level: str) -> Calibration | None:
    """The calibration of a level, of clusters under the headline rule; None without one."""
    rule = report.rule.value if level == CLUSTERS else ""
    wanted = [one for one in report.calibration if (one.level, one.rule) == (level, rule)]
    return wanted[0] if wanted else None


def _curve(upper: Any, lower: Any, one: Calibration, name: str, number: int) -> None:
    style = style_of(number)
    drawn = [
        (score, share, n)
        for score, share, n in zip(one.mean_score, one.share, one.n, strict=True)
        if score is not None and share is not None
    ]
    x, y, n = zip(*drawn, strict=True)
    upper.plot(x, y, color=style.colour, linestyle=style.dash, linewidth=1.3)
    upper.plot([], [], marker=style.mark, color=style.colour, linestyle=style.dash, label=name)
    for few, face in ((False, style.colour), (True, "white")):
        at = [(a, b) for a, b, units in drawn if (units < _FEW) is few]
        upper.plot(*(zip(*at, strict=True) if at else ([], [])), style.mark, color=style.colour,
                   markerfacecolor=face, markersize=5)  # fmt: skip
    lower.plot(x, n, marker=style.mark, color=style.colour, linestyle=style.dash, linewidth=1.0,
               markersize=4)  # fmt: skip
