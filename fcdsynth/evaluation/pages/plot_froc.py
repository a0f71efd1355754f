"""FROC: lesions found against false positives, patients and controls apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fcdsynth.evaluation.pages.plot import legend_above, new_figure, say_empty, style_of, tidy
from fcdsynth.evaluation.pages.wording import RULES
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule

_GROUPS = ("patient", "control")


def froc_figure(runs: Mapping[str, Report]) -> Any:
    """Draw the curves; a large open mark is the operating point, where detect stopped.

    One run: a line for each rule, the headline rule the thickest. Several runs: a line for each
    run, and a row of panels for each rule, the headline rule first.

    Args:
        runs: Reports by name.
    """
    first = next(iter(runs.values()))
    if len(runs) == 1:
        rows = [[(rule.words, first, rule) for rule in Rule]]
    else:
        ordered = sorted(Rule, key=lambda rule: rule is not first.rule)
        rows = [[(name, report, rule) for name, report in runs.items()] for rule in ordered]
    figure = new_figure(8.6, 3.4 * len(rows) ** 0.75 + 0.5)
    panels = figure.subplots(len(rows), 2, sharey=True, squeeze=False)
    for row, curves in enumerate(rows):
        for panel, group in zip(panels[row], _GROUPS, strict=True):
            _panel(panel, curves, group, len(runs) == 1)
            if row == len(rows) - 1:
                panel.set_xlabel(f"false positives per {group}", fontsize=9)
        n_lesions = sum(len(s.lesions) for s in first.subjects)
        panels[row][0].set_ylabel(f"lesions found, of {n_lesions}", fontsize=9)
        for panel, group in zip(panels[row], _GROUPS, strict=True):
            n = sum(s.is_patient == (group == "patient") for s in first.subjects)
            rule = "" if len(runs) == 1 else f": {RULES[curves[0][2]]}"
            panel.set_title(f"n = {n} {group}s{rule}", fontsize=9, loc="left")
    legend_above(figure, panels[0][0], 2 if len(runs) == 1 else 4)
    return figure


def _panel(panel: Any, curves: list[tuple[str, Report, Rule]], group: str, by_rule: bool) -> None:
    drawn = False
    for number, (name, report, rule) in enumerate(curves):
        kept = [
            (x, point.lesion_recall)
            for point in report.froc
            if point.rule == rule.value
            and (x := getattr(point, f"false_positives_per_{group}")) is not None
            and point.lesion_recall is not None
        ]
        if not kept:
            continue
        drawn = True
        style = style_of(number)
        thick = 2.2 if by_rule and rule is report.rule else 1.4
        x, y = zip(*kept, strict=True)
        panel.step(x, y, where="post", color=style.colour, linestyle=style.dash, linewidth=thick,
                   marker=style.mark, markevery=[len(x) - 1], markersize=8,
                   markerfacecolor="white", markeredgewidth=1.6, label=name)  # fmt: skip
    if not drawn:
        patients = any(s.is_patient for _, report, _ in curves for s in report.subjects)
        say_empty(panel, f"no {group}s" if patients else "no lesions")
    panel.set_xlim(left=0)
    panel.margins(x=0.06)
    panel.set_ylim(0, 1.04)
    tidy(panel)
