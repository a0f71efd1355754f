"""A detector whose maps of probability are known, so that what detect writes can be worked out."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import fcdsynth.detector.detect as room
from fcdsynth.core.detection import OperatingPoint
from fcdsynth.core.trained import TrainedRun
from fcdsynth.detector.ensemble import Ensemble, Model

BACKGROUND = 0.05


def known_detector(
    monkeypatch,
    folder: Path,
    boxes: dict[str, tuple[tuple[slice, slice, slice], float]],
    inputs: tuple[str, ...] = ("t1w", "flair"),
    flair_optional: bool = True,
    spacing_mm: float = 6.0,
) -> Path:
    """Make the folder of a fit and let detect find boxes of voxels in every subject.

    Args:
        monkeypatch: That of the test.
        folder: Folder to make.
        boxes: By name, voxels of the prepared grid and their probability; elsewhere in the
            brain it is 0.05.
        inputs: Channels of the model.
        flair_optional: Whether it works without FLAIR.
        spacing_mm: Voxel size it was trained on.
    """
    folder.mkdir(parents=True)
    (folder / "last.ckpt").write_bytes(b"weights")
    (folder / "config.yaml").write_text("{}\n")
    (folder / "subjects.json").write_text(
        json.dumps({"trained_on": ["other-1"], "validated_on": ["other-2"], "parents": []})
    )
    run = TrainedRun(folder)
    run.write_operating_point(OperatingPoint(1.0, 0.5, 0.1, chosen_on=("other-2",)))
    task = SimpleNamespace(
        hparams=SimpleNamespace(inputs=list(inputs)), spacing_mm=(spacing_mm,) * 3
    )
    model = Model(run, task, run.operating_point, (16, 16, 16), flair_optional)

    def look(_models, image, *_rest):
        found = np.where((image > 0).any(0), np.float32(BACKGROUND), np.float32(0))
        for box, value in boxes.values():
            found[box] = value
        return found

    monkeypatch.setattr(room.Ensemble, "open", lambda _folder: Ensemble((model,)))
    monkeypatch.setattr(room, "mean_probability", look)
    return folder
