"""Plots on white: features, lobes and places of drawn and real masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.masks.proof.comparison import Comparison
from fcdsynth.masks.proof.examples import FEATURES, Example
from fcdsynth.masks.proof.wording import LABELS
from fcdsynth.measure.lobes import LOBE_WORDS, LOBES
from fcdsynth.review.plots import new_figure, png_of, tidy

_DRAWN, _REAL, _BAND = "#d55e00", "#0072b2", "#b9cfe0"
_BINS = 8
_COLUMNS = 4
# Across, up, and the words of the three planes.
_VIEWS = ((0, 1, "from above"), (0, 2, "from behind"), (1, 2, "from the right"))


def feature_plot(comparison: Comparison) -> bytes:
    """Histograms of every feature, with a band of what halves of the real masks give."""
    sides = (comparison.drawn, comparison.real)
    shown = [k for k in range(len(FEATURES)) if all(len(_values(side, k)) > 1 for side in sides)]
    rows = -(-len(shown) // _COLUMNS)
    figure = new_figure(11.5, 2.5 * rows + 0.5)
    panels = np.atleast_2d(figure.subplots(rows, _COLUMNS)).ravel()
    for axes, k in zip(panels, shown, strict=False):
        _histogram(axes, comparison, k)
    for axes in panels[len(shown) :]:
        axes.set_axis_off()
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    return png_of(figure)


def _histogram(axes: Any, comparison: Comparison, k: int) -> None:
    label = LABELS[FEATURES[k]]
    drawn, real = _values(comparison.drawn, k), _values(comparison.real, k)
    both = np.concatenate([drawn, real])
    edges = np.linspace(both.min(), max(both.max(), both.min() + 1e-6), _BINS + 1)
    column = np.array([e.features[k] for e in comparison.real])
    halves = [column[list(half)] for half in comparison.matched.halves]
    shares = np.array([_shares(half, edges) for half in halves])
    low, high = np.quantile(shares, [0.025, 0.975], axis=0)
    shown = np.exp(edges) if label.logarithm else edges
    n = comparison.matched.n
    axes.fill_between(shown, _stepped(low), _stepped(high), step="post", color=_BAND, linewidth=0,
                      label=f"halves of the real masks (about {n} each), 95 %")  # fmt: skip
    axes.stairs(100 * _shares(real, edges), shown, color=_REAL, linewidth=1.2, linestyle="--",
                label=f"real (n = {len(comparison.real)})")  # fmt: skip
    axes.stairs(100 * _shares(drawn, edges), shown, color=_DRAWN, linewidth=2.0,
                label=f"drawn (n = {len(comparison.drawn)})")  # fmt: skip
    if label.logarithm:
        axes.set_xscale("log")
        ticks = _round_ticks(shown[0], shown[-1])
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.minorticks_off()
    axes.set_title(label.words, fontsize=9, loc="left")
    axes.set_xlabel(label.unit, fontsize=8)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("% of masks", fontsize=8)
    tidy(axes)


def lobe_plot(comparison: Comparison) -> bytes:
    """Shares of lobes and sides."""
    figure = new_figure(11, 3.0)
    left, right = figure.subplots(1, 2, width_ratios=[5, 2])
    known = {"lobe": [n for n in LOBES if any(e.lobe == n for e in _all(comparison))],
             "side": ["L", "R"]}  # fmt: skip
    words = {**LOBE_WORDS, "L": "left", "R": "right"}
    for axes, key in ((left, "lobe"), (right, "side")):
        numbers: list[list[int]] = []
        for number, (side, colour, name) in enumerate(_sides(comparison)):
            given = [getattr(e, key) for e in side if getattr(e, key)]
            counts = [given.count(category) for category in known[key]]
            x = np.arange(len(counts)) + (number - 0.5) * 0.38
            shares = 100 * np.array(counts) / max(len(given), 1)
            hatch = "//" if number else None
            axes.bar(x, shares, 0.36, color=colour, hatch=hatch, edgecolor="white",
                     label=name)  # fmt: skip
            numbers.append(counts)
        _half_bars(axes, comparison, key, known[key])
        ticks = [f"{words[c]}\n{numbers[0][i]} drawn, {numbers[1][i]} real"
                 for i, c in enumerate(known[key])]  # fmt: skip
        axes.set_xticks(range(len(ticks)), ticks, fontsize=8)
        axes.set_ylabel("% of masks", fontsize=8)
        tidy(axes)
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    return png_of(figure)


def _half_bars(axes: Any, comparison: Comparison, key: str, known: Sequence[str]) -> None:
    given = np.array([getattr(e, key) for e in comparison.real])
    shares = []
    for half in comparison.matched.halves:
        own = given[list(half)]
        own = own[own != ""]
        shares.append([100 * np.mean(own == c) if len(own) else 0.0 for c in known])
    if not known:
        return
    low, high = np.quantile(np.array(shares), [0.025, 0.975], axis=0)
    middle = (low + high) / 2
    axes.errorbar(
        np.arange(len(known)) + 0.19, middle, [middle - low, high - middle], fmt="none",
        ecolor="#222222", capsize=3, linewidth=1, label="halves of the real masks, 95 %",
    )  # fmt: skip


def place_plot(comparison: Comparison, brain_mni_mm: NDArray[np.float64]) -> bytes | None:
    """Centroids in MNI on three planes, over the shadow of a brain; None where unknown.

    Args:
        comparison: What was compared.
        brain_mni_mm: Points all over a brain in MNI, shape (n, 3).
    """
    if not any(e.mni_mm for e in comparison.drawn) or not any(e.mni_mm for e in comparison.real):
        return None
    figure = new_figure(11, 4.0)
    for axes, (across, up, words) in zip(figure.subplots(1, 3), _VIEWS, strict=True):
        axes.scatter(*brain_mni_mm[:, [across, up]].T, s=14, color="#eceff2", linewidths=0,
                     rasterized=True)  # fmt: skip
        for number, (side, colour, name) in enumerate(_sides(comparison)):
            points = np.array([e.mni_mm for e in side if e.mni_mm])
            axes.scatter(points[:, across], points[:, up], s=26, marker="s" if number else "o",
                         facecolors="none" if number else colour, edgecolors=colour,
                         linewidths=1.2, alpha=0.9, label=name)  # fmt: skip
        axes.set_aspect("equal")
        axes.set_title(f"seen {words}", fontsize=9, loc="left")
        axes.set_xlabel("xyz"[across] + " (mm)", fontsize=8)
        axes.set_ylabel("xyz"[up] + " (mm)", fontsize=8)
        tidy(axes)
        if across == 0:
            style = {"transform": axes.transAxes, "va": "top", "fontsize": 9, "color": "#555555"}
            axes.text(0.02, 0.98, "L", ha="left", **style)
            axes.text(0.98, 0.98, "R", ha="right", **style)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    return png_of(figure)


def _sides(comparison: Comparison) -> tuple[tuple[Sequence[Example], str, str], ...]:
    return (
        (comparison.drawn, _DRAWN, f"drawn (n = {len(comparison.drawn)})"),
        (comparison.real, _REAL, f"real (n = {len(comparison.real)})"),
    )


def _all(comparison: Comparison) -> tuple[Example, ...]:
    return (*comparison.drawn, *comparison.real)


def _values(side: Sequence[Example], k: int) -> NDArray[np.float64]:
    values = np.array([e.features[k] for e in side])
    return np.asarray(values[~np.isnan(values)])


def _shares(values: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    values = values[~np.isnan(values)]
    return np.asarray(np.histogram(values, edges)[0] / max(len(values), 1))


def _stepped(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(100 * np.append(shares, shares[-1]))


def _round_ticks(low: float, high: float) -> list[float]:
    """Three to five round numbers spread over a logarithmic axis."""
    candidates = [m * 10.0**e for e in range(-4, 5) for m in (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)]
    inside = [c for c in candidates if low <= c <= high]
    if len(inside) <= 5:
        return inside
    wanted = np.geomspace(inside[0], inside[-1], 4)
    return sorted({min(inside, key=lambda c: abs(np.log(c / w))) for w in wanted})
