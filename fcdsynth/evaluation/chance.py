"""The chance level of a hit rule: clusters of the same sizes, anywhere in the same brain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.grid import Grid
from fcdsynth.evaluation.matching import match
from fcdsynth.evaluation.pairs import LesionField, Voxels, measure_pairs
from fcdsynth.evaluation.rules import Rule


class Places:
    """Random compact clusters inside a brain.

    A cluster is the given number of brain voxels nearest to a random brain voxel, so that its
    size is kept and it lies inside the brain wherever it falls. Only a brain with fewer voxels
    within twice the cluster's radius gives a smaller one.

    Args:
        brain: Brain mask, shape (x, y, z).
        grid: Its grid.
        largest_vox: Size of the largest cluster that will be asked for.
        seeds: Flat indices, the first axis fastest as in a file, of the voxels that clusters
            grow from; all of the brain when None.
    """

    def __init__(
        self,
        brain: NDArray[np.bool_],
        grid: Grid,
        largest_vox: int,
        seeds: NDArray[np.intp] | None = None,
    ) -> None:
        self.brain = brain
        self.grid = grid
        self.largest_vox = largest_vox
        self.seeds = np.flatnonzero(brain.T) if seeds is None else seeds

    @cached_property
    def _offsets(self) -> NDArray[np.intp]:
        linear = self.grid.matrix[:3, :3]
        volume_mm3 = 8 * max(self.largest_vox, 8) * self.grid.voxel_ml * 1000
        radius = (3 * volume_mm3 / (4 * np.pi)) ** (1 / 3)
        half = np.ceil(radius * np.linalg.norm(np.linalg.inv(linear), axis=1)).astype(int)
        box = np.stack(np.meshgrid(*[np.arange(-h, h + 1) for h in half], indexing="ij"), -1)
        offsets = box.reshape(-1, 3)
        square = ((offsets @ linear.T) ** 2).sum(axis=1)
        near = np.flatnonzero(square <= radius**2)
        return np.asarray(offsets[near[np.argsort(square[near], kind="stable")]])

    def draw(self, size_vox: int, rng: np.random.Generator) -> Voxels:
        """Voxel indices of one random cluster, shape (size_vox, 3)."""
        flat = self.seeds[rng.integers(len(self.seeds))]
        seed = np.unravel_index(flat, self.brain.shape, order="F")
        kept = self._brain_near(np.array(seed), 2 * size_vox + 8)
        if len(kept) < size_vox:
            kept = self._brain_near(np.array(seed), len(self._offsets))
        return kept[:size_vox]

    def _brain_near(self, seed: Voxels, n_offsets: int) -> Voxels:
        near = seed + self._offsets[:n_offsets]
        near = near[((near >= 0) & (near < self.brain.shape)).all(axis=1)]
        return np.asarray(near[self.brain[tuple(near.T)]])


@dataclass(frozen=True, slots=True)
class Chance:
    """Share of random draws with a hit, by rule.

    Args:
        subject: Share of draws in which any lesion was found.
        lesions: For each lesion the share of draws in which it was found.
    """

    subject: dict[Rule, float]
    lesions: dict[Rule, tuple[float, ...]]


def chance_level(
    lesions: Sequence[LesionField],
    sizes_vox: Sequence[int],
    scores: Sequence[float],
    places: Places,
    draws: int,
    rng: np.random.Generator,
) -> Chance:
    """How often clusters of these sizes would have found the lesions anywhere by luck.

    Args:
        lesions: Lesions of one patient.
        sizes_vox: Size of each of the patient's clusters.
        scores: Their scores.
        places: Where the random clusters may lie.
        draws: Number of draws, at least 1.
        rng: Source of randomness.
    """
    found = {rule: np.zeros((draws, len(lesions)), dtype=bool) for rule in Rule}
    for draw in range(draws if sizes_vox else 0):
        clusters = [places.draw(size, rng) for size in sizes_vox]
        pairs = measure_pairs(lesions, clusters, places.grid)
        for rule in Rule:
            found_by = match(rule, pairs, scores).found_by
            found[rule][draw] = [cluster is not None for cluster in found_by]
    return Chance(
        {rule: float(hit.any(axis=1).mean()) for rule, hit in found.items()},
        {rule: tuple(float(x) for x in hit.mean(axis=0)) for rule, hit in found.items()},
    )
