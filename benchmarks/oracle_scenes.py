"""Random small volumes for evaluation_oracles.py, and what plain numpy says about each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.detection import OperatingPoint
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group, Origin, Subject
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.reading import Scoring
from fcdsynth.evaluation.scoring import score_subject
from fcdsynth.evaluation.source import SubjectMaps
from fcdsynth.measure.clusters import find_clusters

COHORT = 20
_TOUCH = np.ones((3, 3, 3))
_POINT = OperatingPoint(threshold=1 / 128, min_volume_ml=0.0)


@dataclass(frozen=True, eq=False)
class Scene:
    """One random subject.

    Args:
        name: Its name.
        cohort: The cohort it belongs to, for what only a cohort has.
        grid: Grid of any axis order, flips and spacing.
        lesion: Reference mask; empty in controls.
        detection: Score of every cluster in its voxels, 0 elsewhere, shape (x, y, z).
    """

    name: str
    cohort: int
    grid: Grid
    lesion: NDArray[np.bool_]
    detection: NDArray[np.float32]

    def write(self, folder: Path) -> None:
        """As npz for the other side."""
        np.savez_compressed(
            folder / f"{self.name}.npz", lesion=self.lesion.astype(np.uint8),
            detection=self.detection, spacing=self.grid.spacing_mm, cohort=self.cohort,
        )  # fmt: skip

    def score(self, folder: Path) -> tuple[SubjectRecord, NDArray[np.int16]]:
        """Our record by the ordinary way, files included, and our cluster map."""
        volume = Volume(self.detection, self.grid)
        clusters, found = find_clusters(self.name, volume, _POINT, None)
        ones = np.ones(self.grid.shape, dtype=bool)
        arrays = {"probability": self.detection, "clusters": clusters.array,
                  "truth": self.lesion, "brain": ones}  # fmt: skip
        files = {
            key: write_volume(folder / self.name / f"{key}.nii.gz", Volume(array, self.grid))
            for key, array in arrays.items()
        }
        patient = bool(self.lesion.any())
        kept = ("truth", "brain") if patient else ("brain",)
        task = Scoring(
            Subject(self.name, Group.PATIENT if patient else Group.CONTROL, Origin.PHANTOM),
            SubjectMaps(files["probability"], files["clusters"], found),
            reference_key="truth" if patient else "", files={key: files[key] for key in kept},
        )  # fmt: skip
        return score_subject(task), clusters.array


@dataclass(frozen=True, eq=False)
class Table:
    """Lesions against clusters, counted with scipy and numpy alone.

    Args:
        lesions: First voxel, size and centre (mm) of each lesion.
        clusters: First voxel of each cluster.
        scores: Score of each cluster.
        iou: Intersection over union, shape (lesions, clusters).
    """

    lesions: list[tuple[int, int, NDArray[np.float64]]]
    clusters: list[int]
    scores: list[float]
    iou: NDArray[np.float64]

    @classmethod
    def of(cls, scene: Scene) -> Table:
        """Count one scene."""
        lesion, n_lesions = ndimage.label(scene.lesion, _TOUCH)
        cluster, n_clusters = ndimage.label(scene.detection > 0, _TOUCH)
        counts = np.zeros((n_lesions + 1, n_clusters + 1))
        np.add.at(counts, (lesion, cluster), 1)
        shared = counts[1:, 1:]
        either = counts[1:].sum(axis=1)[:, None] + counts[:, 1:].sum(axis=0)[None] - shared
        found = []
        for number in range(1, n_lesions + 1):
            voxels = np.argwhere(lesion == number)
            first = int(np.flatnonzero(lesion == number)[0])
            found.append((first, len(voxels), scene.grid.to_mm(voxels.mean(axis=0))))
        firsts = [int(np.flatnonzero(cluster == n)[0]) for n in range(1, n_clusters + 1)]
        scores = [float(scene.detection.ravel()[first]) for first in firsts]
        return cls(found, firsts, scores, shared / either)


def random_scenes(n: int, seed: int) -> list[Scene]:
    """Make scenes: 0 to 4 lesions, 0 to 6 clusters; every third is a control, every fourth a chain
    of lesions and clusters along one line, so that both compete for each other."""
    return [_scene(number, np.random.default_rng([seed, number])) for number in range(n)]


def _scene(number: int, rng: np.random.Generator) -> Scene:
    shape = rng.integers(16, 33, 3)
    linear = np.diag(rng.choice([0.8, 1.0, 1.5, 2.0, 3.0], 3) * rng.choice([-1, 1], 3))
    affine = np.eye(4)
    affine[:3, :3] = linear[rng.permutation(3)]
    affine[:3, 3] = rng.uniform(-50, 50, 3).round(2)
    lesion, painted = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    control = number % 3 == 2
    if number % 4 == 3 and not control:
        _chain(lesion, painted, rng)
    else:
        for _ in range(0 if control else rng.integers(1, 5)):
            lesion |= _blob(shape, rng)
        for _ in range(rng.integers(0, 7)):
            painted |= _cluster(lesion, rng)
    labels, n = ndimage.label(painted, _TOUCH)
    # Sixty-fourths are exact in single precision; few of them, so that scores tie.
    scores = np.concatenate([[0], rng.integers(1, 64, n) if rng.random() < 0.6
                             else rng.choice([16, 32, 48], n)]) / 64  # fmt: skip
    detection = scores[labels].astype(np.float32)
    return Scene(f"case-{number:04d}", number // COHORT, Grid.of(shape, affine), lesion, detection)


def _blob(shape: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """A box or an ellipsoid of 1 to about 9 voxels a side, which may touch the border."""
    centre, half = rng.uniform(0, shape - 1), rng.uniform(0.3, 4.5, 3)
    off = np.abs(np.indices(shape) - centre[:, None, None, None]) / half[:, None, None, None]
    blob = off.max(axis=0) <= 1 if rng.random() < 0.5 else (off**2).sum(axis=0) <= 1
    if not blob.any():
        blob[tuple(np.rint(centre).astype(int))] = True
    return np.asarray(blob)


def _chain(lesion: NDArray[np.bool_], painted: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Runs of 1 to 9 voxels with gaps of 1 to 3, of lesion and of cluster, on one bar."""
    axis = int(np.argmax(lesion.shape))
    for array in (lesion, painted):
        bar = np.moveaxis(array, axis, 0)[:, 4:6, 4:6]
        at = int(rng.integers(0, 4))
        while at < len(bar):
            end = at + int(rng.integers(1, 10))
            bar[at:end] = True
            at = end + int(rng.integers(1, 4))


