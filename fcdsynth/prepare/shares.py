"""The tissue atlas that the package carries: how much of each tissue lies where in MNI space."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume, read_volume

TISSUES = ("csf", "cortex", "white", "deep", "ventricle", "lower_grey", "lower_white")
# Brightness on T1w relative to white matter, about that of 3 T gradient-echo images.
BRIGHTNESS = (0.25, 0.66, 1.0, 0.80, 0.20, 0.66, 0.95)
_FOLDER = Path(__file__).parent / "atlas"
_UNSURE_MM = 6.0


@cache
def _both_halves() -> tuple[NDArray[np.float32], Grid]:
    """Shares, shape (tissue, x, y, z), and their grid in MNI space; the files hold x >= 0."""
    halves = [read_volume(_FOLDER / f"{name}.nii.gz") for name in TISSUES]
    right = np.stack([half.array for half in halves]) / np.float32(255)
    whole = np.concatenate([right[:, :0:-1], right], axis=1)
    matrix = halves[0].grid.matrix.copy()
    matrix[0, 3] -= matrix[0, 0] * (right.shape[1] - 1)
    return whole, Grid.of(whole.shape[1:], matrix)


@cache
def average_head() -> Volume:
    """The atlas as a skull-stripped T1w image in MNI space, white matter 1."""
    shares, grid = _both_halves()
    image = np.tensordot(np.asarray(BRIGHTNESS, dtype=np.float32), shares, 1)
    return Volume(np.where(shares.sum(axis=0) > 0.5, image, 0).astype(np.float32), grid)


def shares_at(places_mm: NDArray[np.floating], sure: bool = True) -> NDArray[np.float32]:
    """Share of each of `TISSUES` at places in MNI space.

    Args:
        places_mm: Points, shape (..., 3), RAS+ mm.
        sure: Whether the places come from a trusted registration; the atlas is blurred
            (standard deviation 6 mm) otherwise.

    Returns:
        Shares in [0, 1], shape (tissue, ...); what they leave to 1 is no brain.
    """
    shares, grid = _both_halves()
    if not sure:
        sigma = _UNSURE_MM / np.asarray(grid.spacing_mm)
        shares = np.stack([ndimage.gaussian_filter(share, sigma) for share in shares])
    index = grid.to_vox(places_mm.reshape(-1, 3)).T.astype(np.float32)
    out = np.empty((len(TISSUES), index.shape[1]), dtype=np.float32)
    for share, target in zip(shares, out, strict=True):
        ndimage.map_coordinates(share, index, target, order=1)
    return out.reshape(len(TISSUES), *places_mm.shape[:-1])
