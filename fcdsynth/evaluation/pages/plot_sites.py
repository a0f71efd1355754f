"""Lesion-site probability beside mirrored and random sites, lesion by lesion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fcdsynth.evaluation.pages.plot import new_figure, say_empty, style_of, tidy
from fcdsynth.evaluation.report import Report

_WHERE = (("site", "lesion"), ("mirror", "mirrored"), ("random", "random"))
_COLUMNS = 3


def sites_figure(runs: Mapping[str, Report], statistic: str = "max") -> Any:
    """Draw one strip for the lesions, one for their mirrored and one for random sites.

    Lesions found under the headline rule are filled circles, missed ones crosses; mirrored and
    random sites bear the mark of their lesion. The bar is the median.

    Args:
        runs: Reports by name; a panel for each.
        statistic: ``max``, ``mean`` or ``p95`` of the voxels of a site.
    """
    columns = min(_COLUMNS, len(runs))
    rows = -(-len(runs) // columns)
    figure = new_figure(2.9 * columns + 0.6, 2.9 * rows + 0.4)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for panel in panels[len(runs) :]:
        panel.set_axis_off()
    for panel, (name, report) in zip(panels, runs.items(), strict=False):
        _panel(panel, report, statistic)
        panel.set_title(name, fontsize=9, loc="left")
    for row in range(rows):
        panels[row * columns].set_ylabel(f"probability, {_WORDS[statistic]}", fontsize=9)
    handles, names = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper left", ncols=2, fontsize=8, frameon=False)
    return figure


_WORDS = {"max": "maximum", "mean": "mean", "p95": "95th percentile"}


def _panel(panel: Any, report: Report, statistic: str) -> None:
    lesions = [le for s in report.subjects for le in s.lesions]
    drawn = False
    ticks = []
    for column, (where, word) in enumerate(_WHERE):
        values = [
            (float(getattr(site, statistic)), le.found[report.rule].cluster is not None)
            for le in lesions
            if (site := getattr(le, where)) is not None
        ]
        ticks.append(f"{word}\nn = {len(values)}")
        if not values:
            continue
        drawn = True
        for hit, mark, label in ((True, "o", "found"), (False, "x", "missed")):
            mine = [value for value, found in values if found is hit]
            style = style_of(0 if hit else 1)
            panel.plot(
                column + _spread(mine), mine, mark, color=style.colour, markersize=4,
                markeredgewidth=1.2, alpha=0.75, linestyle="none",
                label=label if column == 0 else None,
            )  # fmt: skip
        median = float(np.median([value for value, _ in values]))
        panel.plot([column - 0.33, column + 0.33], [median] * 2, color="black", linewidth=1.8)
        panel.text(column + 0.36, median, f"{median:.2f}", fontsize=7.5, va="center")
    if not drawn:
        say_empty(panel, "no probabilities" if lesions else "no lesions")
    panel.set_xticks(range(len(_WHERE)), ticks)
    panel.set_xlim(-0.5, len(_WHERE) - 0.3)
    panel.set_ylim(-0.03, 1.03)
    tidy(panel)


def _spread(values: Sequence[float]) -> Any:
    # Even steps by rank, not random ones: equal reports give equal pictures.
    order = np.argsort(np.argsort(values)) if len(values) else np.zeros(0)
    return 0.22 * ((order * 0.618) % 1 - 0.5) * 2
