"""Plots of the page: contrast of lesions, and distances beside what real halves give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fcdsynth.review.plots import new_figure, png_of, tidy
from fcdsynth.synthesis.proof.distances import Distance
from fcdsynth.synthesis.proof.wording import CONTRAST_WORDS

_MADE, _REAL, _BAND = "#c2410c", "#0b6e6e", "#cfe3e3"


def contrast_plot(
    made: NDArray[np.float64], real: NDArray[np.float64], contrasts: Sequence[str]
) -> bytes:
    """Lesion contrast: cumulated shares of each, and T1w against FLAIR where both are known.

    Args:
        made: Synthetic lesions, shape (n, contrast), robust SD of the brain.
        real: Real ones, shape (m, contrast).
        contrasts: Keys of the columns.
    """
    count = len(contrasts) + (len(contrasts) > 1)
    figure = new_figure(3.9 * count, 3.7)
    panels = np.atleast_1d(figure.subplots(1, count))
    sides = ((made, _MADE, f"synthetic (n = {len(made)})", "-"),
             (real, _REAL, f"real (n = {len(real)})", "--"))  # fmt: skip
    for k, contrast in enumerate(contrasts):
        axes = panels[k]
        for values, colour, name, line in sides:
            known = values[:, k][~np.isnan(values[:, k])]
            axes.ecdf(known, color=colour, label=name, linestyle=line, linewidth=1.8)
        axes.axvline(0, color="#999999", linewidth=0.7)
        axes.set_xlabel(f"{CONTRAST_WORDS[contrast]} contrast, lesion less ring (SD)", fontsize=8)
        axes.set_ylabel("share of lesions", fontsize=8)
        tidy(axes)
    if len(contrasts) > 1:
        for values, colour, name, _ in sides:
            marker = "o" if colour == _MADE else "s"
            filled = colour if colour == _MADE else "none"
            panels[-1].scatter(values[:, 0], values[:, 1], s=26, marker=marker, facecolors=filled,
                               edgecolors=colour, linewidths=1.1, alpha=0.85,
                               label=name)  # fmt: skip
        panels[-1].set_xlabel("T1w contrast (SD)", fontsize=8)
        panels[-1].set_ylabel("FLAIR contrast (SD)", fontsize=8)
        tidy(panels[-1])
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    return png_of(figure)


def distance_plot(distances: Sequence[Distance]) -> bytes:
    """KID of each set of features over its splits, beside the band of real halves."""
    figure = new_figure(8.5, 0.75 * len(distances) + 1.0)
    panels = np.atleast_1d(figure.subplots(len(distances), 1))
    for axes, d in zip(panels, distances, strict=True):
        axes.barh([0], [d.kid.null_high - d.kid.null_low], left=[d.kid.null_low], height=0.8,
                  color=_BAND, label="halves of the real side, 95 %")  # fmt: skip
        axes.errorbar([d.kid.mean], [0], xerr=[[d.kid.mean - d.kid.low],
                      [d.kid.high - d.kid.mean]], fmt="o", color=_MADE, capsize=3,
                      label="synthetic, mean and 95 % of the splits")  # fmt: skip
        axes.set_yticks([0], [f"{d.features}\n(n = {d.n} a side)"], fontsize=8)
        axes.set_ylim(-0.7, 0.7)
        tidy(axes)
    panels[-1].set_xlabel("kernel inception distance, unbiased; each line has its own scale",
                          fontsize=8)  # fmt: skip
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper left", ncols=2, frameon=False, fontsize=9)
    return png_of(figure)
