"""CohortData: a prepared cohort as training and validation batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.leakage import check_leakage
from fcdsynth.core.subject import Split, Subject
from fcdsynth.core.volume import read_volume

Arrays = dict[str, np.ndarray]
_LABEL_KEYS = ("lesion", "brain", "tissue", "region")


def load_arrays(cohort: Cohort, subject: Subject, keys: Sequence[str]) -> tuple[Arrays, Grid]:
    """Load a prepared subject's volumes, all on one grid.

    Args:
        cohort: The table the subject belongs to.
        subject: The subject.
        keys: File keys; a ``lesion`` or ``region`` the subject does not have gives zeros.

    Returns:
        Arrays of shape (x, y, z) by key (float32, labels uint8) and their grid.

    Raises:
        CohortError: If a file is absent or unreadable.
        GeometryError: If two of them lie on different grids.
    """
    arrays: Arrays = {}
    grid: Grid | None = None
    for key in keys:
        if key in ("lesion", "region") and not subject.has(key):
            continue
        volume = read_volume(cohort.path(subject, key))
        if grid is None:
            grid = volume.grid
        remedy = "Run fcdsynth prepare on the whole cohort with one spacing."
        grid.require_same(volume.grid, f"{subject.id} {key}", remedy)
        labels = key in _LABEL_KEYS
        arrays[key] = np.rint(volume.array).astype(np.uint8) if labels else volume.array
    if grid is None:
        raise SettingsError("keys", "none", "at least one file key", "Name what to load.")
    for key in keys:
        arrays.setdefault(key, np.zeros(grid.shape, dtype=np.uint8))
    return arrays, grid


class CohortData(pl.LightningDataModule, ABC):
    """Training and validation subjects of one cohort table.

    The table's ``split`` column decides who trains and who validates; rows of other splits are
    there so that the leakage rule can be checked, and are never read.

    Args:
        cohort: Folder or table of a prepared cohort with its splits set.
        batch_size: Patches per batch.
        steps_per_epoch: Batches per epoch.
        workers: Loader processes; 0 loads in the training process.
    """

    def __init__(
        self, cohort: str, batch_size: int = 2, steps_per_epoch: int = 50, workers: int = 0
    ) -> None:
        super().__init__()
        self.cohort_path = cohort
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.workers = workers
        self._cohort: Cohort | None = None
        self._train: Dataset[Any] | None = None
        self._val: Dataset[Any] | None = None

    @property
    def cohort(self) -> Cohort:
        """The whole table, leakage checked.

        Raises:
            LeakageError: If a training subject descends from a held-out one.
            CohortError: If no subject is marked for training.
        """
        if self._cohort is None:
            cohort = Cohort.read(self.cohort_path)
            check_leakage(cohort)
            if not cohort.of_split(Split.TRAIN).subjects:
                raise CohortError(
                    str(self.cohort_path), "no subject with split train", "at least one",
                    "Fill the split column of the table, or let fcdsynth study do it.",
                )  # fmt: skip
            self._cohort = cohort
        return self._cohort

    @abstractmethod
    def make_dataset(self, cohort: Cohort, training: bool) -> Dataset[Any]:
        """Make the dataset of the subjects of one split.

        Args:
            cohort: Only the subjects to use.
            training: Whether to sample patches at random (``steps_per_epoch * batch_size`` of
                them) or to go through fixed ones.
        """

    def setup(self, stage: str | None = None) -> None:
        """Read the table and make both datasets (called by Lightning, once per stage)."""
        if self._train is None:
            self._train = self.make_dataset(self.cohort.of_split(Split.TRAIN), training=True)
            held_out = self.cohort.of_split(Split.VAL)
            self._val = self.make_dataset(held_out, training=False) if len(held_out) else None

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of training patches, in the order the dataset draws them."""
        assert self._train is not None
        return DataLoader(self._train, self.batch_size, num_workers=self.workers)

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Batches of validation patches; none when no subject has split val."""
        if self._val is None:
            return []
        return DataLoader(self._val, self.batch_size, num_workers=self.workers)

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of fixed patches of the subjects with split test."""
        held_out = self.cohort.of_split(Split.TEST)
        return DataLoader(self.make_dataset(held_out, training=False), self.batch_size)
