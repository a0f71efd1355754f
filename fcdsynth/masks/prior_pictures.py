"""Pictures of a prior: its laws against the lesions, and the site law through a glass brain."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fcdsynth.masks.laws.density import MAP_GRID
from fcdsynth.masks.laws.depth import Places
from fcdsynth.masks.laws.measured import Measured
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.laws.size import SizeLaw

_LAW, _DOTS, _PUBLISHED = "#0b6e6e", "#1c2430", "#8b939e"
_PLANES = (("from above", 2, (0, 1)), ("from the front", 1, (0, 2)), ("from the side", 0, (1, 2)))


def law_figure(prior: LesionPrior, patients: Sequence[Measured]) -> Figure:
    """Size law, depth slope and the choice of the bandwidth, each against the lesions.

    Args:
        prior: The prior.
        patients: Patients with at least one lesion among them.
    """
    figure = Figure(figsize=(11, 3.4), layout="constrained", facecolor="white")
    first, second, third = figure.subplots(1, 3)
    lesions = [lesion for patient in patients for lesion in patient.lesions]
    _sizes(first, prior.size, np.sort([lesion.volume_ml for lesion in lesions]))
    _depths(second, prior, [(lesion.volume_ml, lesion.seed_rank) for lesion in lesions])
    _bandwidths(third, prior)
    for axes in (first, second, third):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.title.set_fontsize(10)
    return figure


def _sizes(axes: Any, law: SizeLaw, volumes: NDArray[np.float64]) -> None:
    share = np.linspace(0.001, 0.999, 300)
    axes.plot(SizeLaw().quantile(share), share, color=_PUBLISHED, linestyle=":", label="published")
    axes.plot(law.quantile(share), share, color=_LAW, label="fitted law")
    steps = np.arange(1, len(volumes) + 1) / len(volumes)
    axes.step(volumes, steps, where="post", color=_DOTS, linewidth=0.9, label="lesions")
    axes.set_xscale("log")
    axes.set_xlabel("volume in cortex and white matter, ml", fontsize=8)
    axes.set_ylabel("cumulated share", fontsize=8)
    axes.set_title(f"Volume (n = {len(volumes)})", loc="left")
    axes.legend(frameon=False, fontsize=8)


def _depths(axes: Any, prior: LesionPrior, seeds: Sequence[tuple[float, float]]) -> None:
    volumes, ranks = np.array(seeds).T
    axes.semilogx(volumes, ranks, ".", color=_DOTS, markersize=4, label="lesions")
    across = np.geomspace(min(volumes.min(), 0.3), max(volumes.max(), 20), 60)
    depth = np.linspace(0, 1, 201)
    tilt = np.exp([prior.depth.log_weights(float(v), Places.of(depth)) for v in across])
    axes.plot(across, tilt @ depth / tilt.sum(axis=1), color=_LAW, label="mean under the law")
    axes.axhline(0.5, color=_PUBLISHED, linestyle=":", label="no preference")
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("volume, ml", fontsize=8)
    axes.set_ylabel("depth rank of the seed (1 = bottom)", fontsize=8)
    axes.set_title("Sulcal depth", loc="left")
    axes.legend(frameon=False, fontsize=8, loc="lower left")


def _bandwidths(axes: Any, prior: LesionPrior) -> None:
    curve = prior.report.curve if prior.report else ()
    axes.set_title("Bandwidth of the site law", loc="left")
    if not curve:
        axes.set_axis_off()
        axes.text(0, 0.9, "not chosen by likelihood", transform=axes.transAxes, fontsize=9)
        return
    axes.plot([s.fwhm_mm for s in curve], [s.gain for s in curve], ".-", color=_LAW)
    best = max(curve, key=lambda s: s.gain)
    axes.plot([prior.site.fwhm_mm], [best.gain], "o", color=_LAW, markersize=9, fillstyle="none")
    axes.set_xlabel("full width at half maximum, mm", fontsize=8)
    axes.set_ylabel("nats per lesion over an even draw", fontsize=8)


def site_figure(prior: LesionPrior, patients: Sequence[Measured]) -> Figure | None:
    """The site law's map seen through from three sides, largest value along each line of sight.

    Args:
        prior: The prior.
        patients: Their cortex gives the grey outline.

    Returns:
        The figure; None where the law has no map.
    """
    if prior.site.density is None:
        return None
    found = [p.ribbon.points_mm for p in patients if p.ribbon.points_mm is not None]
    cortex = np.zeros(MAP_GRID.shape, dtype=np.float32)
    if found:
        voxel = np.rint(MAP_GRID.to_vox(np.concatenate(found))).astype(int)
        inside = ((voxel >= 0) & (voxel < MAP_GRID.shape)).all(axis=1)
        cortex[tuple(voxel[inside].T)] = 1
    per_ml = 100 * prior.site.density.per_ml
    lower, upper = MAP_GRID.to_mm((0, 0, 0)), MAP_GRID.to_mm(np.array(MAP_GRID.shape) - 1)
    figure = Figure(figsize=(11, 4.2), layout="constrained", facecolor="white")
    panels = figure.subplots(1, 3)
    for axes, (title, through, (across, up)) in zip(panels, _PLANES, strict=True):
        extent = (lower[across], upper[across], lower[up], upper[up])
        axes.imshow(per_ml.max(axis=through).T, origin="lower", extent=extent,
                    cmap="Reds", vmin=0, vmax=per_ml.max())  # fmt: skip
        axes.contour(cortex.max(axis=through).T, levels=[0.5], colors=[_PUBLISHED],
                     linewidths=0.7, extent=extent, origin="lower")  # fmt: skip
        if across == 0:  # radiological: the patient's right is on the left of the picture
            axes.set_xlim(upper[0], lower[0])
        ends = ("R", "L") if across == 0 else ("P", "A")
        for place, letter in zip((0.02, 0.94), ends, strict=True):
            axes.text(place, 0.5, letter, transform=axes.transAxes, fontsize=9)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set_axis_off()
    bar = figure.colorbar(panels[0].images[0], ax=list(panels), shrink=0.7, pad=0.01)
    bar.set_label("% of lesions per ml", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    return figure


def white_png(figure: Figure) -> bytes:
    """The figure on white as PNG; equal figures give equal bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()
