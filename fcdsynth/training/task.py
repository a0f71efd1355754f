"""Task: the Lightning module that both trained stages extend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import pytorch_lightning as pl

from fcdsynth.training.data import CohortData


class Task(pl.LightningModule, ABC):
    """A network with its losses, metrics and optimisers, always built in this order.

    Subclasses take plain arguments (str, int, float, bool, None, list), call
    ``save_hyperparameters()`` and then `build`.
    """

    def build(self) -> None:
        """Build networks, losses and metrics, in this order."""
        self.build_networks()
        self.build_losses()
        self.build_metrics()

    @abstractmethod
    def build_networks(self) -> None:
        """Set the networks as attributes."""

    @abstractmethod
    def build_losses(self) -> None:
        """Set the losses as attributes."""

    def build_metrics(self) -> None:
        """Set the running metrics as attributes; none by default."""

    def finish(self, folder: Path, data: CohortData) -> None:
        """Leave what belongs beside the checkpoint of a finished fit; nothing by default.

        Args:
            folder: The run's folder, still under its partial name.
            data: The data module of the fit.
        """
