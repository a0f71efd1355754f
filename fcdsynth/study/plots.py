"""Curves of the report: FROC of each arm, and sensitivity against the number of real patients."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fcdsynth.review.pictures import data_address
from fcdsynth.study.endpoint import Estimate
from fcdsynth.study.results import Results
from fcdsynth.study.settings import Arm

COLOURS = ("#7f7f7f", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


def froc_plot(results: Results) -> str:
    """FROC curves as a data address: a line a draw, and the rate of the primary endpoint."""
    figure, axes = _axes()
    endpoint = results.endpoint
    for arm, colour in zip(results.plan.arms, _colours(len(results.plan.arms)), strict=True):
        for k, curve in enumerate(endpoint.curves[arm.name]):
            steps = np.arange(len(curve.scores) + 1)
            # Before the k-th false cluster is let in, all that scores higher is found.
            levels = np.append(curve.scores, -np.inf)
            found = [(curve.best > level).sum() / max(curve.patient.sum(), 1) for level in levels]
            axes.step(steps / len(curve.best), found, where="post", color=colour,
                      alpha=1.0 if len(endpoint.curves[arm.name]) == 1 else 0.55,
                      label=arm.name if k == 0 else None)  # fmt: skip
    axes.axvline(results.plan.rate, color="#bbbbbb", linewidth=1, zorder=0)
    axes.set_xlabel("false positives per subject (patients and controls)")
    axes.set_ylabel("patients found")
    axes.set_xlim(0, max(4 * results.plan.rate, 1.0))
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return _address(figure)


def learning_plot(results: Results) -> str:
    """Sensitivity at the endpoint's rate against real patients; empty below two plain arms."""
    plain = sorted((a for a in results.plan.arms if a.plain), key=lambda a: a.real)
    others = [a for a in results.plan.arms if not a.plain]
    if len(plain) < 2:
        return ""
    figure, axes = _axes()
    n, endpoint = results.plan.n, results.endpoint
    sizes = [round(a.real * n) for a in plain]
    drawn = [endpoint.sensitivity(a.name) for a in plain]
    axes.errorbar(sizes, [d.value for d in drawn], _bars(drawn), color="#1c2430", marker="o",
                  capsize=3, label="real patients alone")  # fmt: skip
    colours = _colours(len(results.plan.arms))
    for place, arm in enumerate(others):
        found = endpoint.sensitivity(arm.name)
        at = round(arm.real * n) * 1.03 ** (place + 1)
        axes.errorbar([at], [found.value], _bars([found]), marker="s", capsize=3,
                      color=colours[results.plan.arms.index(arm)], label=arm.name)  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("real training patients (with as many controls)")
    axes.set_ylabel(f"patients found at {results.plan.rate:g} false positives per subject")
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    return _address(figure)


def ratio_plot(results: Results) -> str:
    """Sensitivity against synthetic per real patients; empty without arms that sweep the ratio."""
    sweeps = ratio_sweeps(results.plan.arms)
    if not sweeps:
        return ""
    figure, axes = _axes()
    endpoint = results.endpoint
    colours = _colours(len(results.plan.arms))
    for arms in sweeps:
        found = [endpoint.sensitivity(a.name) for a in arms]
        last = arms[-1]
        axes.errorbar([a.synthetic for a in arms], [f.value for f in found], _bars(found),
                      marker="o", capsize=3, color=colours[results.plan.arms.index(last)],
                      label=", ".join(a.name for a in arms))  # fmt: skip
    axes.set_xlabel("synthetic per real training patient")
    axes.set_ylabel(f"patients found at {results.plan.rate:g} false positives per subject")
    axes.set_ylim(0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend(loc="best")
    return _address(figure)


def ratio_sweeps(arms: Sequence[Arm]) -> list[list[Arm]]:
    """Arms alike but for how many synthetic subjects they have: three or more, by rising ratio.

    The arm with the same real subjects and no synthetic ones begins each sweep.
    """
    found: dict[Arm, list[Arm]] = {}
    for arm in arms:
        if arm.synthetic:
            found.setdefault(replace(arm, name="sweep", synthetic=1.0), []).append(arm)
    sweeps = []
    for like, own in found.items():
        start = [
            a
            for a in arms
            if not a.synthetic
            and (a.real, a.labels, a.contrasts) == (like.real, like.labels, like.contrasts)
        ]
        sweep = sorted([*start[:1], *own], key=lambda a: a.synthetic)
        if len(sweep) >= 3:
            sweeps.append(sweep)
    return sweeps


def _colours(number: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(number)]


def _bars(found: list[Estimate]) -> list[list[float]]:
    return [[max(f.value - f.low, 0) for f in found], [max(f.high - f.value, 0) for f in found]]


def _axes() -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 4.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _address(figure: Any) -> str:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return data_address(stream.getvalue())
