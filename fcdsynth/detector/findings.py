"""What is written of a subject: probability map, cluster map and clusters, in native space."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detection, Detections, OperatingPoint
from fcdsynth.core.errors import CohortError, LeakageError, SettingsError
from fcdsynth.core.native import to_native
from fcdsynth.core.progress import track
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Split, Subject
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.detector.described import describe_clusters
from fcdsynth.measure.clusters import find_clusters

# What is read of a subject besides its map.
_READ = ("t1w_native", "transforms", "t1w", "flair", "tissue", "lobes", "brain", "t1w_mirror",
         "flair_mirror")  # fmt: skip

# From the cluster map and its clusters to the same clusters with more said about them.
Describe = Callable[[Volume, tuple[Detection, ...]], tuple[Detection, ...]]


def choose_subjects(cohort: Cohort, split: str) -> Cohort:
    """The subjects of one split, or all.

    Raises:
        SettingsError: If there is no such split.
        CohortError: If it holds no subject.
    """
    if split not in ("all", *Split):
        raise SettingsError("split", split, f"all, {', '.join(Split)}", "Change --split.")
    chosen = cohort if split == "all" else cohort.of_split(split)
    if not chosen.subjects:
        raise CohortError(str(cohort.folder), f"no subject with split {split}", "at least one",
                          "Give --split all, or fill the split column.")  # fmt: skip
    return chosen


def require_unseen(subjects: Sequence[Subject], trained_on: Sequence[str], what: str) -> None:
    """Raise if a subject, or one that it was made from, is among those trained on.

    Args:
        subjects: Who is to be judged.
        trained_on: Ids that went into the detector.
        what: What they went into, for the message.

    Raises:
        LeakageError: Naming the first subject at fault.
    """
    for subject in subjects:
        known = {subject.id, *(p.subject for p in subject.parents)}.intersection(trained_on)
        if known:
            raise LeakageError(
                subject.id, f"{', '.join(sorted(known))} in {what}",
                "a subject that it has not seen", "Choose held-out subjects with --split.",
            )  # fmt: skip


def native_probability(prepared: Volume, cohort: Cohort, subject: Subject) -> Volume:
    """Carry a map of probability to the native T1w grid, float32 in [0, 1].

    Raises:
        CohortError: If the subject has no native T1w.
    """
    moved = to_native(prepared, subject, cohort)
    return Volume(np.clip(moved.array, 0, 1).astype(np.float32), moved.grid)


def write_subject(
    folder: Path,
    subject_id: str,
    probability: Volume,
    point: OperatingPoint,
    to_mni: ArrayLike | None,
    describe: Describe | None = None,
) -> tuple[Detection, ...]:
    """Cut a map into clusters and write both with the clusters' records.

    Args:
        folder: The subject's own folder, such as `Run.item` gives.
        subject_id: Subject id.
        probability: Map on the native T1w grid, float32 in [0, 1].
        point: Threshold, smallest volume and calibration of scores.
        to_mni: 4 x 4 matrix from the native T1w world to MNI (RAS+ mm), None when unknown.
        describe: Says more about the clusters before they are written.

    Returns:
        The clusters, highest score first.
    """
    labels, clusters = find_clusters(subject_id, probability, point, to_mni)
    if describe is not None:
        clusters = describe(labels, clusters)
    write_volume(folder / f"{subject_id}_probability.nii.gz", probability)
    write_volume(folder / f"{subject_id}_clusters.nii.gz", labels)
    record = json.dumps([asdict(cluster) for cluster in clusters], indent=2)
    (folder / f"{subject_id}_clusters.json").write_text(record + "\n")
    return clusters


def read_clusters(folder: Path, subject_id: str) -> list[Detection]:
    """Clusters of a subject, its folder lying in ``folder``."""
    rows = json.loads((folder / subject_id / f"{subject_id}_clusters.json").read_text())
    return [Detection.from_json(row) for row in rows]


def files_read(cohort: Cohort, subjects: Sequence[Subject]) -> list[Path]:
    """Files that `write_findings` reads, for the provenance of a run."""
    return [cohort.path(s, key) for s in subjects for key in _READ if s.has(key)]


def write_findings(
    work: Run,
    cohort: Cohort,
    look: Callable[[Subject], Volume],
    point: OperatingPoint,
    trained_on: Sequence[str],
) -> None:
    """Write every subject that an earlier call has not, and then the tables.

    Args:
        work: The run, its ``with`` block entered.
        cohort: The subjects to look at.
        look: Gives a subject's map of probability on its native T1w grid.
        point: How clusters are cut.
        trained_on: Ids that trained whatever looks.

    Raises:
        SettingsError: If a subject has more clusters than can be numbered.
    """
    for subject in track(cohort.subjects, "looking for lesions"):
        if work.has(subject.id):
            continue
        native = look(subject)
        to_mni = read_to_mni(cohort, subject)
        describe = partial(describe_clusters, cohort, subject, to_mni=to_mni)
        try:
            with work.item(subject.id) as folder:
                write_subject(folder, subject.id, native, point, to_mni, describe)
        except OverflowError as error:
            raise SettingsError(
                "threshold, min_volume_ml", f"too many clusters in {subject.id} to be numbered",
                "clusters that stand out from noise", "Raise one of the two.",
            ) from error  # fmt: skip
    ids = tuple(subject.id for subject in cohort.subjects)
    found = tuple(c for name in ids for c in read_clusters(work.folder, name))
    Detections(work.folder, ids, found, point, tuple(sorted(trained_on))).write_tables()
