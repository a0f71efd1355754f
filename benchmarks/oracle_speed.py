"""How long the evaluator and panoptica take on the same maps, in turn, on one core."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from fcdsynth.core.detection import OperatingPoint
from fcdsynth.core.subject import Group, Origin, Subject
from fcdsynth.core.volume import canonical, read_volume, write_volume
from fcdsynth.evaluation import reading, whereabouts
from fcdsynth.evaluation.matching import match
from fcdsynth.evaluation.pairs import LesionField, label_voxels, measure_pairs
from fcdsynth.evaluation.reading import Scoring, read_reference
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.scoring import score_subject
from fcdsynth.evaluation.source import SubjectMaps
from fcdsynth.evaluation.surface import surface_distances
from fcdsynth.measure.clusters import find_clusters

SIDE = Path(__file__).with_name("oracle_side.py")


@dataclass(frozen=True)
class Speed:
    """Median seconds a subject.

    Args:
        work: What was done.
        arrays_s: From arrays in memory.
        files_s: Reading the files included.
        n: Subjects.
    """

    work: str
    arrays_s: float
    files_s: float
    n: int


OURS = "ours, whole: 4 rules at every score, distances, chance, sites, voxel bins"
OURS_ALIKE = "ours, panoptica's figures: 4 rules at every score; Dice, IoU, surface distances"
PANOPTICA = {
    "panoptica: overlap, one threshold; DSC IOU ASSD RVD; components": ("default", "SEMANTIC"),
    "panoptica: overlap, one threshold; DSC IOU; components": ("lightest", "SEMANTIC"),
    "panoptica: overlap, one threshold; DSC IOU; components given": (
        "lightest", "UNMATCHED_INSTANCE",
    ),
}  # fmt: skip
SWEEP = "panoptica: overlap and IoU at every score of the subject; DSC IOU ASSD RVD; components"


def tasks_of(
    maps: Sequence[tuple[Path, Path, Path]], work: Path, point: OperatingPoint, draws: int = 20
) -> list[Scoring]:
    """Cut probability maps as detect does, so that both sides can be given the clusters.

    Args:
        maps: Probability map, lesion mask and brain mask of each patient.
        work: Folder for the cluster maps.
        point: How to cut them.
        draws: Random draws behind the chance level.
    """
    tasks = []
    for number, (probability, lesion, brain) in enumerate(maps):
        name = f"sub-{number:03d}"
        clusters, found = find_clusters(name, read_volume(probability), point, None)
        path = write_volume(work / f"{name}_clusters.nii.gz", clusters)
        subject = Subject(name, Group.PATIENT, Origin.PHANTOM)
        files = {"truth": lesion, "brain": brain}
        given = SubjectMaps(probability, path, found)
        tasks.append(Scoring(subject, given, "truth", files, chance_draws=draws))
    return tasks


def speed(python: Path, tasks: Sequence[Scoring], repeats: int = 3) -> list[Speed]:
    """Time both by turns on the same cluster maps and lesion masks.

    The rows do not do the same work, and each says what it does. Ours as a whole reads four
    volumes (probability, clusters, lesion, brain) and gives four rules, each at every score,
    chance levels, sites and voxel bins. The second row leaves out what panoptica has not:
    chance levels, sites, voxel bins. Panoptica reads two volumes (clusters, lesion) and gives
    one rule at one threshold: to say what is found at every score it has to run once for every
    score, which the sweep does for the two rules it knows. Ours takes clusters as detect
    labelled them and labels the lesions; panoptica labels both, unless told that they are
    labelled (then the lesion mask counts as one lesion).

    Args:
        python: Python that has the libraries.
        tasks: Patients with detect's cluster map and a reference mask.
        repeats: Runs of each; their median counts. The sweep runs once.
    """
    rows: dict[str, dict[str, list[float]]] = {
        name: {"arrays": [], "files": []} for name in (OURS, OURS_ALIKE, *PANOPTICA, SWEEP)
    }
    one_core = {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}
    with subprocess.Popen(
        [python, SIDE, "time"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=os.environ | one_core,
    ) as side:  # fmt: skip

        def ask(**request: Any) -> dict[str, list[float]]:
            print(json.dumps(request), file=side.stdin, flush=True)
            # The libraries greet on standard output as well.
            return json.loads(next(line for line in side.stdout if line.startswith("{")))

        for task in tasks:
            paths = {"clusters": str(task.maps.clusters),
                     "lesion": str(task.files[task.reference_key])}  # fmt: skip
            ranked = sorted(task.maps.detections, key=lambda d: -d.score)
            keep = [[d.cluster for d in ranked[: n + 1]] for n in range(len(ranked))]
            seconds = {OURS: _time(score_subject, task, repeats),
                       OURS_ALIKE: _time(alike, task, repeats)}  # fmt: skip
            for name, (metrics, kind) in PANOPTICA.items():
                seconds[name] = ask(metrics=metrics, input=kind, repeats=repeats, **paths)
            seconds[SWEEP] = ask(metrics="default", keep=keep, **paths)
            for name, found in seconds.items():
                for kind, values in found.items():
                    rows[name][kind].append(statistics.median(values))
        side.stdin.close()
    return [
        Speed(name, statistics.median(row["arrays"]), statistics.median(row["files"]), len(tasks))
        for name, row in rows.items()
    ]


def alike(task: Scoring) -> None:
    """The part of `score_subject` that panoptica does too, by the same functions."""
    clusters = canonical(reading.read_labels(task.maps.clusters))
    by_label = label_voxels(clusters.array)
    voxels = [by_label[d.cluster] for d in task.maps.detections]
    lesions, _ = read_reference(task, clusters.grid)
    fields = [LesionField.of(one, clusters.grid) for one in lesions]
    pairs = measure_pairs(fields, voxels, clusters.grid)
    scores = [d.score for d in task.maps.detections]
    # One matching serves every score threshold.
    found = [match(rule, pairs, scores).found_by for rule in Rule]
    for row, column in {(r, c) for by in found for r, c in enumerate(by) if c is not None}:
        surface_distances(lesions[row], voxels[column], clusters.grid)


def _time(work: Callable[[Scoring], Any], task: Scoring, repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {"arrays": [], "files": []}
    memory = _preloaded(task)
    for _ in range(repeats):
        for kind, patches in (("files", []), ("arrays", memory)):
            with ExitStack() as stack:
                for patch in patches:
                    stack.enter_context(patch)
                start = time.perf_counter()
                work(task)
                seconds[kind].append(time.perf_counter() - start)
    return seconds


def _preloaded(task: Scoring) -> list[Any]:
    """Patches under which the evaluator's readers give back volumes that were read before."""
    paths = [p for p in (task.maps.map, task.maps.clusters, *task.files.values()) if p]
    patches = []
    for module, names in ((reading, ("read_volume", "read_labels", "read_mask", "read_grid")),
                          (whereabouts, ("read_labels",))):  # fmt: skip
        for name in names:
            read = getattr(module, name)
            kept = {str(p): read(p) for p in paths if p.name.endswith((".nii", ".nii.gz"))}
            patches.append(mock.patch.object(module, name, lambda path, kept=kept: kept[str(path)]))
    return patches
