"""Power near the Nyquist frequency in the redrawn region, where checkerboards would show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

NEAR = 0.375  # cycles per voxel; the Nyquist frequency is 0.5
_TAPER_VOX = 3.0
_LEAST_VOX = 64
_LEAST_SIDE = 16


def nyquist_shares(image: NDArray[Any], region: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of the power at 0.375 cycles per voxel and above along each axis.

    The region is cut out with a taper of three voxels (its weight rises as a squared sine of the
    distance from the border), its weighted mean taken off, and the box transformed. White noise
    gives 0.25 to 0.27, by the taper and the number of voxels; up-sampling artefacts (Odena et al.
    2016, Distill) raise the share along their axes, blurring lowers it.

    Args:
        image: One contrast, shape (x, y, z).
        region: Mask, same shape.

    Returns:
        Shape (3,); NaN where the region has fewer than 64 voxels or the image is flat in it.
    """
    if region.sum() < _LEAST_VOX:
        return np.full(3, np.nan)
    where = np.argwhere(region)
    box = tuple(slice(int(a), int(b) + 1) for a, b in zip(where.min(0), where.max(0), strict=True))
    depth = ndimage.distance_transform_edt(np.pad(region[box], 1))[1:-1, 1:-1, 1:-1]
    weight = np.sin(np.clip(depth / _TAPER_VOX, 0, 1) * np.pi / 2) ** 2
    values = np.asarray(image[box], dtype=np.float64)
    centred = (values - (values * weight).sum() / weight.sum()) * weight
    size = [fft.next_fast_len(max(n, _LEAST_SIDE)) for n in centred.shape]
    power = np.abs(fft.fftn(centred, size)) ** 2
    total = power.sum()
    if total <= 1e-12 * weight.sum():
        return np.full(3, np.nan)
    shares = []
    for axis, n in enumerate(size):
        high = np.abs(fft.fftfreq(n)) >= NEAR
        shares.append(float(np.compress(high, power, axis).sum() / total))
    return np.array(shares)
