"""Maps that another tool made, cut into clusters so that they are scored by the same rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import OPERATING_POINT, SUBJECTS, TABLE, Detection, OperatingPoint
from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.volume import Volume, read_volume
from fcdsynth.evaluation.outside.mapfiles import find_maps
from fcdsynth.evaluation.outside.mapkinds import (
    KINDS,
    LARGEST_LABEL,
    require_labels,
    require_mask,
    require_probability,
)
from fcdsynth.evaluation.outside.scoretable import TABLES, read_scores
from fcdsynth.evaluation.pairs import label_voxels
from fcdsynth.measure.clusters import find_clusters

# MELD Graph writes cluster k as k, and its most salient fifth as 100 k.
_SALIENT = 100


def is_outside(folder: Path | str) -> bool:
    """Whether a folder holds none of the tables that detect writes."""
    return not any((Path(folder) / name).is_file() for name in (TABLE, SUBJECTS, OPERATING_POINT))


@dataclass(frozen=True)
class Outside:
    """A folder of maps that another tool made, and how they become clusters.

    Args:
        folder: The folder.
        maps: The map of each subject that has one, by id.
        kind: What they hold, one of `KINDS`.
        threshold: A voxel of a probability map belongs to a cluster when it reaches this.
        min_volume_ml: Smaller clusters are dropped, of every kind of map.
        scores: Scores of labelled clusters by subject and label; None where no table gives them.
        unknown: Names of maps, or of folders with maps, that belong to no subject of the cohort.
    """

    folder: Path
    maps: Mapping[str, Path]
    kind: str = "probability"
    threshold: float = 0.5
    min_volume_ml: float = 0.1
    scores: Mapping[str, Mapping[int, float]] | None = None
    unknown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SettingsError(
                "maps", repr(self.kind), ", ".join(f"{k} ({words})" for k, words in KINDS.items()),
                "Say what the maps hold.",
            )  # fmt: skip
        if not 0 < self.threshold <= 1:
            raise SettingsError("threshold", f"{self.threshold:g}", "above 0 and at most 1",
                                "Give the probability that a voxel must reach.")  # fmt: skip
        if not 0 <= self.min_volume_ml < np.inf:
            raise SettingsError("min_volume_ml", f"{self.min_volume_ml:g}", "0 or more",
                                "Give the volume of the smallest cluster, ml.")  # fmt: skip

    @classmethod
    def read(
        cls,
        folder: Path | str,
        cohort: Cohort,
        kind: str = "probability",
        threshold: float = 0.5,
        min_volume_ml: float = 0.1,
        pattern: str = "*",
    ) -> Outside:
        """Find the maps of a cohort in a folder; no voxel is read yet.

        Args:
            folder: Folder of the maps.
            cohort: The subjects.
            kind: What the maps hold, one of `KINDS`.
            threshold: For probability maps.
            min_volume_ml: Volume of the smallest cluster.
            pattern: Shell pattern that file names must match, see `find_maps`.

        Raises:
            SettingsError: If a setting is out of range.
            RunError: If there is no map at all, or a score table cannot be read.
            CohortError: As `find_maps`.
            LeakageError: As `find_maps`.
        """
        folder = Path(folder)
        how = cls(folder, {}, kind, float(threshold), float(min_volume_ml))
        maps, unknown = find_maps(folder, cohort, pattern)
        scores = read_scores(folder) if kind == "labels" else None
        return replace(how, maps=maps, scores=scores, unknown=unknown)

    @property
    def ranked(self) -> bool:
        """Whether clusters have scores, so that figures over thresholds mean something."""
        return self.kind == "probability" or self.scores is not None


@dataclass(frozen=True, eq=False)
class Cut:
    """What a map gives.

    Args:
        probability: The map where it holds probabilities, else None.
        clusters: Cluster map, integers on the map's grid; 0 is background.
        detections: The clusters, highest score first. Peak and mean are the score where the map
            holds no probabilities.
    """

    probability: Volume | None
    clusters: Volume
    detections: tuple[Detection, ...]


def cut(subject_id: str, path: Path, outside: Outside) -> Cut:
    """Read the map of one subject and cut it into clusters.

    Probability maps are cut and scored as detect does. The 26-connected components of a mask
    score 1. Labels are taken as the tool's own clusters, however many pieces each has; they
    score as the table says, or 1 without one.

    Args:
        subject_id: Subject id.
        path: Its map.
        outside: What the map holds and where to cut.

    Raises:
        CohortError: If the map cannot be read, holds NaN, or is not of the kind it is said to be.
        RunError: If labels and score table disagree.
        SettingsError: If more clusters are left than can be numbered.
    """
    volume = _read(subject_id, path)
    if outside.kind == "labels":
        require_labels(subject_id, volume)
        scores = None if outside.scores is None else outside.scores.get(subject_id, {})
        return _labelled(subject_id, volume, outside.min_volume_ml, scores)
    point = OperatingPoint(threshold=outside.threshold, min_volume_ml=outside.min_volume_ml)
    if outside.kind == "binary":
        require_mask(subject_id, volume)
        mask = Volume((volume.array > 0).astype(np.float32), volume.grid)
        return Cut(None, *_components(subject_id, mask, point))
    require_probability(subject_id, volume)
    volume = Volume(np.clip(volume.array, 0, 1), volume.grid)
    return Cut(volume, *_components(subject_id, volume, point))


def _read(subject_id: str, path: Path) -> Volume:
    try:
        return read_volume(path)
    except CohortError as error:
        raise CohortError(
            f"{subject_id} map ({path.name})", error.found, error.expected,
            "Export the map again; where the tool says nothing it must hold 0.",
        ) from error  # fmt: skip


def _components(
    subject_id: str, volume: Volume, point: OperatingPoint
) -> tuple[Volume, tuple[Detection, ...]]:
    try:
        return find_clusters(subject_id, volume, point, None)
    except OverflowError as error:
        raise SettingsError(
            "min_volume_ml", f"more than {LARGEST_LABEL} clusters in the map of {subject_id}",
            "clusters that stand out from noise", "Raise threshold or min_volume_ml.",
        ) from error  # fmt: skip


def _labelled(
    subject_id: str, volume: Volume, min_volume_ml: float, scores: Mapping[int, float] | None
) -> Cut:
    labels = _without_salience(volume.array.astype(np.int32), scores)
    grid, found = volume.grid, []
    voxels = label_voxels(labels)
    if scores is not None and set(voxels) != set(scores):
        raise RunError(
            f"{subject_id} clusters",
            f"clusters {sorted(set(voxels) - set(scores))} only in the map and "
            f"{sorted(set(scores) - set(voxels))} only in the table",
            f"the same clusters in the map and in {' or '.join(TABLES)}",
            "Write one row per label of the map.",
        )  # fmt: skip
    for label, at in voxels.items():
        volume_ml = len(at) * grid.voxel_ml
        if volume_ml < min_volume_ml:
            labels[tuple(at.T)] = 0
            continue
        x, y, z = (float(mm) for mm in grid.to_mm(at.mean(axis=0)))
        score = 1.0 if scores is None else scores[label]
        side = "R" if x > 0 else "L"
        found.append(
            Detection(subject_id, label, score, volume_ml, len(at), (x, y, z), side, score, score)
        )
    found.sort(key=lambda d: (-d.score, d.cluster))
    return Cut(None, Volume(labels, grid), tuple(found))


def _without_salience(
    labels: NDArray[np.int32], scores: Mapping[int, float] | None
) -> NDArray[np.int32]:
    """Join label 100 k with k, unless the labels are numbered through or the table names them."""
    present = set(np.flatnonzero(np.bincount(labels.ravel())).tolist()) - {0}
    marks = {label for label in present if label >= _SALIENT}
    numbered_through = set(range(1, _SALIENT)) <= present
    named = scores is not None and marks <= set(scores)
    if not marks or numbered_through or named or any(mark % _SALIENT for mark in marks):
        return labels
    return np.where(labels >= _SALIENT, labels // _SALIENT, labels)
