"""Ventricles of another size: a smooth flow of the tissue towards or away from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_STEP_MM = 2.5
_WIDTH_MM = 7.0
_MIN_JACOBIAN = 0.2
_STRONGEST = 30.0
_STEPS = 3
_TABLE = 10


@dataclass(frozen=True, eq=False)
class Ventricles:
    """The ventricles of an anatomy on a coarse lattice in canonical space.

    Args:
        pull: Displacement in mm for a strength of 1, towards the ventricles; the gradient of
            their blurred image times its width, shape (3, x, y, z).
        lower_mm: Canonical coordinates of the first lattice point.
        strengths: Strengths of the flow at which nothing comes near folding, in order.
        volumes: Volume of the ventricles at these strengths, relative to strength 0.
    """

    pull: NDArray[np.float32]
    lower_mm: tuple[float, float, float]
    strengths: NDArray[np.float64]
    volumes: NDArray[np.float64]

    def strength_for(self, factor: float) -> float:
        """Strength that brings the volume as near to a factor as no fold allows.

        Args:
            factor: Wanted volume relative to the anatomy's own.
        """
        return float(np.interp(factor, self.volumes, self.strengths)) if factor != 1 else 0.0

    def flow(self, mm: NDArray[np.float32], strength: float) -> None:
        """Change where the voxels of a head are taken from, in place.

        Args:
            mm: Canonical coordinates, shape (3, x, y, z).
            strength: From `strength_for`; positive for larger ventricles.
        """
        if strength == 0:
            return
        flat = mm.reshape(3, -1)
        first = np.asarray(self.lower_mm, np.float32)[:, None]
        index = (flat - first) / np.float32(_STEP_MM)
        inside = np.flatnonzero(
            np.logical_and.reduce(
                [(p > 0) & (p < n - 1) for p, n in zip(index, self.pull.shape[1:], strict=True)]
            )
        )
        moved = _flowed(self.pull, index[:, inside], strength)
        flat[:, inside] = moved * np.float32(_STEP_MM) + first


def measure_ventricles(points_mm: NDArray[np.float64], cell_ml: float) -> Ventricles:
    """The flow around ventricles given by the places of their voxels.

    Args:
        points_mm: Canonical coordinates of the voxels, shape (n, 3).
        cell_ml: Canonical volume of one voxel.
    """
    margin = 3.5 * _WIDTH_MM
    lower = (points_mm.min(0) if len(points_mm) else np.zeros(3)) - margin
    upper = (points_mm.max(0) if len(points_mm) else np.zeros(3)) + margin
    size = np.ceil((upper - lower) / _STEP_MM).astype(int) + 1
    index = np.rint((points_mm - lower) / _STEP_MM).astype(int)
    count = np.bincount(np.ravel_multi_index(tuple(index.T), tuple(size)), minlength=size.prod())
    share = (count.reshape(size) * (cell_ml * 1000 / _STEP_MM**3)).astype(np.float32)
    blurred = ndimage.gaussian_filter(share, _WIDTH_MM / _STEP_MM, mode="constant")
    pull = np.stack(np.gradient(blurred, _STEP_MM)) * np.float32(_WIDTH_MM)
    pull = pull.astype(np.float32)
    first = (float(lower[0]), float(lower[1]), float(lower[2]))
    strengths = [np.linspace(0, _safe(pull, sign), _TABLE) for sign in (-1, 1)]
    every = np.concatenate([strengths[0][:0:-1], strengths[1]])
    volumes = np.array([_volume(share, pull, s) for s in every])
    # More pull never means less ventricle; rounding may say so where hardly anything changes.
    volumes = np.maximum.accumulate(volumes) / max(_volume(share, pull, 0.0), 1e-6)
    return Ventricles(pull, first, every, volumes)


def _flowed(
    pull: NDArray[np.float32], index: NDArray[np.float32], strength: float
) -> NDArray[np.float32]:
    """Lattice points after a flow; in short steps, so that a long flow does not fold."""
    moved = index.copy()
    for _ in range(_STEPS):
        steps = [ndimage.map_coordinates(p, moved, order=1, mode="nearest") for p in pull]
        for i, step in enumerate(steps):
            moved[i] += np.float32(strength / _STEPS / _STEP_MM) * step
    return moved


def _lattice(pull: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.indices(pull.shape[1:], dtype=np.float32)


def smallest_jacobian(pull: NDArray[np.float32], strength: float) -> float:
    """Smallest volume change of a flow, by finite differences on the lattice."""
    moved = _flowed(pull, _lattice(pull), strength)
    slopes = np.stack([np.stack(np.gradient(m)) for m in moved])
    return float(np.linalg.det(np.moveaxis(slopes, (0, 1), (-2, -1))).min())


def _safe(pull: NDArray[np.float32], sign: int) -> float:
    strength = _STRONGEST
    while smallest_jacobian(pull, sign * strength) < _MIN_JACOBIAN:
        strength *= 0.85
    return sign * strength


def _volume(share: NDArray[np.float32], pull: NDArray[np.float32], strength: float) -> float:
    moved = _flowed(pull, _lattice(pull), strength)
    return float(ndimage.map_coordinates(share, moved, order=1).sum())
