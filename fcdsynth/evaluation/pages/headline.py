"""The headline figures, and the same under every rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fcdsynth.evaluation.metrics import Figure
from fcdsynth.evaluation.pages.blocks import Cell, Section, table, text
from fcdsynth.evaluation.pages.plot_dots import figure_of
from fcdsynth.evaluation.pages.wording import (
    RULES,
    cell,
    chance,
    counted,
    interval,
    is_share,
    label,
    narrow_cell,
    number,
)
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule

_HEADLINE = (
    "subject_sensitivity", "specificity", "false_positives_per_patient",
    "false_positives_per_control", "lesion_recall", "site_probability_max", "auroc",
)  # fmt: skip
_BY_RULE = (
    "subject_sensitivity", "lesion_recall", "false_positives_per_patient",
    "false_positives_per_control", "ppv", "cluster_f1", "extra_clusters_per_patient",
    "dice_found_lesions", "assd_found_lesions_mm", "hd95_found_lesions_mm",
)  # fmt: skip
_SHORT = 6  # figures by rule when there are several runs


def headline(runs: Mapping[str, Report]) -> Section:
    """The headline figures: a line for each of one run, a matrix of several."""
    rule = next(iter(runs.values())).rule
    if len(runs) == 1:
        (report,) = runs.values()
        figures = [f for name in _HEADLINE if (f := figure_of(report, name, "all")) is not None]
        heads = ("Figure", "Value", "95 % interval", "Count", "Chance level", "Interval by")
        return Section("Headline figures", [
            table(f"Rule: {rule.words}.", heads, [_line(figure) for figure in figures])
        ])  # fmt: skip
    rows = [
        [Cell(run, head=True)] + [narrow_cell(figure_of(report, name, "all")) for name in _HEADLINE]
        for run, report in runs.items()
    ]
    caption = (
        f"Rule: {rule.words}. Square brackets hold 95 % intervals. {_methods(runs)} "
        "Chance: the same clusters anywhere in the same brain."
    )
    names = ["Run", *(label(name) for name in _HEADLINE)]
    return Section("Headline figures", [table(caption, names, rows)])


def _line(figure: Figure) -> list[Cell]:
    share = is_share(figure.name)
    return [
        Cell(label(figure.name), head=True),
        Cell(number(figure.value, share), figure.reason, number=True),
        Cell(interval(figure.low, figure.high, share), number=True),
        Cell(counted(figure)),
        Cell(chance(figure).removeprefix("chance ") or "does not apply"),
        Cell(figure.interval),
    ]


def _methods(runs: Mapping[str, Report]) -> str:
    """How the intervals of the matrix were made, each method once."""
    made: dict[str, list[str]] = {}
    for name in _HEADLINE:
        for report in runs.values():
            figure = figure_of(report, name, "all")
            if figure is not None and figure.low is not None:
                names = made.setdefault(figure.interval, [])
                if label(name) not in names:
                    names.append(label(name))
    words = "; ".join(f"{method} for {', '.join(names)}" for method, names in made.items())
    return f"Intervals by {words}." if words else ""


def all_rules(runs: Mapping[str, Report]) -> Section:
    """The same figures under all four rules side by side, runs below one another."""
    rows: list[Sequence[Cell]] = []
    for name in _BY_RULE if len(runs) == 1 else _BY_RULE[:_SHORT]:
        if len(runs) > 1:
            rows.append([Cell(label(name), head=True)])
        for run, report in runs.items():
            cells = [cell(_under(report, name, rule)) for rule in Rule]
            rows.append([Cell(label(name) if len(runs) == 1 else run, head=True), *cells])
    heads = ("Figure" if len(runs) == 1 else "Run", *(RULES[rule] for rule in Rule))
    words = (
        "A figure without its rule is not comparable between studies. Generous rules find more by "
        "chance: compare each share with the chance level below it."
    )
    return Section("The same under every rule", [text(words), table("", heads, rows)])


def _under(report: Report, name: str, rule: Rule) -> Figure | None:
    return next(
        (f for f in report.figures if (f.name, f.scope, f.rule) == (name, "all", rule.value)), None
    )
