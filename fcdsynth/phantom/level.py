"""Cut a score map at the level that gives a wanted volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.grid import Grid
from fcdsynth.measure.components import label_components

_WIDEN = 1.3
_TRIES = 12
_HALVINGS = 3


def top_voxels(
    score: NDArray[np.float32], domain: NDArray[np.bool_], wanted_vox: float
) -> NDArray[np.bool_]:
    """The highest voxels of a domain, as many as wanted or all of it."""
    values = score[domain]
    take = round(min(max(wanted_vox, 1), values.size))
    if take == 0:
        return np.zeros(domain.shape, bool)
    level = np.partition(values, values.size - take)[values.size - take]
    return np.asarray(domain & (score >= level))


def _own(mask: NDArray[np.bool_], centre: tuple[int, int, int], grid: Grid) -> NDArray[np.bool_]:
    """The component of a mask that holds the centre, else the largest one."""
    labels, parts = label_components(mask, grid)
    return np.asarray(labels.array == (labels.array[centre] or 1)) if parts else mask


def around_centre(
    score: NDArray[np.float32], domain: NDArray[np.bool_], centre: tuple[int, int, int],
    wanted_vox: float, grid: Grid,
) -> NDArray[np.bool_]:  # fmt: skip
    """A level set in one piece: the part around the centre has the wanted volume.

    Args:
        score: What is cut, shape (x, y, z).
        domain: Where a voxel may be taken.
        centre: Voxel that the piece should hold; the largest piece is taken where it cannot.
        wanted_vox: Wanted number of voxels.
        grid: Grid of the arrays.
    """
    most = int(domain.sum())
    low, high = 0.0, float(wanted_vox)
    piece = _own(top_voxels(score, domain, high), centre, grid)
    for _ in range(_TRIES):
        if piece.sum() >= wanted_vox or high >= most:
            break
        low, high = high, high * _WIDEN
        piece = _own(top_voxels(score, domain, high), centre, grid)
    best = piece
    for _ in range(_HALVINGS if low > 0 else 0):
        middle = (low + high) / 2
        piece = _own(top_voxels(score, domain, middle), centre, grid)
        if abs(piece.sum() - wanted_vox) < abs(best.sum() - wanted_vox):
            best = piece
        low, high = (middle, high) if piece.sum() < wanted_vox else (low, middle)
    return best
