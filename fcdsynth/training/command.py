"""The verbs fit, validate and test: LightningCLI around a task and its data module."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import CSVLogger

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.cohort import TABLE as COHORT_TABLE
from fcdsynth.core.errors import RunError
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Split
from fcdsynth.core.trained import CHECKPOINT, TrainedRun
from fcdsynth.training.data import CohortData
from fcdsynth.training.task import Task


class _CLI(LightningCLI):
    """LightningCLI without its own verbs: the words are parsed here, the verb is run by us."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--out", type=str, help="folder of the run (written, or read by "
                            "validate and test)", required=True)  # fmt: skip
        parser.add_argument("--threads", type=int, default=0, help="torch threads; 0 leaves them")
        parser.add_argument("--checkpoint_every", type=int, default=200,
                            help="optimiser steps between checkpoints")  # fmt: skip


def train(verb: str, words: Sequence[str]) -> Path:
    """Run ``fit``, ``validate`` or ``test`` from words such as ``-c a.yaml --out RUN``.

    ``fit`` writes ``RUN`` with the last checkpoint, ``config.yaml``, ``subjects.json``, the
    metrics as CSV and ``provenance.json``. Stopped, it resumes when the same words come again.

    Args:
        verb: ``fit``, ``validate`` or ``test``.
        words: Configuration files and overrides.

    Returns:
        The run's folder.

    Raises:
        RunError: If ``--out`` holds another run, or ``validate`` and ``test`` are given settings
            that differ from the run's.
        LeakageError: If a training subject descends from a held-out one.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
        cli = _CLI(
            Task,
            CohortData,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            seed_everything_default=0,
            run=False,
            args=list(words),
            trainer_defaults={"logger": False, "enable_checkpointing": False},
            parser_kwargs={"prog": f"fcdsynth {verb}"},
        )
    config = yaml.safe_load(cli.parser.dump(cli.config, skip_link_targets=False))
    out = Path(config.pop("out"))
    threads, every = config.pop("threads"), config.pop("checkpoint_every")
    if threads:
        torch.set_num_threads(threads)
    if verb == "fit":
        return _fit(cli, config, out, every)
    return _measure(cli, verb, config, out)


def _fit(cli: Any, config: dict[str, Any], out: Path, every: int) -> Path:
    data: CohortData = cli.datamodule
    table = Path(data.cohort_path)
    table = table if table.suffix == ".csv" else table / COHORT_TABLE
    Cohort.read(table)  # a clear error before anything is written
    run = Run(out, "fit", config, [table], config.get("seed_everything"))
    if run.complete:
        return out
    cohort = data.cohort
    with run:
        checkpoint = run.folder / CHECKPOINT
        trainer = cli.trainer
        trainer.loggers = [CSVLogger(run.folder, name="", version="metrics")]
        keeper = ModelCheckpoint(
            run.folder,
            Path(CHECKPOINT).stem,
            every_n_train_steps=every,
            save_top_k=1,
            enable_version_counter=False,
        )
        trainer.callbacks.append(keeper)
        resume = str(checkpoint) if checkpoint.is_file() else None
        trainer.fit(cli.model, datamodule=data, ckpt_path=resume)
        if trainer.interrupted:
            raise KeyboardInterrupt
        partial = run.folder / f".partial-{CHECKPOINT}"
        trainer.save_checkpoint(partial)
        os.replace(partial, checkpoint)
        cli.model.finish(run.folder, data)
        training = cohort.of_split(Split.TRAIN).subjects
        TrainedRun(run.folder).write_subjects(
            tuple(s.id for s in training),
            tuple(s.id for s in cohort.of_split(Split.VAL).subjects),
            tuple({p.subject for s in training for p in s.parents} | set(cohort.fitted_on)),
        )
    return out


def _measure(cli: Any, verb: str, config: dict[str, Any], out: Path) -> Path:
    run = TrainedRun.open(out)
    for part in ("model", "data"):
        if run.config.get(part) != config.get(part):
            raise RunError(
                f"{out} {part}", f"{config.get(part)}", f"{run.config.get(part)} as it was trained",
                f"Give -c {out}/config.yaml, or fit a run of its own with the new settings.",
            )  # fmt: skip
    getattr(cli.trainer, verb)(cli.model, datamodule=cli.datamodule, ckpt_path=str(run.checkpoint))
    return out
