"""What the probabilities are worth: lesion sites, calibration, FROC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fcdsynth.evaluation.calibration import CLUSTERS, VOXELS
from fcdsynth.evaluation.pages.blocks import Block, Cell, Section, plot, table, text
from fcdsynth.evaluation.pages.plot_calibration import calibration_figure, calibration_of
from fcdsynth.evaluation.pages.plot_dots import figure_of
from fcdsynth.evaluation.pages.plot_froc import froc_figure
from fcdsynth.evaluation.pages.plot_sites import sites_figure
from fcdsynth.evaluation.pages.wording import cell, label, narrow_cell
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.site import STATISTICS


def probability(runs: Mapping[str, Report]) -> Section | None:
    """Lesion-site probability of found and missed lesions beside the two reference sites."""
    if all(le.site is None for r in runs.values() for s in r.subjects for le in s.lesions):
        return None
    rows: list[Sequence[Cell]] = []
    for run, report in runs.items():
        for statistic in STATISTICS:
            words = {"max": "maximum", "mean": "mean", "p95": "95th percentile"}[statistic]
            cells = [
                cell(figure_of(report, f"{what}_probability_{statistic}", "all"))
                for what in ("site", "mirror", "random")
            ]
            rows.append([Cell(run or "the run", head=True), Cell(words), *cells])
    heads = ("Run", "Of the voxels", "Lesion site", "Mirrored site", "Random sites")
    mirrors = sorted({s.mirror_by for s in next(iter(runs.values())).subjects} - {""})
    randoms = sorted({s.random_in for s in next(iter(runs.values())).subjects} - {""})
    words = (
        "What the map says inside the lesion, missed lesions included. A map that is confident "
        "everywhere scores high here, and then at the mirrored and random sites too: what counts "
        f"is the difference. Mirrored by {' or '.join(mirrors) or 'nothing'}; random sites lie in "
        f"the {' or '.join(randoms) or 'brain'}."
    )
    caption = (
        "Maximum probability at each lesion, at its mirror and at random sites of its volume. "
        "Circles: found, crosses: missed; the bar is the median."
    )
    blocks = [text(words), plot(caption, sites_figure(runs)), table("", heads, rows)]
    return Section("Lesion-site probability", blocks)


def calibration(runs: Mapping[str, Report]) -> Section | None:
    """Reliability diagrams with the expected calibration error."""
    rows: list[Sequence[Cell]] = []
    for run, report in runs.items():
        for level in (VOXELS, CLUSTERS):
            one = calibration_of(report, level)
            if one is None:
                continue
            ends = "no interval" if one.low is None else f"[{one.low:.4f}, {one.high:.4f}]"
            rows.append(
                [
                    Cell(run or "the run", head=True),
                    Cell(level, f"n = {sum(one.n):,}"),
                    Cell("none" if one.ece is None else f"{one.ece:.4f} {ends}", one.reason),
                    Cell("" if one.brier is None else f"{one.brier:.3f}"),
                ]
            )
    if not rows:
        return None
    caption = (
        "On the dotted line a probability of 0.7 is right seven times in ten. Below: how many "
        "units each bin holds, on a logarithmic scale; hollow marks stand on fewer than five."
    )
    heads = ("Run", "Over", "Expected calibration error", "Brier score")
    return Section("Calibration",
                   [plot(caption, calibration_figure(runs)), table("", heads, rows)])  # fmt: skip


def froc(runs: Mapping[str, Report]) -> Section:
    """FROC curves, and recall at fixed rates of false positives in controls."""
    caption = (
        "Lesions found against false positives as the score threshold falls. The large open mark "
        "is the operating point, where the curve ends: below it the detector made no clusters."
    )
    blocks: list[Block] = [plot(caption, froc_figure(runs))]
    first = next(iter(runs.values()))
    rates = [f for f in dict.fromkeys(f.name for f in first.figures)
             if f.startswith("lesion_recall_at_")]  # fmt: skip
    if rates:
        heads = ("Run", *(label(name) for name in rates))
        rows = [
            [Cell(run or "the run", head=True)]
            + [narrow_cell(figure_of(report, name, "all")) for name in rates]
            for run, report in runs.items()
        ]
        words = (
            "Recall with at most so many false positives per control. A curve that ends before is "
            "taken where it ends: to compare arms at one rate, detect with a low threshold."
        )
        blocks.append(table(words, heads, rows))
    return Section("Sensitivity against false positives", blocks)
