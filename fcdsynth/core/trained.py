"""TrainedRun: the layout of a folder that ``fit`` leaves; no other module joins its paths."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fcdsynth.core.detection import OPERATING_POINT, OperatingPoint
from fcdsynth.core.errors import RunError

CHECKPOINT = "last.ckpt"
SUBJECTS = "subjects.json"
CONFIG = "config.yaml"


@dataclass(frozen=True)
class TrainedRun:
    """One finished training.

    Args:
        folder: The folder given to ``fit`` as ``--out``.
    """

    folder: Path

    @classmethod
    def open(cls, folder: Path | str) -> TrainedRun:
        """Open a finished run.

        Raises:
            RunError: If the folder holds no checkpoint or no record of its subjects.
        """
        run = cls(Path(folder))
        absent = [n for n in (CHECKPOINT, SUBJECTS, CONFIG) if not (run.folder / n).is_file()]
        if absent:
            raise RunError(
                str(folder), f"no {', '.join(absent)}", "a folder that fcdsynth fit finished",
                "Give the --out folder of a finished fit; run the same fit again to resume it.",
            )  # fmt: skip
        return run

    @classmethod
    def open_ensemble(cls, folder: Path | str) -> tuple[TrainedRun, ...]:
        """Open one run, or the ``fold-*`` runs inside a folder, in order of their numbers.

        Raises:
            RunError: If there is neither.
        """
        folder = Path(folder)
        folds = sorted(folder.glob("fold-*"), key=lambda p: int(p.name.split("-")[1]))
        folds = [fold for fold in folds if not fold.name.endswith(".partial")]
        if (folder / CHECKPOINT).is_file() or not folds:
            return (cls.open(folder),)
        return tuple(cls.open(fold) for fold in folds)

    @property
    def checkpoint(self) -> Path:
        """Lightning checkpoint of the last step."""
        return self.folder / CHECKPOINT

    @property
    def config(self) -> dict[str, Any]:
        """Settings of the fit: ``model``, ``data``, ``trainer``, ``seed_everything``."""
        return dict(yaml.safe_load((self.folder / CONFIG).read_text(encoding="utf-8")))

    @property
    def operating_point(self) -> OperatingPoint:
        """Temperature, threshold and minimum volume chosen on the run's validation subjects."""
        return OperatingPoint.from_json(json.loads((self.folder / OPERATING_POINT).read_text()))

    def write_operating_point(self, point: OperatingPoint) -> None:
        """Store the operating point beside the checkpoint."""
        text = json.dumps(point.to_json(), indent=2) + "\n"
        (self.folder / OPERATING_POINT).write_text(text)

    def write_subjects(
        self, trained_on: tuple[str, ...], validated_on: tuple[str, ...], parents: tuple[str, ...]
    ) -> None:
        """Store which subjects trained the run, which validated it, and whose children trained."""
        record = {
            "trained_on": sorted(trained_on),
            "validated_on": sorted(validated_on),
            "parents": sorted(parents),
        }
        (self.folder / SUBJECTS).write_text(json.dumps(record, indent=2) + "\n")

    def _subjects(self, key: str) -> tuple[str, ...]:
        return tuple(json.loads((self.folder / SUBJECTS).read_text())[key])

    @property
    def trained_on(self) -> tuple[str, ...]:
        """Ids of the training subjects, synthetic ones included."""
        return self._subjects("trained_on")

    @property
    def validated_on(self) -> tuple[str, ...]:
        """Ids of the validation subjects."""
        return self._subjects("validated_on")

    @property
    def seen(self) -> frozenset[str]:
        """Every real id the weights may know: training subjects and parents of synthetic ones."""
        return frozenset(self.trained_on) | frozenset(self._subjects("parents"))
