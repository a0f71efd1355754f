"""The verbs fit, validate and test: LightningCLI around a task and its data module."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
import yaml
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.warnings import PossibleUserWarning

from fcdsynth.core.errors import FcdsynthError, RunError, SettingsError
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Split
from fcdsynth.core.trained import CHECKPOINT, TrainedRun
from fcdsynth.training.data import CohortData
from fcdsynth.training.record import MetricsTable, Replay
from fcdsynth.training.task import Task


class _CLI(LightningCLI):
    """LightningCLI without its own verbs: the words are parsed here, the verb is run by us."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--out", type=str, help="folder of the run (written, or read by "
                            "validate and test)", required=True)  # fmt: skip
        parser.add_argument("--threads", type=int, default=0, help="torch threads; 0 leaves them")
        parser.add_argument("--checkpoint_every", type=int, default=200,
                            help="batches between checkpoints")  # fmt: skip

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        # Whatever Lightning writes by itself (a Slurm requeue checkpoint, say) lands in the run.
        out = Path(self.config["out"])
        partial = str(out.with_name(f"{out.name}.partial"))
        return super().instantiate_trainer(default_root_dir=partial, **kwargs)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's tips and guesses off the terminal; its errors and the bar stay."""
    loggers = [logging.getLogger(f"{name}.utilities.rank_zero")
               for name in ("pytorch_lightning", "lightning_fabric")]  # fmt: skip
    loggers += [logging.getLogger("pytorch_lightning"), logging.getLogger("lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
            warnings.filterwarnings("ignore", message=r"\s*By default only one Jsonargparse")
            warnings.filterwarnings("ignore", category=DeprecationWarning, module="pytorch_light")
            warnings.filterwarnings("ignore", category=PossibleUserWarning)
            warnings.filterwarnings("ignore", message="Be aware that when using `ckpt_path`")
            # A fit without validation subjects is allowed.
            warnings.filterwarnings("ignore", message="Total length of `list` across ranks")
            warnings.filterwarnings("ignore", message="Checkpoint directory .* exists")
            # Lightning 2.6 on torch 2.13.
            warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


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
        RunError: If ``--out`` holds another run, whole or stopped, or ``validate`` and ``test``
            are given settings that differ from the run's.
        SettingsError: If a setting is out of range.
        LeakageError: If a training subject descends from a held-out one.
    """
    with _quiet():
        cli = _parse(verb, words)
        config = yaml.safe_load(cli.parser.dump(cli.config, skip_link_targets=False))
        out = Path(config.pop("out"))
        threads, every = config.pop("threads"), config.pop("checkpoint_every")
        if threads:
            torch.set_num_threads(threads)
        seed = config["seed_everything"]
        if type(seed) is not int or seed < 0:
            raise SettingsError("seed_everything", str(seed), "a whole number from 0 up",
                                "Give --seed_everything NUMBER.")  # fmt: skip
        if every < 1:
            raise SettingsError("checkpoint_every", str(every), "at least 1", "Change the setting.")
        cli.datamodule.seed = seed
        if verb == "fit":
            return _fit(cli, config, out, every)
        return _measure(cli, verb, config, out)


def _parse(verb: str, words: Sequence[str]) -> Any:
    """Parse the words and build task, data module and trainer."""
    try:
        return _CLI(
            Task,
            CohortData,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=None,
            seed_everything_default=0,
            run=False,
            args=list(words),
            trainer_defaults={
                "logger": False,
                "enable_checkpointing": False,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
                "use_distributed_sampler": False,  # DrawOrder deals draws to processes
            },
            parser_kwargs={"prog": f"fcdsynth {verb}", "allow_abbrev": False},
        )
    except ValueError as error:
        # jsonargparse wraps what a constructor raises.
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, FcdsynthError):
            cause = cause.__cause__ or cause.__context__
        if cause is None:
            raise
        raise cause from None


def _fit(cli: Any, config: dict[str, Any], out: Path, every: int) -> Path:
    data: CohortData = cli.datamodule
    cohort = data.cohort  # a clear error before anything is written
    run = Run(out, "fit", config, data.files(), data.seed)
    if run.complete:
        return out
    first = rank_zero_only.rank == 0
    checkpoint = run.folder / CHECKPOINT
    if first:
        _refuse_other_partial(run, checkpoint)
    with run if first else nullcontext():
        trainer = cli.trainer
        resume = str(checkpoint) if checkpoint.is_file() else None
        done = 0
        if resume:
            done = int(torch.load(resume, map_location="cpu", weights_only=True)["global_step"])
        trainer.loggers = [MetricsTable(run.folder, done), *trainer.loggers]
        keeper = ModelCheckpoint(
            run.folder,
            Path(CHECKPOINT).stem,
            every_n_train_steps=every,
            save_top_k=1,
            enable_version_counter=False,
        )
        if trainer.fit_loop.max_epochs in (None, -1) and trainer.max_steps > 0:
            # Only so that the bar can say how much is left; max_steps ends the fit.
            trainer.fit_loop.max_epochs = -(-trainer.max_steps // data.steps_per_epoch)
        trainer.callbacks += [Replay(data, data.seed), keeper]
        trainer.fit(cli.model, datamodule=data, ckpt_path=resume, weights_only=True)
        if trainer.interrupted:
            raise KeyboardInterrupt
        partial = run.folder / f".partial-{CHECKPOINT}"
        trainer.save_checkpoint(partial)
        if not first:
            return out
        os.replace(partial, checkpoint)
        cli.model.finish(run.folder, data)
        training = cohort.of_split(Split.TRAIN).subjects
        TrainedRun(run.folder).write_subjects(
            tuple(s.id for s in training),
            tuple(s.id for s in cohort.of_split(Split.VAL).subjects),
            tuple({p.subject for s in training for p in s.parents} | set(cohort.fitted_on)),
        )
    return out


def _refuse_other_partial(run: Run, checkpoint: Path) -> None:
    """Raise when a stopped fit of other settings would be thrown away."""
    if checkpoint.is_file() and run.partial_is_foreign:
        raise RunError(
            str(run.folder), "a stopped fit of other settings, cohort or version",
            "the same settings, to go on", "Give another --out, or remove this folder.",
        )  # fmt: skip


def _measure(cli: Any, verb: str, config: dict[str, Any], out: Path) -> Path:
    run = TrainedRun.open(out)
    for part in ("model", "data"):
        for key, found, expected in _differences(config[part], run.config[part], part):
            raise RunError(
                key, f"{found}", f"{expected}, as {out} was trained",
                f"Give -c {out}/config.yaml, or fit a run of its own with the new settings.",
            )  # fmt: skip
    getattr(cli.trainer, verb)(
        cli.model, datamodule=cli.datamodule, ckpt_path=str(run.checkpoint), weights_only=True
    )
    return out


def _differences(found: Any, expected: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield the key of each setting that differs, with both values."""
    if isinstance(found, dict) and isinstance(expected, dict):
        for name in sorted({*found, *expected}):
            yield from _differences(found.get(name), expected.get(name), f"{key}.{name}")
    elif found != expected:
        yield key, found, expected
