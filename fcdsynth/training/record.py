"""What a fit leaves about itself while it runs: its metrics, and where it stands."""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

from fcdsynth.training.data import CohortData

METRICS = "metrics.csv"
_HEADER = ["step", "name", "value"]


class MetricsTable(Logger):
    """Metrics as a table ``step, name, value`` that a resumed run continues.

    Lightning's own CSV logger deletes the earlier part of a resumed run's table.

    Args:
        folder: The run's folder; the table is ``metrics.csv`` in it.
        first_step: Rows of this step and later ones, left by a run that was stopped after its
            last checkpoint, are dropped.
    """

    def __init__(self, folder: Path, first_step: int = 0) -> None:
        super().__init__()
        self.path = folder / METRICS
        self._keep_until(first_step)

    @rank_zero_only
    def _keep_until(self, first_step: int) -> None:
        if self.path.is_file():
            with self.path.open(newline="", encoding="utf-8") as stream:
                rows = [r for r in list(csv.reader(stream))[1:] if int(r[0]) < first_step]
            self.path.unlink()
            self._append(rows)

    def _append(self, rows: list[list[Any]]) -> None:
        # The table appears with its first row, so that a fit refused at its start leaves nothing.
        head = [] if self.path.is_file() else [_HEADER]
        with self.path.open("a", newline="", encoding="utf-8") as stream:
            csv.writer(stream, lineterminator="\n").writerows([*head, *rows])

    @property
    def name(self) -> str:
        """Empty: the table lies in the run's folder itself."""
        return ""

    @property
    def version(self) -> str:
        """Empty: a run has one table."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one row per metric (called by Lightning)."""
        rows = [[step, name, f"{float(value):.6g}"] for name, value in sorted(metrics.items())
                if name != "epoch"]  # fmt: skip
        if rows:
            self._append(rows)

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any) -> None:
        """Nothing: the run's ``config.yaml`` holds them."""


class Replay(pl.Callback):
    """Give every batch its own seed and number, so that a resumed run repeats an unbroken one.

    Args:
        data: The data module, told how many batches of the run are done.
        seed: Seed of the run.
    """

    def __init__(self, data: CohortData, seed: int) -> None:
        self.data = data
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, *_args: Any) -> None:
        """Seed torch for what the task draws in this batch."""
        rank, world = self.data.rank_and_world
        torch.manual_seed(self.seed * 1_000_003 + self.data.batches_done * world + rank)

    def on_train_batch_end(self, *_args: Any) -> None:
        """Count the batch."""
        self.data.batches_done += 1

    def state_dict(self) -> dict[str, Any]:
        """What the checkpoint keeps."""
        return {"batches_done": self.data.batches_done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the count back from a checkpoint."""
        self.data.batches_done = int(state_dict["batches_done"])
