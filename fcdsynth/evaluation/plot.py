"""The FROC picture, drawn without a display."""

from __future__ import annotations

from pathlib import Path

from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule

_COLOURS = {
    Rule.OVERLAP: "#0072b2",
    Rule.IOU: "#d55e00",
    Rule.CENTRE: "#009e73",
    Rule.NEAR: "#7f7f7f",
}


def plot_froc(report: Report, path: Path) -> Path:
    """Draw lesion recall against false positives, one panel for patients and one for controls.

    Args:
        report: The evaluation.
        path: PNG file to write.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.2), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, 2, sharey=True)
    for panel, group in zip(panels, ("patient", "control"), strict=True):
        drawn = False
        for rule in Rule:
            points = [
                (getattr(point, f"false_positives_per_{group}"), point.lesion_recall)
                for point in report.froc
                if point.rule == rule
            ]
            kept = [(x, y) for x, y in points if x is not None and y is not None]
            if not kept:
                continue
            drawn = True
            panel.step(
                *zip(*kept, strict=True), where="post", marker=".", color=_COLOURS[rule],
                linewidth=2.4 if rule is report.rule else 1.1, label=rule.words,
            )  # fmt: skip
        if not drawn:
            missing = f"no {group}s" if any(s.is_patient for s in report.subjects) else "no lesions"
            panel.text(0.5, 0.5, missing, ha="center", transform=panel.transAxes)
        panel.set_xlabel(f"false positives per {group}")
        panel.set_xlim(left=0)
        panel.set_ylim(0, 1.02)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("lesion recall")
    n_patients = sum(s.is_patient for s in report.subjects)
    panels[0].set_title(f"{n_patients} patients", fontsize=10)
    panels[1].set_title(f"{len(report.subjects) - n_patients} controls", fontsize=10)
    if panels[0].get_legend_handles_labels()[0]:
        panels[0].legend(fontsize=7, loc="lower right")
    # No software or time stamp in the file: equal reports give equal bytes.
    figure.savefig(path, metadata={"Software": None})
    return path
