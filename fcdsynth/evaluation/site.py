"""Lesion-site probability: what the map says inside the lesion, found or missed.

Beside it stand two sites of reference, so that a map that is merely confident everywhere
shows: the lesion mirrored to the other hemisphere, and random places of the same volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcdsynth.core.grid import Grid
from fcdsynth.evaluation.chance import Places
from fcdsynth.evaluation.pairs import Voxels

_LEAST_SHARE = 0.5
STATISTICS = ("max", "mean", "p95")
"""Fields of `SiteProbability`."""


@dataclass(frozen=True, slots=True)
class SiteProbability:
    """Probability inside a region.

    Args:
        max: Largest voxel probability.
        mean: Mean voxel probability.
        p95: 95th percentile of the voxel probabilities (linear interpolation).
    """

    max: float
    mean: float
    p95: float

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> SiteProbability:
        """Summarise the probabilities of a region's voxels, shape (n,)."""
        wide = values.astype(np.float64)
        return cls(float(wide.max()), float(wide.mean()), float(np.percentile(wide, 95)))


def mirror_matrix(t1w_to_mni: ArrayLike | None, brain_centre_x_mm: float) -> NDArray[np.float64]:
    """World-to-world matrix that reflects a point to the other hemisphere, shape (4, 4).

    Args:
        t1w_to_mni: 4 x 4 matrix from T1w world to MNI (RAS+ mm), in which the midline is x = 0;
            None where prepare found none.
        brain_centre_x_mm: Centre of the brain mask along x, the midline used in that case.
    """
    if t1w_to_mni is not None:
        forward = np.asarray(t1w_to_mni, dtype=float)
        return np.asarray(np.linalg.inv(forward) @ np.diag([-1.0, 1, 1, 1]) @ forward)
    matrix = np.diag([-1.0, 1, 1, 1])
    matrix[0, 3] = 2 * brain_centre_x_mm
    return matrix


def mirrored_site(
    probability: NDArray[np.float32],
    brain: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    grid: Grid,
    voxels: Voxels,
    mirror: NDArray[np.float64],
) -> SiteProbability | None:
    """Probability at the mirrored site (nearest voxels).

    Mirrored voxels outside the brain or inside the reference are left out.

    Args:
        probability: Map, shape (x, y, z).
        brain: Brain mask on the same grid.
        reference: All lesions of the subject on the same grid.
        grid: The grid.
        voxels: Voxel indices of the lesion, shape (n, 3).
        mirror: World-to-world reflection, shape (4, 4).

    Returns:
        None when less than half of the mirrored voxels are left.
    """
    points = grid.to_mm(voxels) @ mirror[:3, :3].T + mirror[:3, 3]
    there = np.rint(grid.to_vox(points)).astype(int)
    there = there[((there >= 0) & (there < grid.shape)).all(axis=1)]
    at = tuple(there.T)
    values = probability[at][brain[at] & ~reference[at]]
    if len(values) < _LEAST_SHARE * len(voxels):
        return None
    return SiteProbability.of(values)


def random_site(
    probability: NDArray[np.float32],
    reference: NDArray[np.bool_],
    size_vox: int,
    places: Places,
    draws: int,
    rng: np.random.Generator,
) -> SiteProbability | None:
    """Mean over random places of the same volume, clear of every lesion.

    Args:
        probability: Map, shape (x, y, z).
        reference: All lesions of the subject on the same grid.
        size_vox: Size of the lesion.
        places: Where the sites may lie.
        draws: Number of places; each gets ten tries to miss the lesions.
        rng: Source of randomness.

    Returns:
        None when no place clear of the lesions was found.
    """
    sites = []
    for _ in range(draws):
        for _ in range(10):
            at = tuple(places.draw(size_vox, rng).T)
            if not reference[at].any():
                sites.append(SiteProbability.of(probability[at]))
                break
    if not sites:
        return None
    return SiteProbability(
        float(np.mean([site.max for site in sites])),
        float(np.mean([site.mean for site in sites])),
        float(np.mean([site.p95 for site in sites])),
    )
