"""Numbers as a reader of the report sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fcdsynth.evaluation.comparison import PairedFigure
from fcdsynth.evaluation.metrics import Figure
from fcdsynth.evaluation.pages.wording import is_share, label
from fcdsynth.study.endpoint import SMALLEST_GAP, Estimate
from fcdsynth.study.learning import Worth
from fcdsynth.study.results import Change, Results
from fcdsynth.study.settings import Arm
from fcdsynth.study.tracing import Tracing

# Figures in the table, in order.
ROWS = (
    "subject_sensitivity", "lesion_recall", "specificity", "false_positives_per_patient",
    "false_positives_per_control", "ppv", "dice_found_lesions", "site_probability_max",
    "mirror_probability_max", "random_probability_max", "auroc",
)  # fmt: skip
_CHANGES = {
    "false_positives_per_subject": "false positives per subject",
    "specificity": "specificity",
    "lesion_site_probability": "largest probability in the lesion",
    "mirrored_site_probability": "the same at its mirrored site",
    "random_site_probability": "the same at random sites of its volume",
}


def number(value: float | None, share: bool) -> str:
    """One number: percent without decimals for a share, two decimals otherwise."""
    if value is None:
        return "none"
    return f"{100 * value:.0f} %" if share else f"{value:.2f}"


def estimate(found: Estimate, share: bool, signed: bool = False) -> str:
    """A number with its interval; differences of shares in points."""
    if signed and share:
        low, value, high = (f"{100 * x:+.0f}" for x in (found.low, found.value, found.high))
        return f"{value} points [{low}, {high}]"
    if signed:
        return f"{found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]"
    return f"{number(found.value, share)} [{number(found.low, share)}, {number(found.high, share)}]"


def cell(figures: Sequence[Figure], share: bool) -> dict[str, str]:
    """Text and detail of a table cell: one draw's interval, or the range of several."""
    first = figures[0]
    known = [f.value for f in figures if f.value is not None]
    if not known:
        return {"text": "none", "detail": first.reason.replace("_", " ")}
    text = number(float(np.mean(known)), share)
    if len(figures) > 1:
        detail = f"{number(min(known), share)} to {number(max(known), share)} in {len(known)} draws"
        return {"text": text, "detail": f"{detail}, n = {first.n} {first.unit}"}
    if first.low is not None and first.high is not None:
        text += f" [{number(first.low, share)}, {number(first.high, share)}]"
    counted = share and first.count is not None
    n = f"{first.count} of {first.n} {first.unit}" if counted else f"n = {first.n} {first.unit}"
    chance = "" if first.chance is None else f"; by chance {number(first.chance, share)}"
    return {"text": text, "detail": n + chance}


def arm_words(arm: Arm, n: int) -> str:
    """What an arm trains on."""
    real = round(arm.real * n)
    words = f"{real} + {real} real"
    if arm.synthetic:
        words += f", with {arm.synthetic:g} synthetic for each"
    if arm.pool is not None:
        words += " from a given pool"
    elif arm.synthetic and arm.images == "carvemix":
        words += " by CarveMix"
    elif arm.synthetic:
        words += "" if arm.masks == "growth" else f", masks by {arm.masks}"
        words += "" if arm.images == "insert" else f", {arm.images} mode"
    words += "" if arm.labels is None else ", other labels"
    return words + ("" if arm.contrasts == "both" else ", T1w alone")


def endpoint_rows(results: Results) -> list[dict[str, Any]]:
    """Every arm's primary endpoint, its draws, and what it gains over the baseline."""
    endpoint, rows = results.endpoint, []
    for arm in results.plan.arms:
        draws = [c.sensitivity(results.plan.rate) for c in endpoint.curves[arm.name]]
        gain = ""
        if arm is not results.base:
            gain = estimate(endpoint.gain(arm.name, results.base.name), True, signed=True)
        end = min(curve.end for curve in endpoint.curves[arm.name])
        rows.append({
            "name": arm.name, "words": arm_words(arm, results.plan.n),
            "value": estimate(endpoint.sensitivity(arm.name), True),
            "draws": ", ".join(number(value, True) for value in draws), "gain": gain,
            "end": "" if end >= results.plan.rate else f"curve ends at {end:.2f}",
        })  # fmt: skip
    return rows