def _cluster(lesion: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Anywhere, a shifted lesion, a corner of one, its exact tenth, or a bar between two."""
    shape = np.array(lesion.shape)
    kind = rng.choice(
        ["anywhere", "shifted", "corner", "tenth", "bar"], p=[0.3, 0.3, 0.1, 0.1, 0.2]
    )
    labels, n = ndimage.label(lesion, _TOUCH)
    if kind == "anywhere" or not n:
        return _blob(shape, rng)
    chosen = np.argwhere(labels == rng.integers(1, n + 1))
    if kind == "shifted":
        chosen = chosen + rng.integers(-3, 4, 3)
    elif kind == "corner":  # beside the last voxel, across a corner
        chosen = chosen[-1:] + 1
    elif kind == "tenth":  # of the lesion's own voxels, a run: IoU is exactly 0.1 where it divides
        chosen = chosen[: max(len(chosen) // 10, 1)]
    else:
        ends = chosen[rng.integers(len(chosen))], rng.permutation(np.argwhere(lesion))[0]
        chosen = np.rint(np.linspace(*ends, 60)).astype(int)
    chosen = chosen[((chosen >= 0) & (chosen < shape)).all(axis=1)]
    cluster = np.zeros(shape, dtype=bool)
    cluster[tuple(chosen.T)] = True
    return cluster
