"""Paired comparisons of runs, and what a sample of this size can show at all."""

from __future__ import annotations

from collections.abc import Sequence

from fcdsynth.evaluation.comparison import Comparison, PairedFigure
from fcdsynth.evaluation.pages.blocks import Block, Cell, Section, table, text
from fcdsynth.evaluation.pages.wording import (
    RULES,
    interval,
    is_share,
    label,
    names_of,
    number,
    p_value,
    plural,
)
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.smallest import SmallestEffect


def compared(comparisons: Sequence[tuple[str, str, Comparison]]) -> Section | None:
    """Each pair of runs, subject by subject; the headline rule first."""
    if not comparisons:
        return None
    words = (
        "The same subjects in both; the seeds of an arm are averaged within each subject. How "
        "many are better and worse says more than p: 6 against 1 may be the whole effect. Holm "
        "adjusts over the compared arms. The last column is the least difference that could have "
        "had p < 0.05 in these pairs, and the one that four of five such samples would have shown."
    )
    blocks: list[Block] = [text(words)]
    for a, b, comparison in comparisons:
        rule = Rule(comparison.rule)
        first = [f for f in comparison.figures if f.rule in ("", rule.value)]
        others = [
            f for f in comparison.figures
            if f.rule not in ("", rule.value) and f.name in ("subject_sensitivity",
                                                             "false_positives_per_patient")
        ]  # fmt: skip
        rows: list[Sequence[Cell]] = [_paired(f, label(f.name)) for f in first]
        if others:
            rows.append([Cell("Under the other rules", head=True)])
            rows += [_paired(f, f"{label(f.name)}, {RULES[Rule(f.rule)]}") for f in others]
        heads = ("Figure", a, b, f"{b} less {a} [95 %]", "Better / worse", "p", "Permutation p",
                 "Could have shown")  # fmt: skip
        caption = (
            f"{b} against {a}: {plural(comparison.n_patients, 'patient')} and "
            f"{plural(comparison.n_controls, 'control')} in both. Rule: {rule.words}."
        )
        made = dict.fromkeys(f.interval for f in first if f.low is not None)
        caption += f" Intervals by {'; '.join(made)}." if made else ""
        blocks.append(table(caption, heads, rows))
        blocks += [text(words) for f in first if (words := _who(f))]
    return Section("Runs compared, subject by subject", blocks)


def _paired(f: PairedFigure, name: str) -> list[Cell]:
    share = is_share(f.name)
    if f.difference is None:
        return [Cell(name, head=True), Cell("none", f.reason), *[Cell("")] * 6]
    return [
        Cell(name, f"n = {f.n} {f.unit}", head=True),
        Cell(number(f.a, share), number=True),
        Cell(number(f.b, share), number=True),
        Cell(number(f.difference, share, signed=True), interval(f.low, f.high, share, True),
             number=True),
        Cell("" if f.unit == "subjects" else f"{f.gained} / {f.lost}", number=True),
        _p(f.p, f.p_holm, f.test),
        _p(f.p_permutation, f.p_permutation_holm, ""),
        Cell("") if f.smallest is None else _least(f.smallest),
    ]  # fmt: skip


def _p(p: float | None, adjusted: float | None, test: str) -> Cell:
    parts = [f"Holm {p_value(adjusted)}" if adjusted is not None else "", test]
    return Cell(p_value(p), "; ".join(part for part in parts if part) if p is not None else "")


def _least(one: SmallestEffect) -> Cell:
    if one.smallest_significant is None:
        words = "none possible"
    else:
        words = _size(one.smallest_significant, one.name)
    found = one.smallest_found
    return Cell(words, "" if found is None else f"with power 80 %: {_size(found, one.name)}")


def _size(value: float, name: str) -> str:
    """A difference without its sign."""
    return number(abs(value), is_share(name), signed=True).removeprefix("+")


def _who(f: PairedFigure) -> str:
    if f.name not in ("subject_sensitivity", "specificity") or not (f.gained or f.lost):
        return ""
    parts = [
        f"{word}: {names_of(ids)}"
        for word, ids in (("better", f.gained_ids), ("worse", f.lost_ids)) if ids
    ]  # fmt: skip
    return f"{label(f.name)}, {'; '.join(parts)}."


def sample(report: Report) -> Section | None:
    """What a difference would have to be to show in a sample of this size.

    Args:
        report: One of the runs; all saw the same subjects.
    """
    rows = [
        [
            Cell(label(one.name), f"{one.n} {one.unit}", head=True),
            Cell(one.design),
            _least(one),
            Cell("" if one.spread is None else number(one.spread, is_share(one.name)), one.source),
            Cell(one.test, one.reason),
        ]
        for one in report.smallest
        if one.rule in ("", report.rule.value)
    ]
    if not rows:
        return None
    heads = ("Figure", "Design", "Smallest difference with p < 0.05", "Assumed spread", "Test")
    words = (
        "No difference seen is not no difference. Below these sizes a difference could not have "
        "been significant; the second size is found in four of five such samples. The spread is "
        "the discordant share of pairs, the SD of the differences, or the share of one group."
    )
    return Section("What this sample could have shown", [text(words), table("", heads, rows)])
