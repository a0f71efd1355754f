"""Pictures of a validation: host, blanked, redrawn and where the lesion is, per contrast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from pytorch_lightning.loggers import TensorBoardLogger

from fcdsynth.training.record import MetricsTable

FOLDER = "samples"
_COLUMNS = ("host", "blanked", "redrawn", "outlines")
_CELL_INCH = 1.4
_BACKGROUND, _INK = "black", "0.85"
_LESION, _REGION = "#ff5a36", "#4cc9f0"


@dataclass(frozen=True, eq=False)
class Sample:
    """One validation patch and what the generator made of it.

    Args:
        subject: Id of the subject.
        host: Prepared intensities, shape (contrast, x, y, z).
        blanked: With the region blanked.
        redrawn: With the region redrawn.
        lesion: Mask, shape (x, y, z); empty for a healthy region.
        region: Redrawn voxels, same shape.
    """

    subject: str
    host: NDArray[np.float32]
    blanked: NDArray[np.float32]
    redrawn: NDArray[np.float32]
    lesion: NDArray[np.bool_]
    region: NDArray[np.bool_]


def sheet(samples: Sequence[Sample], contrasts: Sequence[str], title: str) -> Figure:
    """Draw one row per sample and contrast: the axial slice with most lesion, or most region.

    The grey window is that of the host's slice in all four pictures of a row.

    Args:
        samples: At least one.
        contrasts: Names of the channels.
        title: Written above.
    """
    rows = len(samples) * len(contrasts)
    figure = Figure(figsize=(4 * _CELL_INCH + 0.9, rows * _CELL_INCH + 0.6), facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 4, squeeze=False, gridspec_kw={"wspace": 0.03, "hspace": 0.03})
    figure.subplots_adjust(left=0.13, right=0.99, bottom=0.01, top=1 - 0.45 / (0.6 + rows))
    figure.suptitle(title, color=_INK, fontsize=8)
    for row, line in enumerate(axes):
        sample = samples[row // len(contrasts)]
        channel = row % len(contrasts)
        mask = sample.lesion if sample.lesion.any() else sample.region
        level = int(mask.sum((0, 1)).argmax())
        host = sample.host[channel, :, :, level]
        inside = host[host > 0]
        low, high = np.percentile(inside, (1, 99)) if inside.size else (0.0, 1.0)
        images = (sample.host, sample.blanked, sample.redrawn, sample.redrawn)
        for column, (axis, image) in enumerate(zip(line, images, strict=True)):
            axis.imshow(image[channel, :, :, level].T, cmap="gray", origin="lower",
                        vmin=low, vmax=max(high, low + 1e-3), interpolation="nearest")  # fmt: skip
            axis.set_xticks([])
            axis.set_yticks([])
            if row == 0:
                axis.set_title(_COLUMNS[column], color=_INK, fontsize=8)
        for outline, colour in ((sample.region, _REGION), (sample.lesion, _LESION)):
            if outline[:, :, level].any():
                line[3].contour(outline[:, :, level].T.astype(float), [0.5], colors=[colour],
                                linewidths=0.8)  # fmt: skip
        kind = "lesion" if sample.lesion.any() else "healthy"
        label = f"{sample.subject}\n{kind}\n{contrasts[channel]}"
        line[0].set_ylabel(label, color=_INK, fontsize=7, rotation=0, ha="right", va="center")
    return figure


def show(trainer: pl.Trainer, figure: Figure, step: int) -> None:
    """Give a figure to every TensorBoard logger, or else write it as a PNG beside the metrics.

    Args:
        trainer: Whose loggers are asked; only its first process writes.
        figure: The figure.
        step: Training steps done, in the file's name.
    """
    if not trainer.is_global_zero:
        return
    boards = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
    for board in boards:
        board.experiment.add_figure("synthesis/val/samples", figure, step, close=False)
    if boards:
        return
    tables = [logger.path.parent for logger in trainer.loggers if isinstance(logger, MetricsTable)]
    folder = (tables[0] if tables else Path(trainer.default_root_dir)) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"step-{step:07d}.png", dpi=110, metadata={"Software": None},
                   facecolor=figure.get_facecolor())  # fmt: skip
