"""Ensemble: one or several trained detectors that speak with one voice."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.typing import NDArray

from fcdsynth.core.detection import OperatingPoint
from fcdsynth.core.errors import LeakageError, RunError, SettingsError
from fcdsynth.core.subject import Subject
from fcdsynth.core.trained import TrainedRun
from fcdsynth.detector.augment import Patch
from fcdsynth.detector.infer import infer_logits, probability
from fcdsynth.detector.inputs import Kinds
from fcdsynth.detector.task import DetectorTask

_SHOWN = 200


@dataclass(frozen=True, eq=False)
class Model:
    """A trained detector and where it came from.

    Args:
        run: Its folder.
        task: The Lightning module with its weights.
        point: Its operating point.
        patch: Window size in voxels.
        flair_optional: Whether it was trained to work without FLAIR.
    """

    run: TrainedRun
    task: DetectorTask
    point: OperatingPoint
    patch: Patch
    flair_optional: bool

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of its channels."""
        return tuple(self.task.hparams.inputs)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size it was trained on."""
        x, y, z = (float(size) for size in self.task.spacing_mm)
        return (x, y, z)


def load_model(run: TrainedRun) -> Model:
    """Load a trained detector.

    Raises:
        RunError: If the run is not a detector's, or its weights are not those of its plan.
    """
    config = run.config
    name = str(config["model"]["class_path"])
    if name != f"{DetectorTask.__module__}.{DetectorTask.__name__}":
        raise RunError(
            str(run.folder), f"a run of {name}", "a run of a detector",
            "Give the --out folder of a fit with a config of configs/detector.",
        )  # fmt: skip
    try:
        task = DetectorTask(**config["model"]["init_args"])
        stored = torch.load(run.checkpoint, map_location="cpu", weights_only=True)
        task.load_state_dict(stored["state_dict"])
    except (TypeError, KeyError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        reason = " ".join(str(error).split())[:_SHOWN]
        raise RunError(
            str(run.folder), f"weights that do not fit the plan in its config.yaml ({reason})",
            "last.ckpt and config.yaml of one fit, by this version",
            "Restore both files as fit wrote them, or fit again with this version.",
        ) from error  # fmt: skip
    data = config["data"]["init_args"]
    x, y, z = data["patch_size"]
    return Model(run, task.eval(), run.operating_point, (x, y, z), data["flair_dropout"] > 0)


@dataclass(frozen=True, eq=False)
class Ensemble:
    """Models of one kind, trained on different folds.

    Args:
        models: At least one; inputs and voxel size the same in all.

    Raises:
        RunError: If inputs or voxel sizes differ.
    """

    models: tuple[Model, ...]

    def __post_init__(self) -> None:
        first = self.models[0]
        for model in self.models[1:]:
            same = model.inputs == first.inputs and model.flair_optional == first.flair_optional
            if not same or not np.allclose(model.spacing_mm, first.spacing_mm, rtol=0.01):
                raise RunError(
                    str(model.run.folder), f"inputs {model.inputs}, voxels {model.spacing_mm} mm",
                    f"{first.inputs}, {first.spacing_mm} mm as in {first.run.folder}",
                    "Fit all folds with one configuration.",
                )  # fmt: skip

    @classmethod
    def open(cls, folder: Path | str) -> Ensemble:
        """Load the run in a folder, or the ``fold-*`` runs inside it."""
        return cls(tuple(load_model(run) for run in TrainedRun.open_ensemble(folder)))

    @property
    def point(self) -> OperatingPoint:
        """Medians of the models' points; the temperature is each model's own."""
        points = [model.point for model in self.models]
        return OperatingPoint(
            median(p.temperature for p in points),
            median(p.threshold for p in points),
            median(p.min_volume_ml for p in points),
            tuple(sorted({name for p in points for name in p.chosen_on})),
            points[0].scored_by,
            median(p.score_slope for p in points),
            median(p.score_intercept for p in points),
        )

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Ids of all subjects that trained any of the models."""
        return tuple(sorted({name for m in self.models for name in m.run.trained_on}))

    def may_judge(self, subject: Subject, out_of_fold: bool) -> tuple[Model, ...]:
        """The models that may be asked about a subject.

        Args:
            subject: The subject.
            out_of_fold: Only the models that held the subject out for validation; otherwise
                all, if none has seen it.

        Raises:
            LeakageError: If a model to be asked has seen the subject or one of its parents.
            SettingsError: If no model held the subject out.
        """
        chosen = self.models
        if out_of_fold:
            chosen = tuple(m for m in self.models if subject.id in m.run.validated_on)
            if not chosen:
                raise SettingsError(
                    subject.id, f"none of {len(self.models)} models validated on it",
                    "every subject held out by one fold", "Choose the split of subjects that "
                    "were cross-validated, or leave --out_of_fold out for unseen subjects.",
                )  # fmt: skip
        for model in chosen:
            known = model.run.seen.intersection({subject.id, *(p.subject for p in subject.parents)})
            if known:
                raise LeakageError(
                    subject.id, f"{', '.join(sorted(known))} in the training of {model.run.folder}",
                    "a subject the model has not seen",
                    "Detect in held-out subjects only, or give --out_of_fold for an ensemble.",
                )  # fmt: skip
        return chosen


def mean_probability(
    models: Sequence[Model],
    image: NDArray[np.float32],
    device: torch.device,
    mirror: bool = False,
    windows: int = 2,
    half: bool | None = None,
) -> NDArray[np.float32]:
    """Mean of the models' calibrated probabilities, (x, y, z) in [0, 1], 0 outside the brain."""
    total = np.zeros(image.shape[1:], dtype=np.float32)
    for model in models:
        logits = infer_logits(
            model.task.detecting, image, model.inputs, model.patch, device, mirror, windows, half
        )
        total += probability(logits, model.point.temperature)
    total[~Kinds(models[0].inputs).brain(image)] = 0
    return (total / len(models)).astype(np.float32)
