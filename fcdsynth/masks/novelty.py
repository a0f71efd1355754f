"""Novelty: how much a mask is a copy of a training mask, in shape or in place (test R8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fcdsynth.core.errors import SettingsError

STEP_MM = 2.0
_HALF = 256  # lattice coordinates lie within -256 to 255
_BASE = 2 * _HALF
_OCCUPIED = 0.5
_SAMPLE = 16
_FLIPS = np.array(list(product((1, -1), repeat=3)), dtype=np.int64)
_SIDES = np.array([[1, 1, 1], [-1, 1, 1]], dtype=np.int64)
_QUANTILE = 0.99
# Below the first two nobody would speak of a copy. Measured on 17 phantom lesions: masks of other
# patients reach 0.78 aligned and 0.45 in place; copies turned at random and sampled again keep 0.76
# to 0.98, 3 of 17 less than 0.85. Above the last even a copy would pass.
_ALIGNED_FLOOR, _PLACED_FLOOR, _CEILING = 0.85, 0.5, 0.95

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Nearest:
    """The training masks that a mask is most like.

    Args:
        subject: Subject id of the mask most like in shape.
        aligned_dice: Dice with it after alignment, see `aligned_dice`.
        placed_subject: Subject id of the mask most alike in place, empty where none overlaps
            or the place is unknown.
        placed_dice: Dice with it in MNI space, mirrored or not, 0 where there is none.
        mask: Number of the first mask in the gallery, -1 where there is none.
        placed_mask: Number of the second one.
    """

    subject: str
    aligned_dice: float
    placed_subject: str = ""
    placed_dice: float = 0.0
    mask: int = -1
    placed_mask: int = -1


@dataclass(frozen=True)
class NoveltyLimits:
    """Dice above which a mask counts as a copy.

    Args:
        aligned: For `Nearest.aligned_dice`.
        placed: For `Nearest.placed_dice`.
    """

    aligned: float
    placed: float


@dataclass(frozen=True, eq=False)
class _Shelf:
    """Masks as sets of lattice nodes.

    Args:
        nodes: Every node that any mask holds, rising, shape (u,).
        held: Which mask holds which node, shape (u, n).
        sizes: Number of nodes of each mask, 0 for one that is not there, shape (n,).
    """

    nodes: NDArray[np.int64]
    held: sparse.csr_array
    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, bodies: Sequence[NDArray[np.int64]]) -> _Shelf:
        keys = [_key(body) for body in bodies]
        nodes = np.unique(np.concatenate(keys)) if keys else np.empty(0, dtype=np.int64)
        sizes = np.array([len(key) for key in keys], dtype=np.int64)
        rows = np.searchsorted(nodes, np.concatenate(keys)) if keys else nodes
        columns = np.repeat(np.arange(len(keys)), sizes)
        held = sparse.csr_array(
            (np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=(len(nodes), len(keys))
        )
        return cls(nodes, held, sizes)

    def dice(self, body: NDArray[np.int64], signs: NDArray[np.int64]) -> NDArray[np.float64]:
        """Best Dice of a body with each mask over some sign changes of its axes, shape (n,)."""
        count = len(self.sizes)
        if not len(self.nodes) or not len(body):
            return np.zeros(count)
        keys = np.concatenate([_key(body * sign) for sign in signs])
        at = np.searchsorted(self.nodes, keys).clip(max=len(self.nodes) - 1)
        hit = np.flatnonzero(self.nodes[at] == keys)
        found = self.held[at[hit]]
        way = np.repeat(hit // len(body), np.diff(found.indptr))
        shared = np.bincount(way * count + found.indices, minlength=len(signs) * count)
        best = shared.reshape(len(signs), count).max(axis=0)
        return np.asarray(2 * best / (self.sizes + len(body)))


@dataclass(frozen=True, eq=False)
class Gallery:
    """The training masks that drawn ones must differ from.

    Args:
        subjects: Subject id of each mask.
        aligned: The masks on their own principal axes.
        placed: The masks in MNI space, those without known place empty.
        limits: What counts as a copy.
    """

    subjects: tuple[str, ...]
    aligned: _Shelf
    placed: _Shelf
    limits: NoveltyLimits

    @classmethod
    def of(
        cls,
        points_mm: Sequence[Points],
        subjects: Sequence[str],
        mni_mm: Sequence[Points | None] | None = None,
    ) -> Gallery:
        """Put training masks into a gallery and read the limits off them.

        A limit is the 99 % quantile of each mask's best Dice with the masks of *other* patients:
        what independent lesions reach by chance. It is at least 0.85 aligned and 0.5 in place,
        since a handful of masks that differ much says little, and at most 0.95, so that one
        patient entered twice does not make room for copies.

        Args:
            points_mm: Voxel centres of each mask in any world space, shape (n, 3) each, mm.
            subjects: Subject id of each.
            mni_mm: The same voxels in MNI space, None where unknown.

        Raises:
            SettingsError: If a mask is empty, or the lists are of unequal lengths.
        """
        places = list(mni_mm) if mni_mm is not None else [None] * len(points_mm)
        if not len(points_mm) == len(subjects) == len(places):
            raise SettingsError(
                "gallery", f"{len(points_mm)} masks, {len(subjects)} ids, {len(places)} places",
                "one of each a mask", "Give all three for each mask.",
            )  # fmt: skip
        bodies = [_body(_canonical(points), STEP_MM) for points in points_mm]
        nowhere = np.empty((0, 3), dtype=np.int64)
        there = [nowhere if points is None else _body(points, STEP_MM) for points in places]
        aligned, placed = _Shelf.of(bodies), _Shelf.of(there)
        names = np.asarray(subjects, dtype=object)
        limits = NoveltyLimits(
            _limit(aligned, bodies, _FLIPS, names, _ALIGNED_FLOOR),
            _limit(placed, there, _SIDES, names, _PLACED_FLOOR),
        )
        return cls(tuple(subjects), aligned, placed, limits)

    def nearest(
        self, points_mm: Points, mni_mm: Points | None = None, apart_from: str = ""
    ) -> Nearest:
        """Find the training masks that a mask is most like.

        Args:
            points_mm: Its voxel centres in any world space, shape (n, 3), mm.
            mni_mm: The same in MNI space, if known.
            apart_from: A subject that does not count, such as the donor of a transplant.

        Raises:
            SettingsError: If the mask is empty.
        """
        counts = np.array([name != apart_from for name in self.subjects], dtype=bool)
        alike = self.aligned.dice(_body(_canonical(points_mm), STEP_MM), _FLIPS)
        mask, subject, dice = self._best(alike * counts)
        if mni_mm is None:
            return Nearest(subject, dice, mask=mask)
        near = self.placed.dice(_body(mni_mm, STEP_MM), _SIDES)
        placed_mask, placed_subject, placed_dice = self._best(near * counts)
        return Nearest(subject, dice, placed_subject, placed_dice, mask, placed_mask)

    def _best(self, dice: NDArray[np.float64]) -> tuple[int, str, float]:
        """Number, subject id and Dice of the most alike; -1 and empty where nothing is shared."""
        if not dice.any():
            return -1, "", 0.0
        best = int(np.argmax(dice))
        return best, self.subjects[best], float(dice[best])

    def is_copy(self, nearest: Nearest) -> bool:
        """Whether a mask is more like a training mask than those of two patients are."""
        return (
            nearest.aligned_dice > self.limits.aligned or nearest.placed_dice > self.limits.placed
        )


def aligned_dice(points_a_mm: Points, points_b_mm: Points, step_mm: float = STEP_MM) -> float:
    """Best Dice of two masks after moving centroid on centroid and principal axes on each other.

    Axes have no sign, so all eight ways are tried, four of them with a mirror image. Masks are
    compared on a lattice of ``step_mm`` (finer masks are thinned to it). Masks whose principal
    moments are nearly equal have no axes to speak of; they are near a ball or a disc, for which
    the turn hardly matters.

    Args:
        points_a_mm: Voxel centres of one mask, shape (n, 3), mm, of a nearly isotropic grid.
        points_b_mm: Those of the other, shape (m, 3).
        step_mm: Lattice spacing, mm.

    Returns:
        Dice in [0, 1].

    Raises:
        SettingsError: If a mask is empty.
    """
    shelf = _Shelf.of([_body(_canonical(points_a_mm), step_mm)])
    return float(shelf.dice(_body(_canonical(points_b_mm), step_mm), _FLIPS)[0])


def _canonical(points: Points) -> Points:
    """Points about their centroid along their principal axes, the longest first."""
    points = np.asarray(points, dtype=float)
    if not len(points):
        raise SettingsError("mask", "no voxel", "at least one", "Leave out empty masks.")
    centred = points - points.mean(axis=0)
    axes = np.linalg.eigh(centred.T @ centred)[1][:, ::-1]
    return np.asarray(centred @ axes)


def _body(points: Points, step_mm: float) -> NDArray[np.int64]:
    """Lattice nodes that a mask fills at least half, shape (k, 3), k >= 1.

    Every voxel is shared out to the eight nodes around it by trilinear weights, so that a body
    turned against the lattice gets neither holes nor double counts.
    """
    scaled = points / step_mm
    low = np.floor(scaled).astype(np.int64)
    part = scaled - low
    local = low - low.min(axis=0)
    shape = local.max(axis=0) + 2
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    flat = local @ strides
    shares = (1 - part.T, part.T)
    fill = np.zeros(int(shape.prod()))
    for corner in product((0, 1), repeat=3):
        weight = shares[corner[0]][0] * shares[corner[1]][1] * shares[corner[2]][2]
        fill += np.bincount(flat + int(strides @ corner), weight, minlength=fill.size)
    fill *= (_spacing_mm(points, step_mm) / step_mm) ** 3
    least = min(_OCCUPIED, fill.max()) - 1e-9
    nodes = np.stack(np.unravel_index(np.flatnonzero(fill >= least), shape), axis=1)
    return np.asarray((nodes + low.min(axis=0)).clip(-_HALF, _HALF - 1), dtype=np.int64)


def _spacing_mm(points: Points, step_mm: float) -> float:
    """Voxel spacing: the median distance to the nearest other voxel; the step for one voxel.

    Read off at most 16 voxels: nearly all of a mask's voxels have a neighbour face to face.
    """
    if len(points) < 2:
        return step_mm
    step = -(-len(points) // _SAMPLE)
    centred = points - points[0]
    some = centred[::step]
    squared = (centred**2).sum(axis=1) + (some**2).sum(axis=1)[:, None] - 2 * some @ centred.T
    squared[np.arange(len(some)), np.arange(0, len(points), step)] = np.inf
    return float(np.sqrt(np.median(squared.min(axis=1))))


def _key(nodes: NDArray[np.int64]) -> NDArray[np.int64]:
    x, y, z = (nodes + _HALF).T
    return np.asarray((x * (_BASE + 1) + y) * (_BASE + 1) + z)


def _limit(
    shelf: _Shelf,
    bodies: Sequence[NDArray[np.int64]],
    signs: NDArray[np.int64],
    names: NDArray[np.object_],
    floor: float,
) -> float:
    """The 99 % quantile of each mask's best Dice with other patients' masks, within bounds."""
    best = [
        float(shelf.dice(body, signs)[names != name].max(initial=0.0))
        for body, name in zip(bodies, names, strict=True)
        if len(body)
    ]
    chance = float(np.quantile(best, _QUANTILE)) if best else 0.0
    return min(max(chance, floor), _CEILING)
