"""Numbers as a reader of the report sees them."""

from __future__ import annotations

from typing import Any

from fcdsynth.evaluation.comparison import PairedFigure
from fcdsynth.evaluation.metrics import Figure
from fcdsynth.evaluation.pages.wording import is_share, label
from fcdsynth.study.settings import Arm
from fcdsynth.study.tables import Results

# Figures in the table, in order.
ROWS = (
    "subject_sensitivity", "lesion_recall", "specificity", "false_positives_per_patient",
    "false_positives_per_control", "ppv", "dice_found_lesions", "site_probability_max",
    "mirror_probability_max", "random_probability_max", "auroc",
)  # fmt: skip


def number(value: float | None, share: bool) -> str:
    """One number: percent without decimals for a share, two decimals otherwise."""
    if value is None:
        return "none"
    return f"{100 * value:.0f} %" if share else f"{value:.2f}"


def cell(figure: Figure, share: bool) -> dict[str, str]:
    """Text and detail of a table cell: value with interval, then n and chance level."""
    if figure.value is None:
        return {"text": "none", "detail": figure.reason.replace("_", " ")}
    text = number(figure.value, share)
    if figure.low is not None and figure.high is not None:
        text += f" [{number(figure.low, share)}, {number(figure.high, share)}]"
    n = f"{figure.count} of {figure.n} {figure.unit}" if share and figure.count is not None else (
        f"n = {figure.n} {figure.unit}"
    )  # fmt: skip
    chance = "" if figure.chance is None else f"; by chance {number(figure.chance, share)}"
    return {"text": text, "detail": n + chance}


def arm_words(arm: Arm, n: int) -> str:
    """What an arm trains on."""
    real = arm.real * n
    words = f"{real} + {real} real"
    if arm.synthetic:
        words += f", with {arm.synthetic:g} synthetic for each"
    return words


def table_rows(results: Results) -> list[dict[str, Any]]:
    """Rows of the table of arms."""
    return [
        {
            "label": label(name),
            "cells": [
                cell(results.reports[a.name].figure(name), is_share(name)) for a in results.arms
            ],
        }
        for name in ROWS
    ]


def site_rows(results: Results) -> list[dict[str, Any]]:
    """Sensitivity and specificity of each arm at each site and scanner."""
    first = results.reports[results.arms[0].name]
    scopes = dict.fromkeys(
        f.scope for f in first.figures if f.scope.partition("=")[0] in ("site", "scanner")
    )
    rows = []
    for scope in scopes:
        cells = []
        for arm in results.arms:
            lines = []
            for word, name in (("sens.", "subject_sensitivity"), ("spec.", "specificity")):
                shown = cell(results.reports[arm.name].figure(name, scope=scope), True)
                detail = shown["detail"].partition(";")[0]
                lines.append({"label": word, "text": shown["text"], "detail": detail})
            cells.append(lines)
        rows.append({"name": scope.replace("=", " "), "cells": cells})
    return rows


def comparison_rows(results: Results) -> list[dict[str, Any]]:
    """Each later arm against the first, subject by subject."""
    rows = []
    for name, comparison in results.comparisons.items():
        found = comparison.figure("subject_sensitivity")
        site = comparison.figure("whole_mask_probability_max")
        wrong = [
            comparison.figure(f"false_positives_per_{unit}") for unit in ("patient", "control")
        ]
        cells = [
            f"{found.gained} gained, {found.lost} lost of {found.n}",
            _p(found),
            f"{_change(site)} (n = {site.n}); {_p(site)}",
            "; ".join(f"{_change(f)} in {f.n} {f.unit}, {_p(f)}" for f in wrong),
        ]
        rows.append({"name": f"{name} against {results.arms[0].name}", "cells": cells})
    return rows


def _p(figure: PairedFigure) -> str:
    if figure.p is None:
        return "no test"
    holm = "" if figure.p_holm is None else f", Holm {figure.p_holm:.3g}"
    return f"{figure.test} p = {figure.p:.3g}{holm}"


def _change(figure: PairedFigure) -> str:
    if figure.difference is None:
        return "none"
    text = f"{figure.difference:+.2f}"
    if figure.low is not None and figure.high is not None:
        text += f" [{figure.low:+.2f}, {figure.high:+.2f}]"
    return text
