"""CohortData: a prepared cohort as training and validation batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from torch.utils.data import DataLoader, Dataset, Sampler

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.leakage import check_leakage
from fcdsynth.core.subject import Split, Subject
from fcdsynth.core.volume import read_volume

Arrays = dict[str, np.ndarray]
_READ_KEYS = ("t1w", "flair", "lesion", "region", "brain", "tissue", "depth", "soft")
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
        SettingsError: If none of the keys names a file of the subject.
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


class DrawOrder(Sampler[int]):
    """Indices of one epoch's draws, counted from the first draw of the whole run.

    Lightning starts an interrupted epoch's loader anew. Counting from the start of the run
    makes a resumed run draw exactly what an unbroken one would have drawn. Processes of a
    distributed run take turns.

    Args:
        data: The data module; its ``batches_done`` says where the run stands.
        size: Draws per process and epoch.
    """

    def __init__(self, data: CohortData, size: int) -> None:
        self.data = data
        self.size = size

    def __iter__(self) -> Iterator[int]:
        rank, world = self.data.rank_and_world
        first = self.data.batches_done * self.data.batch_size
        return iter(range(first * world + rank, (first + self.size) * world + rank, world))

    def __len__(self) -> int:
        return self.size


class CohortData(pl.LightningDataModule, ABC):
    """Training and validation subjects of one cohort table.

    The table's ``split`` column decides who trains and who validates; rows of other splits are
    there so that the leakage rule can be checked, and are never read.

    Training datasets are asked for indices that never repeat in a run: draw number ``index`` is
    to be made from ``numpy.random.default_rng([self.seed, index])``, which makes runs
    repeatable and resumable.

    Args:
        cohort: Folder or table of a prepared cohort with its splits set.
        batch_size: Patches per batch and process.
        steps_per_epoch: Batches per epoch and process; validation follows each epoch.
        workers: Loader processes; 0 loads in the training process.
    """

    def __init__(
        self, cohort: str, batch_size: int = 2, steps_per_epoch: int = 50, workers: int = 0
    ) -> None:
        super().__init__()
        for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0),
                                   ("steps_per_epoch", steps_per_epoch, 1)):  # fmt: skip
            if value < least:
                raise SettingsError(f"data.{name}", str(value), f"at least {least}",
                                    "Change the setting.")  # fmt: skip
        self.cohort_path = cohort
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.workers = workers
        self.seed = 0
        self.reads: tuple[str, ...] = _READ_KEYS
        self.batches_done = 0
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

    def files(self) -> list[Path]:
        """The table and every file of `reads` of the training and validation subjects."""
        table = self.cohort.folder / TABLE
        given = Path(self.cohort_path)
        used = (s for s in self.cohort.subjects if s.split in (Split.TRAIN, Split.VAL))
        paths = [self.cohort.path(s, key) for s in used for key in self.reads if s.has(key)]
        return [given if given.suffix == ".csv" else table, *dict.fromkeys(paths)]

    @property
    def rank_and_world(self) -> tuple[int, int]:
        """Number of this process and count of processes of the run."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    @abstractmethod
    def make_dataset(self, cohort: Cohort, training: bool) -> Dataset[Any]:
        """Make the dataset of the subjects of one split.

        Args:
            cohort: Only the subjects to use.
            training: Whether to answer any index from 0 up with a patch drawn at random, or to
                go through fixed ones.
        """

    def setup(self, stage: str | None = None) -> None:
        """Read the table and make both datasets (called by Lightning, once per stage)."""
        if self._train is None and stage in (None, "fit"):
            self._train = self.make_dataset(self.cohort.of_split(Split.TRAIN), training=True)
        if self._val is None and stage in (None, "fit", "validate"):
            held_out = self.cohort.of_split(Split.VAL)
            self._val = self.make_dataset(held_out, training=False) if len(held_out) else None

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of training patches, each drawn once in a run."""
        assert self._train is not None
        order = DrawOrder(self, self.steps_per_epoch * self.batch_size)
        return DataLoader(
            self._train,
            self.batch_size,
            sampler=order,
            num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )

    def val_dataloader(self) -> DataLoader[Any] | list[Any]:
        """Batches of validation patches; none when no subject has split val."""
        if self._val is None:
            return []
        return DataLoader(self._val, self.batch_size, num_workers=self.workers)

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of fixed patches of the subjects with split test.

        Raises:
            CohortError: If no subject has split test.
        """
        held_out = self.cohort.of_split(Split.TEST)
        if not len(held_out):
            raise CohortError(str(self.cohort_path), "no subject with split test", "at least one",
                              "Fill the split column of the table.")  # fmt: skip
        return DataLoader(self.make_dataset(held_out, training=False), self.batch_size)
