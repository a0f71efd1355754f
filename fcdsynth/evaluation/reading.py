"""What one subject's scoring reads: maps, reference, brain and places, with their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detection
from fcdsynth.core.errors import CohortError, GeometryError, RunError
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample
from fcdsynth.core.subject import Subject
from fcdsynth.core.transforms import matrix_to_mni
from fcdsynth.core.volume import (
    Volume,
    canonical,
    read_grid,
    read_labels,
    read_mask,
    read_volume,
)
from fcdsynth.evaluation.outside.cut import Cut, Outside, cut
from fcdsynth.evaluation.outside.mapkinds import ROUNDING
from fcdsynth.evaluation.pairs import Voxels, label_voxels
from fcdsynth.evaluation.source import SubjectMaps
from fcdsynth.measure.components import bounding_box, label_components

_REFERENCES = ("truth", "lesion_t1w")
_FOR_BOTH = ("brain", "transforms", "t1w_native", "lobes", "flair_native")
_FOR_PATIENTS = ("ribbon",)


@dataclass(frozen=True)
class Scoring:
    """What is needed to score one subject.

    Args:
        subject: Row of the cohort.
        maps: Where its maps lie.
        reference_key: ``truth`` or ``lesion_t1w``, empty where the row has neither.
        files: Paths by key: the reference, ``brain``, ``transforms``, ``t1w_native``, ``lobes``,
            ``ribbon``, ``flair_native``, as far as the row has them.
        seen_site: Whether the detector was trained at the subject's site.
        chance_draws: Random draws for the chance level and for random sites; 0 for none.
        seed: Seed of these draws.
    """

    subject: Subject
    maps: SubjectMaps
    reference_key: str
    files: Mapping[str, Path] = field(default_factory=dict)
    seen_site: str = ""
    chance_draws: int = 0
    seed: int = 0

    @classmethod
    def of(
        cls,
        subject: Subject,
        cohort: Cohort,
        maps: SubjectMaps,
        seen_site: str = "",
        chance_draws: int = 0,
        seed: int = 0,
    ) -> Scoring:
        """Gather the paths of one subject.

        Raises:
            CohortError: If a patient has no reference mask.
        """
        key = next((key for key in _REFERENCES if subject.has(key)), "")
        if subject.is_patient and not key:
            raise CohortError(
                subject.id, "a patient with neither truth nor lesion_t1w",
                "a reference mask on the native T1w grid",
                "Prepare the cohort with a lesion mask, or leave the patient out.",
            )  # fmt: skip
        wanted = [key] if key else []
        wanted += [k for k in _FOR_BOTH if subject.has(k)]
        wanted += [k for k in _FOR_PATIENTS if subject.is_patient and subject.has(k)]
        return cls(
            subject,
            maps,
            key,
            {k: cohort.path(subject, k) for k in wanted},
            seen_site,
            chance_draws,
            seed,
        )

    def check(self) -> None:
        """Compare the grids of map, clusters, reference and native T1w; look into the reference.

        Of maps the header alone is read, so that nothing of a hidden test set's result is seen.

        Raises:
            CohortError: If a file cannot be read, a patient's reference is empty, or a control's
                is not.
            GeometryError: If one of them lies on another grid.
        """
        grid = read_grid(self.maps.map)
        native = (
            "Detect again, so that maps lie on the native T1w grid of this cohort."
            if self.maps.outside is None
            else "Export the tool's map in native T1w space; maps are never resampled here."
        )
        others: dict[str, tuple[Path, str]] = {}
        if self.maps.clusters is not None:
            others["clusters"] = (self.maps.clusters, native)
        if "t1w_native" in self.files:
            others["t1w_native"] = (self.files["t1w_native"], native)
        if self.reference_key:
            others[self.reference_key] = (
                self.files[self.reference_key],
                "Bring the reference mask to the native T1w grid, or the map to the mask's.",
            )
        for key, (path, remedy) in others.items():
            grid.require_same(read_grid(path), f"{self.subject.id} {key}", remedy)
        if self.reference_key:
            _require_lesion(self, read_mask(self.files[self.reference_key]))

    def flair_kind(self) -> str:
        """``3D``, ``2D`` (thick slices), ``none``, or ``unknown``; from the native header."""
        if "flair_native" in self.files:
            return "2D" if read_grid(self.files["flair_native"]).thick_slices else "3D"
        images = ("t1w", "t1w_native", "flair")
        if self.subject.has("flair") or not any(self.subject.has(key) for key in images):
            return "unknown"
        return "none"


@dataclass(frozen=True, eq=False)
class Maps:
    """The maps of one subject in their nearest RAS orientation.

    Args:
        grid: Their grid.
        probability: Shape (x, y, z), float32; None where the tool gives no probabilities.
        clusters: Voxel indices of each cluster, highest score first, each of shape (n, 3).
        detections: What is known of each cluster, in the same order.
        ranked: Whether scores tell clusters apart; not so in binary maps.
    """

    grid: Grid
    probability: NDArray[np.float32] | None
    clusters: Sequence[Voxels]
    detections: Sequence[Detection]
    ranked: bool


def read_maps(task: Scoring) -> Maps:
    """Read the maps of detect, or cut those of another tool.

    Raises:
        CohortError: If values are not those that the kind of map has.
        RunError: If cluster map and cluster table disagree.
    """
    given = _given(task.subject.id, task.maps)
    probability = None
    if given.probability is not None:
        volume = canonical(given.probability)
        low, high = float(volume.array.min()), float(volume.array.max())
        if low < -ROUNDING or high > 1 + ROUNDING:
            raise CohortError(
                f"{task.subject.id} probability", f"values from {low:g} to {high:g}",
                "probabilities in [0, 1]", "Give a probability map, not logits or labels.",
            )  # fmt: skip
        probability = np.clip(volume.array, 0, 1)
    labels = canonical(given.clusters)
    by_label = label_voxels(labels.array)
    listed = {d.cluster for d in given.detections}
    if set(by_label) != listed:
        raise RunError(
            f"{task.subject.id} clusters",
            f"labels {sorted(set(by_label) - listed)} only in the map and "
            f"{sorted(listed - set(by_label))} only in the table",
            "the same clusters in both", "Run fcdsynth detect again.",
        )  # fmt: skip
    voxels = [by_label[d.cluster] for d in given.detections]
    ranked = task.maps.outside is None or task.maps.outside.ranked
    return Maps(labels.grid, probability, voxels, given.detections, ranked)


def read_cluster_map(subject: str, maps: SubjectMaps) -> Volume:
    """The clusters of one subject as labels, on the grid of the map."""
    if maps.clusters is not None:
        return read_labels(maps.clusters)
    return _given(subject, maps).clusters


def _given(subject: str, maps: SubjectMaps) -> Cut:
    if maps.clusters is not None:
        return Cut(read_volume(maps.map), read_labels(maps.clusters), maps.detections)
    return cut(subject, maps.map, maps.outside or Outside(maps.map.parent, {}))


def read_reference(task: Scoring, grid: Grid) -> tuple[list[Voxels], NDArray[np.bool_]]:
    """Voxel indices of each lesion, largest first, and the reference mask, shape (x, y, z).

    Raises:
        CohortError: If a patient's reference is empty or a control's is not.
        GeometryError: If the mask does not lie on ``grid``.
    """
    if not task.reference_key:
        return [], np.zeros(grid.shape, dtype=bool)
    mask = canonical(read_mask(task.files[task.reference_key]))
    grid.require_same(mask.grid, f"{task.subject.id} {task.reference_key}", "Resample the mask.")
    _require_lesion(task, mask)
    box = bounding_box(mask.array)
    if box is None:
        return [], mask.array
    small = mask.array[box]
    labels, _ = label_components(small, Grid.of(small.shape, grid.matrix))
    origin = np.array([side.start for side in box])
    return [voxels + origin for voxels in label_voxels(labels.array).values()], mask.array


def _require_lesion(task: Scoring, mask: Volume) -> None:
    if bool(mask.array.any()) != task.subject.is_patient:
        raise CohortError(
            f"{task.subject.id} {task.reference_key}",
            "an empty mask" if task.subject.is_patient else "a control with lesion voxels",
            "lesion voxels in every patient and in no control",
            "Mend the mask or the group, or leave the subject out.",
        )  # fmt: skip


def read_brain(task: Scoring, grid: Grid) -> NDArray[np.bool_] | None:
    """The brain mask on the native grid, shape (x, y, z); None where the row has none.

    Raises:
        GeometryError: If it does not meet the grid.
    """
    if "brain" not in task.files:
        return None
    mask = canonical(read_mask(task.files["brain"]))
    if mask.grid.close_to(grid):
        moved = mask
    else:
        moved = resample(Volume(mask.array.astype(np.uint8), mask.grid), grid, order=0)
    if not moved.array.any():
        raise GeometryError(
            f"{task.subject.id} brain", mask.grid.describe(),
            f"a mask that meets {grid.describe()}",
            "Prepare the cohort again; its brain mask lies elsewhere.",
        )  # fmt: skip
    return np.asarray(moved.array > 0)


def read_ribbon(task: Scoring, brain: NDArray[np.bool_], grid: Grid) -> NDArray[np.intp] | None:
    """Flat indices (first axis fastest) of native voxels in the cortical ribbon, or None."""
    if "ribbon" not in task.files:
        return None
    ribbon = read_volume(task.files["ribbon"])
    to_grid = np.linalg.inv(grid.matrix) @ ribbon.grid.matrix
    at = np.argwhere(ribbon.array > 0) @ to_grid[:3, :3].T + to_grid[:3, 3]
    at = np.rint(at).astype(int)
    at = at[((at >= 0) & (at < grid.shape)).all(axis=1)]
    here = np.zeros(grid.shape, dtype=bool, order="F")
    here[tuple(at.T)] = True
    seeds = np.flatnonzero((here & brain).T)
    return seeds if len(seeds) else None


def read_to_mni(task: Scoring) -> NDArray[np.float64] | None:
    """World matrix from T1w to MNI, shape (4, 4); None where prepare found none."""
    if "transforms" not in task.files:
        return None
    return matrix_to_mni(task.files["transforms"], task.files["transforms"].parent.name)
