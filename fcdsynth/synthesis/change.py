"""Where the lesion label changed the image, and the mask cut down to that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import Tissue

# Prepared units; 0.05 robust SD of the brain. A noise-free image would call anything a change.
LEAST_GRAIN = 0.005
_LEAST_VOXELS = 30
_OWN_PART = 0.1  # a part of at least this share of the mask must hold on its own
_FACES = ndimage.generate_binary_structure(3, 1)
_NEIGHBOURS = _FACES.astype(np.uint8)
_NEIGHBOURS[1, 1, 1] = 0
_FILLED_BY = 4  # of six neighbours; even a gap one voxel wide stays open
_TOUCHING = np.ones((3, 3, 3), dtype=bool)


def grain(image: NDArray[np.float32], tissue: NDArray[Any]) -> NDArray[np.float64]:
    """Standard deviation of a real image's voxel noise, one number per channel.

    From the difference between a voxel and the mean of its six neighbours of the same tissue: of
    white noise its variance is 7/6 of the noise's. The median absolute value stands for the
    standard deviation, so that borders and lesions do not count. Resampled images have smoother
    noise than this reckons with, and so a smaller grain.

    Args:
        image: Prepared intensities, shape (contrast, x, y, z).
        tissue: Labels, shape (x, y, z).

    Returns:
        Shape (contrast,), at least `LEAST_GRAIN`.
    """
    inner = np.zeros(tissue.shape, dtype=bool)
    for label in (Tissue.CORTEX, Tissue.WHITE_MATTER, Tissue.DEEP_GREY):
        inner |= ndimage.binary_erosion(tissue == label, _FACES)
    if inner.sum() < _LEAST_VOXELS:
        return np.full(len(image), LEAST_GRAIN)
    kernel = _NEIGHBOURS / 6.0
    found = []
    for channel in image:
        rest = channel - ndimage.convolve(channel, kernel)
        found.append(1.4826 * float(np.median(np.abs(rest[inner]))) / np.sqrt(7 / 6))
    return np.maximum(found, LEAST_GRAIN)


def change(
    lesional: NDArray[np.float32], empty: NDArray[np.float32], noise: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What the lesion label changed in each voxel, in standard deviations of the noise.

    The channels are added as squares, so that a lesion seen in one contrast alone counts.

    Args:
        lesional: Drawn with the lesion label, shape (contrast, x, y, z).
        empty: Drawn with the same noise without it, same shape.
        noise: From `grain`, shape (contrast,).

    Returns:
        Shape (x, y, z), 0 and more.
    """
    steps = (lesional.astype(float) - empty) / noise[:, None, None, None]
    return np.asarray(np.sqrt(np.square(steps).sum(0)))


@dataclass(frozen=True, eq=False)
class Trimmed:
    """A mask cut down to what changed.

    Args:
        mask: The voxels that stay, shape (x, y, z).
        share: Share of the drawn mask that stays.
        least_share: The same of the worst part of the mask that counts on its own.
        beyond: Changed voxels of the region that lie more than one voxel off the drawn mask,
            as a multiple of its size.
    """

    mask: NDArray[np.bool_]
    share: float
    least_share: float
    beyond: float


def trim(
    drawn: NDArray[np.bool_], region: NDArray[np.bool_], changed: NDArray[np.bool_]
) -> Trimmed:
    """Keep of each connected part of a mask the largest connected part that changed.

    Single voxels stay below any limit by chance: those with at least four changed ones among
    their six neighbours are filled first, and so are enclosed holes.

    Args:
        drawn: The mask as drawn, not empty, shape (x, y, z).
        region: Voxels that were redrawn, same shape.
        changed: Voxels that changed enough, same shape.
    """
    labels = cc3d.connected_components(drawn, connectivity=26)
    kept, shares = np.zeros_like(drawn), []
    total = int(drawn.sum())
    for label in range(1, int(labels.max()) + 1):
        part = labels == label
        held = _largest(_filled(part & changed) & part)
        kept |= held
        size = int(part.sum())
        if size >= _OWN_PART * total:
            shares.append(int(held.sum()) / size)
    around = ndimage.binary_dilation(drawn, _TOUCHING)
    beyond = int((changed & region & ~around).sum()) / total
    share = int(kept.sum()) / total
    return Trimmed(kept, share, min(shares, default=share), beyond)


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    neighbours = ndimage.convolve(mask.astype(np.uint8), _NEIGHBOURS, mode="constant")
    return np.asarray(ndimage.binary_fill_holes(mask | (neighbours >= _FILLED_BY)))


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if not mask.any():
        return mask
    labels = cc3d.connected_components(mask, connectivity=26)
    sizes = np.bincount(labels.ravel())[1:]
    return np.asarray(labels == 1 + int(sizes.argmax()))
