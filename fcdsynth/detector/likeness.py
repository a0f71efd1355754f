"""Likeness: which training lesions a detector's clusters look like to the detector itself.

A false positive that a detector learned from some training lesions looks to it as they do. So
every cluster is compared with every training lesion, real and synthetic, by the features of the
network that learned from them; its nearest ones say where it comes from.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.progress import track
from fcdsynth.core.resample import resample
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Origin, Split, Subject
from fcdsynth.core.trained import TrainedRun
from fcdsynth.core.volume import read_labels
from fcdsynth.detector.ensemble import Model, load_model
from fcdsynth.detector.features import MASK, Region, region_features
from fcdsynth.detector.inputs import load_channels
from fcdsynth.measure.components import label_components

FILE = "likeness.csv"
TRAINING = "training.json"
COLUMNS = ("subject", "cluster", "score", "rank", "training_subject", "origin", "likeness")
_LEAST_VOX = 3


@dataclass(frozen=True)
class Alike:
    """A cluster and one of the training lesions nearest to it.

    Args:
        subject: Whose cluster.
        cluster: Its number.
        score: Its score.
        rank: 1 for the nearest lesion.
        training_subject: Whose lesion.
        origin: Real, phantom or synthetic.
        likeness: Cosine of their standardised features, -1 to 1.
    """

    subject: str
    cluster: int
    score: float
    rank: int
    training_subject: str
    origin: str
    likeness: float


def likeness(run: str, found: str, cohort: str, training: str, out: str, nearest: int = 5) -> Path:
    """Compare clusters with the lesions that a detector was trained on.

    Features are the mean activations of the two finest levels and the coarsest over a region,
    with the network's patch around it, each standardised over the training lesions.

    Args:
        run: Folder of one finished fit.
        found: Output of detect.
        cohort: The cohort in which it found something.
        training: The table that the fit was given.
        out: Folder to write: ``likeness.csv``.
        nearest: Training lesions named for each cluster.

    Returns:
        The folder.

    Raises:
        SettingsError: If ``nearest`` is below 1.
        CohortError: If fewer than two training patients have a lesion mask.
        RunError: If ``run`` is no detector, or ``out`` holds something else.
    """
    if nearest < 1:
        raise SettingsError("nearest", str(nearest), "at least 1", "Change --nearest.")
    model = load_model(TrainedRun.open(run))
    detections, table, taught = Detections.read(found), Cohort.read(cohort), Cohort.read(training)
    patients = [s for s in taught.of_split(Split.TRAIN).subjects
                if s.is_patient and s.has("lesion")]  # fmt: skip
    if len(patients) < 2:
        raise CohortError(taught.name, f"{len(patients)} training patients with a mask",
                          "at least two", "Give the table that fit was given.")  # fmt: skip
    inputs = [model.run.checkpoint, Path(training) / TABLE]
    inputs += [detections.clusters_path(name) for name in detections.subjects]
    settings = {"run": run, "found": found, "cohort": cohort, "training": training,
                "nearest": nearest}  # fmt: skip
    work = Run(out, "likeness", settings, inputs)
    if work.complete:
        return work.out
    with work:
        owners: list[Subject] = []
        lesions = []
        for subject in track(patients, "training lesions"):
            rows = _of_mask(model, taught, subject)
            owners += [subject] * len(rows)
            lesions.append(rows)
        known = np.concatenate(lesions)
        middle, spread = known.mean(axis=0), known.std(axis=0) + 1e-6
        taught_by = _unit((known - middle) / spread).T
        alike: list[Alike] = []
        for name in track(detections.subjects, "clusters"):
            numbers, rows = _of_clusters(model, table, table[name], detections)
            scores = {d.cluster: d.score for d in detections.of(name)}
            cosine = _unit((rows - middle) / spread) @ taught_by
            for number, row in zip(numbers, cosine, strict=True):
                order = np.argsort(-row, kind="stable")[:nearest]
                alike += [
                    Alike(name, number, scores[number], rank, owners[k].id,
                          owners[k].origin.value, round(float(row[k]), 4))
                    for rank, k in enumerate(order.tolist(), start=1)
                ]  # fmt: skip
        with (work.folder / FILE).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows([getattr(row, key) for key in COLUMNS] for row in alike)
        origins = [subject.origin for subject in owners]
        record = {"lesions": len(owners), "synthetic": origins.count(Origin.SYNTHETIC)}
        (work.folder / TRAINING).write_text(json.dumps(record) + "\n", encoding="utf-8")
    return work.out


def read_likeness(folder: Path | str) -> list[Alike]:
    """What `likeness` wrote."""
    with (Path(folder) / FILE).open(newline="", encoding="utf-8") as stream:
        return [
            Alike(row["subject"], int(row["cluster"]), float(row["score"]), int(row["rank"]),
                  row["training_subject"], row["origin"], float(row["likeness"]))
            for row in csv.DictReader(stream)
        ]  # fmt: skip


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / (np.linalg.norm(rows, axis=1, keepdims=True) + 1e-9))


def _features(
    model: Model, image: NDArray[np.float32], regions: Sequence[Region]
) -> NDArray[np.float32]:
    return region_features(
        model.task.detecting, image, model.inputs, model.patch, regions, torch.device("cpu")
    )


def _of_mask(model: Model, cohort: Cohort, subject: Subject) -> NDArray[np.float32]:
    image, labels, grid = load_channels(
        cohort, subject, model.inputs, model.flair_optional, lesion=True
    )
    named, parts = label_components(labels[0] > 0, grid)
    regions = [Region(MASK, part.label, np.argwhere(named.array == part.label)) for part in parts
               if part.size_vox >= _LEAST_VOX or part is parts[0]]  # fmt: skip
    return _features(model, image, regions)


def _of_clusters(
    model: Model, cohort: Cohort, subject: Subject, detections: Detections
) -> tuple[list[int], NDArray[np.float32]]:
    """Numbers of a subject's clusters that reach the prepared grid, and their features."""
    if not detections.of(subject.id):
        return [], np.zeros((0, 1), dtype=np.float32)
    image, _, grid = load_channels(
        cohort, subject, model.inputs, model.flair_optional, lesion=False
    )
    native = read_labels(detections.clusters_path(subject.id))
    moved = resample(native, grid, 0).array
    regions = [Region("cluster", d.cluster, np.argwhere(moved == d.cluster))
               for d in detections.of(subject.id)]  # fmt: skip
    regions = [region for region in regions if len(region.voxels)]
    if not regions:
        return [], np.zeros((0, 1), dtype=np.float32)
    return [region.number for region in regions], _features(model, image, regions)
