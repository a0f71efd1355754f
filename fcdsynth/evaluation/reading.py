"""What one subject's scoring reads: maps, reference, brain and transforms, with their checks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detection, Detections
from fcdsynth.core.errors import CohortError, GeometryError, RunError
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample
from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import (
    Volume,
    canonical,
    read_grid,
    read_labels,
    read_mask,
    read_volume,
)
from fcdsynth.evaluation.pairs import Voxels, label_voxels
from fcdsynth.evaluation.site import mirror_matrix
from fcdsynth.measure.components import label_components

_REFERENCES = ("truth", "lesion_t1w")
# Interpolation in single precision may leave [0, 1] by this much.
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Scoring:
    """What is needed to score one subject.

    Args:
        subject: Row of the cohort.
        detections: Its clusters as listed by detect.
        probability: Path of the probability map.
        clusters: Path of the cluster map.
        reference_key: ``truth`` or ``lesion_t1w``, empty where the row has neither.
        files: Paths by key: the reference, ``brain``, ``transforms``, ``t1w_native``.
        chance_draws: Random draws for the chance level and for random sites; 0 for none.
        seed: Seed of these draws.
    """

    subject: Subject
    detections: tuple[Detection, ...]
    probability: Path
    clusters: Path
    reference_key: str
    files: Mapping[str, Path]
    chance_draws: int
    seed: int

    @classmethod
    def of(
        cls, subject: Subject, cohort: Cohort, found: Detections, chance_draws: int, seed: int
    ) -> Scoring:
        """Gather the paths of one subject.

        Raises:
            CohortError: If a patient has no reference mask or no brain mask.
        """
        key = next((key for key in _REFERENCES if subject.has(key)), "")
        if subject.is_patient and not key:
            raise CohortError(
                subject.id, "a patient with neither truth nor lesion_t1w",
                "a reference mask on the native T1w grid",
                "Prepare the cohort with a lesion mask, or leave the patient out.",
            )  # fmt: skip
        wanted = [key] if key else []
        wanted += ["brain"] if subject.is_patient else []
        wanted += [k for k in ("transforms", "t1w_native") if subject.has(k)]
        return cls(
            subject,
            found.of(subject.id),
            found.probability_path(subject.id),
            found.clusters_path(subject.id),
            key,
            {k: cohort.path(subject, k) for k in wanted},
            chance_draws,
            seed,
        )

    def check(self) -> None:
        """Compare the grids of map, clusters, reference and native T1w, headers only.

        Raises:
            CohortError: If a file cannot be read.
            GeometryError: If one of them lies on another grid.
        """
        grid = read_grid(self.probability)
        native = "Detect again, so that maps lie on the native T1w grid of this cohort."
        others = {"clusters": (self.clusters, native)}
        if "t1w_native" in self.files:
            others["t1w_native"] = (self.files["t1w_native"], native)
        if self.reference_key:
            others[self.reference_key] = (
                self.files[self.reference_key],
                "Bring the reference mask to the native T1w grid.",
            )
        for key, (path, remedy) in others.items():
            grid.require_same(read_grid(path), f"{self.subject.id} {key}", remedy)


def read_probability(task: Scoring) -> Volume:
    """The probability map in its nearest RAS orientation.

    Raises:
        CohortError: If values leave [0, 1].
    """
    volume = canonical(read_volume(task.probability))
    low, high = float(volume.array.min()), float(volume.array.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise CohortError(
            f"{task.subject.id} probability", f"values from {low:g} to {high:g}",
            "probabilities in [0, 1]", "Give a probability map, not logits or labels.",
        )  # fmt: skip
    return Volume(np.clip(volume.array, 0, 1), volume.grid)


def read_clusters(task: Scoring) -> list[Voxels]:
    """Voxel indices of each listed cluster, highest score first, each of shape (n, 3).

    Raises:
        RunError: If cluster map and cluster table disagree.
    """
    by_label = label_voxels(canonical(read_labels(task.clusters)).array)
    listed = {d.cluster for d in task.detections}
    if set(by_label) != listed:
        raise RunError(
            f"{task.subject.id} clusters",
            f"labels {sorted(set(by_label) - listed)} only in the map and "
            f"{sorted(listed - set(by_label))} only in the table",
            "the same clusters in both", "Run fcdsynth detect again.",
        )  # fmt: skip
    return [by_label[d.cluster] for d in task.detections]


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
    if bool(mask.array.any()) != task.subject.is_patient:
        raise CohortError(
            f"{task.subject.id} {task.reference_key}",
            "an empty mask" if task.subject.is_patient else "a control with lesion voxels",
            "lesion voxels in every patient and in no control",
            "Mend the mask or the group, or leave the subject out.",
        )  # fmt: skip
    labels, _ = label_components(mask.array, grid)
    return list(label_voxels(labels.array).values()), mask.array


def read_brain(task: Scoring, grid: Grid) -> NDArray[np.bool_]:
    """The prepared brain mask on the native grid, shape (x, y, z).

    Raises:
        GeometryError: If it does not meet the grid.
    """
    mask = read_mask(task.files["brain"])
    moved = resample(Volume(mask.array.astype(np.uint8), mask.grid), grid, order=0)
    if not moved.array.any():
        raise GeometryError(
            f"{task.subject.id} brain", mask.grid.describe(),
            f"a mask that meets {grid.describe()}",
            "Prepare the cohort again; its brain mask lies elsewhere.",
        )  # fmt: skip
    return np.asarray(moved.array > 0)


def read_mirror(
    task: Scoring, brain: NDArray[np.bool_], grid: Grid
) -> tuple[NDArray[np.float64], str]:
    """World-to-world reflection to the other hemisphere, and what it rests on."""
    to_mni = None
    if "transforms" in task.files:
        to_mni = json.loads(task.files["transforms"].read_text()).get("t1w_to_mni")
    if to_mni is not None:
        return mirror_matrix(to_mni, 0.0), "mni"
    centre = grid.to_mm(np.argwhere(brain).mean(axis=0))
    return mirror_matrix(None, float(centre[0])), "brain centre"
