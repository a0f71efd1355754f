"""The frame of the cortex at a voxel: inward, along the fold, and across it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fcdsynth.masks.growing.front import box_around, squared_mm
from fcdsynth.masks.host import Host
from fcdsynth.measure.geodesic import Voxel

_NORMAL_MM, _FOLD_MM = 4.0, 8.0  # neighbourhoods of a voxel from which its frame is read
_PARALLEL = 0.1


def frame_at(host: Host, voxel: Voxel) -> NDArray[np.float64]:
    """Right-handed frame of the cortex at a voxel, in the host's world.

    The first column points inward, to the white matter: the mean heading of the cortex within
    4 mm that does not face the other way. The second follows the fold: the headings of a
    straight sulcus or gyrus lie in the plane across it, so the fold runs along the eigenvector
    of least eigenvalue of sum h h^T over the cortex within 8 mm. Its sign has no meaning. The
    third is across.

    Args:
        host: The anatomy.
        voxel: A voxel of the cortex.

    Returns:
        Unit vectors as columns, shape (3, 3), RAS+.
    """
    spacing = np.asarray(host.grid.spacing_mm)
    box = box_around(voxel, np.ceil(_FOLD_MM / spacing), host.grid.shape)
    squared = squared_mm(box, voxel, spacing)
    headings = host.heading[(slice(None), *box)].astype(float)
    near = (squared <= _FOLD_MM**2) & (headings != 0).any(axis=0)
    vectors, away = headings[:, near].T, squared[near]
    own = host.heading[(slice(None), *voxel)].astype(float)
    same = (away <= _NORMAL_MM**2) & (vectors @ own > 0)
    inward = vectors[same].sum(axis=0)
    inward /= np.linalg.norm(inward)
    along = _across(np.linalg.eigh(vectors.T @ vectors)[1][:, 0], inward)
    directions = host.grid.matrix[:3, :3] / spacing
    first, second = directions @ inward, directions @ along
    return np.stack([first, second, np.cross(first, second)], axis=1)


def _across(axis: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The part of an axis across a normal, of length 1; any such vector where nothing is left."""
    part = axis - normal * (axis @ normal)
    if np.linalg.norm(part) < _PARALLEL:
        other = np.eye(3)[int(np.argmin(np.abs(normal)))]
        part = other - normal * (other @ normal)
    return np.asarray(part / np.linalg.norm(part))
