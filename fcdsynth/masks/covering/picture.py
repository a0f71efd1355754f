"""The heat map of coverage: a panel a site, lobes and sides down, sizes across."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from fcdsynth.masks.covering.cells import SIDES, SIZE_BINS, site_name
from fcdsynth.masks.covering.rule import State
from fcdsynth.masks.covering.survey import Row, Survey
from fcdsynth.measure.lobes import LOBES

_INK, _SOFT = "#1c2430", "#5b6775"
_ENOUGH, _FAINT, _STRONG, _SHORT, _RARE = "#d9ece4", "#fdf1dc", "#f0a030", "#a3201a", "#eef0f2"
_HATCHED = "#c3cad2"
_ABREAST = 3
_FULL_AT = 1.0  # lesions expected at which an empty cell has the strongest colour


def heat_map(survey: Survey) -> Figure:
    """Draw every cell: lesions found, and the colour of how it stands.

    Args:
        survey: The cohort's coverage.
    """
    sites = survey.sites
    across = min(_ABREAST, len(sites))
    down = -(-len(sites) // across)
    figure = Figure(figsize=(1.0 + 3.1 * across, 0.75 + 4.15 * down), layout="constrained",
                    facecolor="white")  # fmt: skip
    panels = figure.subplots(down, across, squeeze=False).ravel()
    for axes in panels[len(sites) :]:
        axes.set_axis_off()
    for number, (axes, site) in enumerate(zip(panels, sites, strict=False)):
        rows = [row for row in survey.rows if row.cell.site == site]
        _panel(axes, rows, first=number % across == 0)
        found = sum(row.verdict.observed for row in rows)
        hosts = survey.controls.get(site, 0)
        axes.set_title(site_name(site), fontsize=10, loc="left", color=_INK, pad=20,
                       fontweight="bold")  # fmt: skip
        axes.text(0, 1.015, f"{found} lesions, {hosts or 'no'} controls to draw in", fontsize=8,
                  color=_INK if hosts else _SHORT, transform=axes.transAxes)  # fmt: skip
    figure.legend(handles=_legend(survey), loc="outside lower left", ncols=2, fontsize=8.5,
                  frameon=False)  # fmt: skip
    return figure


def heat_map_png(survey: Survey) -> bytes:
    """The heat map as PNG; equal surveys give equal bytes."""
    stream = io.BytesIO()
    heat_map(survey).savefig(stream, format="png", dpi=150, metadata={"Software": None})
    return stream.getvalue()


def _panel(axes: Any, rows: list[Row], first: bool) -> None:
    for row in rows:
        cell = row.cell
        x = SIZE_BINS.index(cell.size)
        # A gap between the lobes holds the two sides of each together.
        y = LOBES.index(cell.lobe) * 2.25 + SIDES.index(cell.side)
        colour = _colour(row)
        hatch = "////" if row.verdict.state is State.RARE else None
        edge = _HATCHED if hatch else "none"
        axes.add_patch(Rectangle((x, y), 0.96, 0.94, facecolor=colour, hatch=hatch,
                                 edgecolor=edge, linewidth=0))  # fmt: skip
        empty = row.verdict.observed == 0
        ink = "white" if row.verdict.state is State.SHORT else _SOFT if empty else _INK
        axes.text(x + 0.48, y + 0.47, str(row.verdict.observed), ha="center", va="center",
                  fontsize=10, color=ink, fontweight="normal" if empty else "bold")  # fmt: skip
    axes.set_xlim(0, len(SIZE_BINS))
    axes.set_ylim(len(LOBES) * 2.25 - 0.25, 0)
    axes.set_xticks([i + 0.48 for i in range(len(SIZE_BINS))], [b.label for b in SIZE_BINS])
    names = [f"{lobe} {side}" for lobe in LOBES for side in SIDES]
    axes.set_yticks(
        [i * 2.25 + j + 0.47 for i in range(len(LOBES)) for j in range(len(SIDES))],
        names if first else [],
    )
    axes.tick_params(length=0, labelsize=8.5, labelcolor=_INK)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _colour(row: Row) -> Any:
    state = row.verdict.state
    if state is State.FEW:
        weight = min(row.verdict.expected / _FULL_AT, 1.0)
        ends = zip(to_rgb(_FAINT), to_rgb(_STRONG), strict=True)
        return tuple(a + weight * (b - a) for a, b in ends)
    return {State.ENOUGH: _ENOUGH, State.SHORT: _SHORT, State.RARE: _RARE}[state]


def _legend(survey: Survey) -> list[Patch]:
    least = survey.at_least
    legend = [
        Patch(color=_ENOUGH, label=f"{least} or more: enough"),
        Patch(color=_SHORT, label="fewer than expected, beyond chance"),
        Patch(color=_STRONG, label=f"fewer than {least}, where {_FULL_AT:g} or more is expected"),
        Patch(color=_FAINT, label=f"fewer than {least}, where hardly one is expected"),
    ]
    if any(row.verdict.state is State.RARE for row in survey.rows):
        legend.append(Patch(facecolor=_RARE, edgecolor=_HATCHED, hatch="////", linewidth=0,
                            label="too rare to be asked for"))  # fmt: skip
    return legend
