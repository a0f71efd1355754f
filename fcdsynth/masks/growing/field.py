"""A smooth Gaussian random field that is one function of position, on any crop or grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WAVES = 48


def gaussian_field(
    seed: int,
    origin_mm: tuple[float, float, float],
    shape: tuple[int, ...],
    spacing_mm: tuple[float, float, float],
    correlation_mm: float,
) -> NDArray[np.float32]:
    """Sample a field of unit variance by random Fourier features (Rahimi and Recht 2007).

    The field is a sum of cosines with normal wave vectors, whose covariance is
    exp(-r^2 / (2 correlation_mm^2)) in expectation. It needs no filtering of white noise, so a
    larger crop shows the same field.

    Args:
        seed: Decides the field.
        origin_mm: Position of the first voxel, in mm along the array axes.
        shape: Number of voxels along each axis.
        spacing_mm: Voxel size along each axis, mm.
        correlation_mm: Correlation length, mm.

    Returns:
        Float32 array of the shape.
    """
    rng = np.random.default_rng(seed)
    waves = rng.normal(0, 1 / correlation_mm, (3, WAVES))
    phase = rng.uniform(0, 2 * np.pi, WAVES)
    # cos(a + b + c) is the real part of a product, so each axis is evaluated once.
    axes = [
        np.exp(1j * (first + step * np.arange(count))[:, None] * wave)
        for first, step, count, wave in zip(origin_mm, spacing_mm, shape, waves, strict=True)
    ]
    plane = (axes[0] * np.exp(1j * phase))[:, None, :] * axes[1][None]
    flat = plane.reshape(-1, WAVES).astype(np.complex64)
    depth = axes[2].T.astype(np.complex64)
    field = flat.real @ depth.real - flat.imag @ depth.imag
    return np.asarray((np.sqrt(2 / WAVES) * field).reshape(shape), dtype=np.float32)
