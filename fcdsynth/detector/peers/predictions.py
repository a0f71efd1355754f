"""What nnU-Net predicts of a case: its label map and, where saved, its probabilities."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import RunError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume, canonical, read_labels

_SLACK = 1e-3
_READ_ERRORS = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)


def read_prediction(folder: Path, case: str, grid: Grid) -> Volume:
    """Probability of lesion of one case.

    nnU-Net saves arrays (class, z, y, x) whichever reader it has: its nibabel reader transposes
    to the order of the SimpleITK one. A reader "WithReorient" turns the image to RAS first, and
    only the label map is turned back. Which of the two it was is seen from the label map, whose
    value must be the most probable class in every voxel.

    Args:
        folder: Folder of predictions.
        case: Case id.
        grid: Grid that was exported.

    Returns:
        Probability of class 1, float32; 0 and 1 where only a label map was saved. On ``grid``,
        or on the same grid with axes turned to RAS.

    Raises:
        CohortError: If the label map cannot be read.
        GeometryError: If it lies on another grid.
        RunError: If it holds more than background and lesion, or the probabilities do not
            belong to it.
    """
    path = folder / f"{case}.nii.gz"
    labels = read_labels(path)
    remedy = "Predict in the images that were exported, and import with the same cohort."
    grid.require_same(labels.grid, path.name, remedy)
    labels = Volume(labels.array, grid)
    found = np.unique(labels.array)
    if not set(found.tolist()) <= {0, 1}:
        raise RunError(str(path), f"labels {found.tolist()}", "0 and 1, as exported",
                       "Give predictions of a model that was trained on the export.")  # fmt: skip
    archive = path.with_name(f"{case}.npz")
    if not archive.is_file():
        return Volume((labels.array == 1).astype(np.float32), grid)
    classes = _read_archive(archive).transpose(0, 3, 2, 1)
    frames = [labels, canonical(labels)]
    shapes = {frame.array.shape for frame in frames}
    if classes.shape[0] != 2 or classes.shape[1:] not in shapes:
        raise RunError(
            str(archive), f"{classes.shape[0]} classes, {classes.shape[1:]} voxels",
            f"2 classes, {labels.array.shape} voxels as in {path.name}, axes (class, z, y, x)",
            "Predict again; keep both files of one call of nnUNetv2_predict.",
        )  # fmt: skip
    wrong = []
    for frame in reversed(frames) if _turns(folder) else frames:
        if classes.shape[1:] == frame.array.shape:
            wrong.append(_disagreeing(classes, frame.array))
            if wrong[-1] == 0:
                return Volume(np.clip(classes[1], 0, 1).astype(np.float32), frame.grid)
    raise RunError(
        str(archive), f"another most probable class than {path.name} in {min(wrong)} voxels",
        "probabilities that belong to the label map",
        "Predict again with --save_probabilities; or, where the label map was postprocessed, "
        "remove the .npz to import the label map alone.",
    )  # fmt: skip


def _read_archive(path: Path) -> NDArray[np.floating]:
    try:
        with path.open("rb") as stream, np.load(stream) as archive:
            array = np.asarray(archive["probabilities"])
    except _READ_ERRORS as error:
        raise RunError(str(path), f"{type(error).__name__}: {error}",
                       "an archive that holds probabilities",
                       "Predict again with --save_probabilities.") from error  # fmt: skip
    usable = array.ndim == 4 and np.issubdtype(array.dtype, np.floating)
    if not usable or not array.size or not np.isfinite(array).all() \
            or array.min() < -_SLACK or array.max() > 1 + _SLACK:  # fmt: skip
        raise RunError(
            str(path), f"an array of {array.dtype}, shape {array.shape}, not all within 0 to 1",
            "probabilities of shape (class, z, y, x)", "Predict again with --save_probabilities.",
        )  # fmt: skip
    return array


def _turns(folder: Path) -> bool:
    """Whether the model's reader turns images to RAS; nnU-Net copies its plans beside."""
    plans = folder / "plans.json"
    if not plans.is_file():
        return False
    return "Reorient" in str(json.loads(plans.read_text()).get("image_reader_writer", ""))


def _disagreeing(classes: NDArray[np.floating], labels: NDArray[np.integer]) -> int:
    """Voxels whose label is not the most probable class; with a tie either class is right."""
    chosen = np.where(labels == 1, classes[1], classes[0])
    return int((chosen < classes.max(axis=0)).sum())
