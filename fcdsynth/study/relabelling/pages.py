"""What a reader gets: tables as CSV, and a report in Markdown that says what adds nothing."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

from fcdsynth.study.relabelling.methods import METHODS
from fcdsynth.study.relabelling.plots import draw_cell
from fcdsynth.study.relabelling.summary import Cell, Difference, Row

# What is held against what, and what the difference would show.
QUESTIONS = (
    ("engine", "none", "the engine over no second looks, at the same budget"),
    ("engine", "activelab", "the engine over ActiveLab"),
    ("engine", "self-confidence", "the engine over plain self-confidence"),
    ("random", "none", "second looks at random"),
    ("smoothed", "none", "second looks at suspected labels, nothing withheld"),
    ("withheld", "none", "withholding doubted labels, no second looks"),
    ("engine", "smoothed", "withholding on top of second looks"),
    ("engine", "withheld", "second looks on top of withholding"),
    ("fixed", "boundary", "adding neighbours to the boundary"),
    ("fixed", "neighbours", "adding the boundary to neighbours"),
    ("dynamic", "fixed", "weights that follow confirmed hits"),
    ("smoothed", "dynamic", "smoothing over rounds"),
    ("oracle", "smoothed", "a perfect detector, at the same number of second looks"),
    ("none", "passive", "margin learning over random items"),
    ("dfal", "none", "DFAL over margin learning"),
)
_DIFFERENCES = ("over_none", "over_activelab", "purity")


def write_tables(folder: Path, cells: Sequence[Cell]) -> None:
    """Write ``methods.csv`` and ``differences.csv``."""
    plain = [field.name for field in fields(Row) if field.name not in _DIFFERENCES]
    ends = [f"{name}_{end}" for name in _DIFFERENCES for end in ("mean", "low", "high")]
    with (folder / "methods.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["data", "noise", "rate", "reader", *plain, *ends])
        for cell in cells:
            for row in cell.rows:
                values = [_short(getattr(row, name)) for name in plain]
                for name in _DIFFERENCES:
                    found: Difference | None = getattr(row, name)
                    values += ["", "", ""] if found is None else [_short(v) for v in
                               astuple(found)[:3]]  # fmt: skip
                writer.writerow([*_where(cell), *values])
    with (folder / "differences.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["data", "noise", "rate", "reader", "method", "against", "question",
                         "difference", "low", "high", "seeds", "verdict"])  # fmt: skip
        for cell in cells:
            for mine, theirs, question in QUESTIONS:
                found = cell.versus(mine, theirs)
                if found is not None:
                    numbers = [_short(value) for value in astuple(found)]
                    writer.writerow(
                        [*_where(cell), mine, theirs, question, *numbers, found.verdict]
                    )


def write_report(folder: Path, cells: Sequence[Cell]) -> Path:
    """Write ``report.md`` with a learning curve per cell.

    Returns:
        Path of the report.
    """
    lines = [
        "# Re-labelling, measured on classification sets",
        "",
        "Same annotations for every method, same seeds, same wrong answers waiting at every item. "
        "Differences are paired over seeds, with 95 % bootstrap intervals. Nothing here is about "
        "lesion masks. Not a medical device.",
    ]
    for cell in cells:
        noise = cell.noise
        draw_cell(cell, folder / f"{cell.name}.png")
        lines += [
            "",
            f"## {cell.data}: {noise.kind} noise, {100 * noise.rate:.0f} % wrong, "
            f"{noise.reader} second reader",
            "",
            *table(cell),
            "",
            f"![learning curves]({cell.name}.png)",
            "",
            *_answers(cell),
        ]
    report = folder / "report.md"
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return report


def table(cell: Cell) -> list[str]:
    """The cell's methods as lines of a Markdown table."""
    lines = [
        "| method | accuracy (sd) | over none | over ActiveLab | area | "
        "wrong labels (in training) | second looks (hits; break-even) | damaged | most looks | s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in cell.rows:
        looks = "-"
        if row.looks:
            looks = f"{row.looks:.0f} ({row.hit_rate:.2f}; {row.break_even:.2f})"
        lines.append(
            f"| {METHODS[row.method].title} | {row.accuracy:.3f} ({row.sd:.3f}) | "
            f"{_interval(row.over_none, row.method == 'none')} | "
            f"{_interval(row.over_activelab, row.method == 'activelab')} | {row.area:.3f} | "
            f"{row.wrong:.3f} ({row.wrong_training:.3f}) | {looks} | "
            f"{row.damaged:.1f} | {row.most_looks} | {row.seconds:.1f} |"
        )
    return lines


def _answers(cell: Cell) -> list[str]:
    lines = []
    for mine, theirs, question in QUESTIONS:
        found = cell.versus(mine, theirs)
        if found is not None:
            lines.append(f"- {question[0].upper()}{question[1:]}: {_interval(found)} "
                         f"({found.n} seeds): **{found.verdict}**.")  # fmt: skip
    row = next((row for row in cell.rows if row.method == "engine"), None)
    if row is not None and row.looks and row.hit_rate <= row.break_even:
        lines.append("- The engine's hit rate is not above the second reader's error rate: its "
                     "looks do not clean these labels.")  # fmt: skip
    return lines


def _interval(found: Difference | None, itself: bool = False) -> str:
    if found is None or itself:
        return "-"
    return f"{found.value:+.3f} [{found.low:+.3f}, {found.high:+.3f}]"


def _where(cell: Cell) -> list[str]:
    return [cell.data, cell.noise.kind, f"{cell.noise.rate:g}", cell.noise.reader]


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
