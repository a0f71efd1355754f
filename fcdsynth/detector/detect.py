"""The verb detect: probability maps and candidate clusters in native space."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.detection import OPERATING_POINT, Detection, Detections
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.native import to_native
from fcdsynth.core.progress import track
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Split, Subject
from fcdsynth.core.volume import Volume, read_grid, write_volume
from fcdsynth.detector.ensemble import Ensemble, mean_probability
from fcdsynth.detector.inputs import load_channels, require_spacing
from fcdsynth.measure.clusters import find_clusters
from fcdsynth.training.device import choose_device


def detect(
    run: str,
    cohort: str,
    out: str,
    split: str = "test",
    out_of_fold: bool = False,
    mirror: bool = False,
    device: str = "auto",
    windows: int = 2,
) -> Path:
    """Find lesions in a prepared cohort.

    Every subject gets, on its native T1w grid, a map of lesion probability (float32, 0 to 1),
    a map of clusters, and rows in detections.csv: score (mean of the cluster's most probable
    0.1 ml), volume in ml, centre in RAS+ mm and in MNI space. Models are averaged after each
    was calibrated. The threshold and the smallest volume come from validation subjects.

    Args:
        run: Folder of a finished fit, or a folder of fits named fold-0, fold-1, ...
        cohort: Folder or table of a prepared cohort, its voxel size that of the training.
        out: Folder to write.
        split: Which subjects: train, val, test, none, or all rows.
        out_of_fold: Ask about each subject only the folds that held it out for validation. The
            threshold was chosen on such subjects too, so figures from them are a little rosy.
        mirror: Average with the result of the left-right mirrored volume.
        device: auto, cpu, cuda or cuda:1.
        windows: Windows computed at once; more is faster and takes more memory.

    Returns:
        The output folder.

    Raises:
        LeakageError: If a model has seen a subject, or one that the subject was made from.
        CohortError: If a subject lacks an input of the model or its native T1w.
        GeometryError: If the voxel size is not that of the training.
        SettingsError: If a setting is unknown, or a subject was held out by no fold.
        RunError: If ``run`` is no finished detector, or ``out`` holds something else.
    """
    if split not in ("all", *Split):
        raise SettingsError("split", split, f"all, {', '.join(Split)}", "Change --split.")
    if windows < 1:
        raise SettingsError("windows", str(windows), "at least 1", "Change --windows.")
    where = choose_device(device)
    table = Cohort.read(cohort)
    chosen = table if split == "all" else table.of_split(split)
    if not chosen.subjects:
        raise CohortError(str(cohort), f"no subject with split {split}", "at least one",
                          "Give --split all, or fill the split column.")  # fmt: skip
    ensemble = Ensemble.open(run)
    for subject in chosen.subjects:
        _check(ensemble, chosen, subject, out_of_fold)
    settings = {
        "run": run, "cohort": cohort, "split": split, "out_of_fold": out_of_fold,
        "mirror": mirror, "device": device, "windows": windows,
    }  # fmt: skip
    path = Path(cohort)
    inputs = [path if path.suffix == ".csv" else path / TABLE]
    for model in ensemble.models:
        inputs += [model.run.checkpoint, model.run.folder / OPERATING_POINT]
    for subject in chosen.subjects:
        keys = (*ensemble.models[0].inputs, "t1w_native", "transforms")
        inputs += [chosen.path(subject, key) for key in keys if subject.has(key)]
    work = Run(out, "detect", settings, inputs)
    if work.complete:
        return work.out
    point = ensemble.point
    with work:
        for subject in track(chosen.subjects, "detecting lesions"):
            if work.has(subject.id):
                continue
            models = ensemble.may_judge(subject, out_of_fold)
            first = ensemble.models[0]
            image, _, grid = load_channels(
                chosen, subject, first.inputs, first.flair_optional, lesion=False
            )
            prepared = Volume(mean_probability(models, image, where, mirror, windows), grid)
            native = _to_native(prepared, chosen, subject)
            labels, clusters = find_clusters(subject.id, native, point, _to_mni(chosen, subject))
            with work.item(subject.id) as folder:
                write_volume(folder / f"{subject.id}_probability.nii.gz", native)
                write_volume(folder / f"{subject.id}_clusters.nii.gz", labels)
                record = json.dumps([asdict(cluster) for cluster in clusters], indent=2)
                (folder / f"{subject.id}_clusters.json").write_text(record + "\n")
        ids = tuple(subject.id for subject in chosen.subjects)
        found = tuple(c for name in ids for c in _read_clusters(work.folder, name))
        Detections(work.folder, ids, found, point, ensemble.trained_on).write_tables()
    return work.out


def _check(ensemble: Ensemble, cohort: Cohort, subject: Subject, out_of_fold: bool) -> None:
    """Find from tables and headers alone what would stop the work halfway."""
    ensemble.may_judge(subject, out_of_fold)
    first = ensemble.models[0]
    needed = [k for k in first.inputs if not (k == "flair" and first.flair_optional)]
    for key in (*needed, "t1w_native"):
        grid = read_grid(cohort.path(subject, key))
        if key in needed:
            require_spacing(subject.id, grid.spacing_mm, first.spacing_mm)


def _to_native(prepared: Volume, cohort: Cohort, subject: Subject) -> Volume:
    """Carry a map of probability to the native T1w grid."""
    moved = to_native(prepared, subject, cohort)
    return Volume(np.clip(moved.array, 0, 1).astype(np.float32), moved.grid)


def _to_mni(cohort: Cohort, subject: Subject) -> Any:
    if not subject.has("transforms"):
        return None
    return json.loads(cohort.path(subject, "transforms").read_text()).get("t1w_to_mni")


def _read_clusters(folder: Path, subject: str) -> list[Detection]:
    rows = json.loads((folder / subject / f"{subject}_clusters.json").read_text())
    return [Detection.from_json(row) for row in rows]