def gap_words(results: Results) -> str:
    """How much of the gap between the baseline and more real subjects synthetic ones closed."""
    ceiling, base = results.ceiling, results.base.name
    if ceiling is None or not results.synthetic:
        return ""
    gap = results.endpoint.gain(ceiling.name, base)
    risen = f"From {base} to {ceiling.name} sensitivity changed by {estimate(gap, True, True)}"
    closed = [(arm.name, results.endpoint.closed(arm.name, base, ceiling.name))
              for arm in results.synthetic]  # fmt: skip
    if any(share is None for _, share in closed):
        return (
            f"The share of the gap that synthetic subjects closed is not stated. {risen}; a share "
            f"needs a gap of at least {100 * SMALLEST_GAP:.0f} points whose interval lies above 0."
        )
    words = [f"{name} closed {estimate(share, True)} of it" for name, share in closed if share]
    return f"{risen}; " + "; ".join(words) + "."


def worth_words(found: Worth) -> str:
    """What an arm is worth in real patients, in a sentence."""
    if found.beyond:
        return (
            f"{found.arm} lies above the learning curve's last point: it is worth more than "
            f"{found.patients:.0f} real patients (95 % interval from {found.low:.0f}; above the "
            f"curve in {100 * found.share_beyond:.0f} % of samples)."
        )
    top = " or more" if found.share_beyond > 0.025 else ""
    return (
        f"{found.arm} is worth {found.patients:.0f} real patients "
        f"[{found.low:.0f}, {found.high:.0f}{top}] with as many controls."
    )


def change_rows(name: str, changes: Sequence[Change]) -> list[dict[str, str]]:
    """Changes of an arm against the baseline, in words."""
    rows = []
    for c in changes:
        share = c.name == "specificity"
        rows.append({
            "name": name, "what": _CHANGES[c.name], "a": number(c.a, share),
            "b": number(c.b, share), "change": estimate(c.difference, share, signed=True),
            "p": "all alike" if c.p is None else f"{c.p:.2g}", "n": str(c.difference.n),
        })  # fmt: skip
    return rows


def table_rows(results: Results) -> list[dict[str, Any]]:
    """Rows of the table of arms, each at its own operating point."""
    return [
        {
            "label": label(name),
            "cells": [
                cell([report.figure(name) for report in reports], is_share(name))
                for reports in results.reports.values()
            ],
        }
        for name in ROWS
    ]


def scope_rows(
    results: Results, kinds: Sequence[str], figures: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """Figures of each arm in parts of the test set.

    Args:
        results: The results.
        kinds: Which parts: ``site``, ``scanner``, ``size``, ``lobe``.
        figures: A short word and the name of each figure.
    """
    first = next(iter(results.reports.values()))[0]
    scopes = dict.fromkeys(f.scope for f in first.figures if f.scope.partition("=")[0] in kinds)
    rows = []
    for scope in scopes:
        cells = []
        for reports in results.reports.values():
            lines = []
            for word, name in figures:
                shown = cell([report.figure(name, scope=scope) for report in reports], True)
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
        rows.append({"name": f"{name} against {results.base.name}", "cells": cells})
    return rows


def tracing_rows(tracing: Tracing) -> list[dict[str, str]]:
    """How often clusters look most like a synthetic training lesion."""
    words = {"introduced": "false positives that are new", "kept": "false positives of before",
             "found": "clusters that found a lesion"}  # fmt: skip
    return [
        {
            "arm": tracing.arm, "what": words[share.group], "n": str(share.n),
            "share": "none" if not share.n else f"{share.synthetic} of {share.n} "
            f"[{number(share.low, True)}, {number(share.high, True)}]",
            "chance": number(tracing.among, True),
        }
        for share in tracing.shares
    ]  # fmt: skip


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
