"""Sliding-window inference: lesion logits of a whole prepared volume in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from fcdsynth.detector.augment import Patch
from fcdsynth.detector.inputs import Kinds, standardise

_OUTSIDE = -20.0
_OVERLAP = 0.4  # Dice as with one half, in two thirds of the time
_SPREAD = 0.125  # SD of the windows' weights, as a share of their size (Isensee et al. 2021)
_LEAST_WEIGHT = 1e-3


def window_starts(low: int, high: int, size: int, overlap: float) -> list[int]:
    """Evenly spaced starts of windows that cover ``low`` to ``high`` along one axis.

    Args:
        low: First voxel to cover.
        high: One past the last.
        size: Size of a window; where it is larger than what is to be covered, one is enough.
        overlap: Least share of a window that the next one covers again.
    """
    length = high - low
    if length <= size:
        return [low - (size - length) // 2]
    count = int(np.ceil((length - size) / (size * (1 - overlap)))) + 1
    return [round(float(x)) for x in np.linspace(low, high - size, count)]


def windows_over(brain: NDArray[np.bool_], patch: Patch, overlap: float) -> list[Patch]:
    """Corners of the windows that hold brain, over the brain's own box; may lie outside it."""
    box = [np.flatnonzero(brain.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if any(len(found) == 0 for found in box):
        return []
    starts = [window_starts(int(f[0]), int(f[-1]) + 1, size, overlap)
              for f, size in zip(box, patch, strict=True)]  # fmt: skip
    x, y, z = starts
    return [corner for corner in product(x, y, z)
            if brain[_overlap(corner, patch, brain.shape)[0]].any()]  # fmt: skip


def gaussian_weights(patch: Patch) -> NDArray[np.float32]:
    """Weights of a window's voxels, largest in its middle, shape of the patch."""
    axes = [np.exp(-0.5 * ((np.arange(n) - (n - 1) / 2) / (n * _SPREAD)) ** 2) for n in patch]
    weights = axes[0][:, None, None] * axes[1][:, None] * axes[2]
    return np.asarray(np.maximum(weights / weights.max(), _LEAST_WEIGHT), dtype=np.float32)


@torch.inference_mode()
def infer_logits(
    network: torch.nn.Module,
    image: NDArray[np.float32],
    inputs: Sequence[str],
    patch: Patch,
    device: torch.device,
    mirror: bool = False,
    windows: int = 2,
    half: bool | None = None,
    overlap: float = _OVERLAP,
) -> NDArray[np.float32]:
    """Run a network over a volume, windows overlapping with Gaussian weights.

    Only windows are on the device; sums stay in main memory, and windows without brain are
    passed over. With ``mirror`` the logits are averaged with those of the volume flipped left
    to right.

    Args:
        network: Maps (batch, channel, *patch) to logits (batch, 1, *patch).
        image: Channels as `load_channels` gives them, (channel, x, y, z), first axis right.
        inputs: Names of the channels.
        patch: Window size in voxels.
        device: Where windows are computed.
        mirror: Whether to average over the left-right flip.
        windows: Windows computed at once.
        half: Whether in bfloat16; on a GPU alone when None.
        overlap: Least share of a window that the next one covers again.

    Returns:
        Logits, float32, (x, y, z); outside the brain -20.
    """
    network = network.to(device).eval()
    brain = Kinds(tuple(inputs)).brain(image)
    ready = standardise(image, inputs)
    weights = gaussian_weights(patch)
    total = np.zeros(brain.shape, dtype=np.float32)
    norm = np.zeros(brain.shape, dtype=np.float32)
    half = device.type == "cuda" if half is None else half
    corners = windows_over(brain, patch, overlap)
    for some in _chunks(corners, windows):
        batch = torch.from_numpy(np.stack([_cut(ready, corner, patch) for corner in some]))
        batch = batch.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = network(batch).float()
            if mirror:
                logits = (logits + network(batch.flip(2)).float().flip(2)) / 2
        for corner, found in zip(some, logits[:, 0].cpu().numpy(), strict=True):
            where, inside = _overlap(corner, patch, brain.shape)
            total[where] += found[inside] * weights[inside]
            norm[where] += weights[inside]
    total /= np.maximum(norm, np.float32(1e-8))
    total[~brain] = _OUTSIDE
    return total


def _chunks(corners: Sequence[Patch], size: int) -> Iterator[Sequence[Patch]]:
    for first in range(0, len(corners), size):
        yield corners[first : first + size]


def _overlap(
    corner: Patch, patch: Patch, shape: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a window lies in a volume, and which part of the window that is."""
    where, inside = [], []
    for c, s, n in zip(corner, patch, shape, strict=True):
        first, last = max(c, 0), min(c + s, n)
        where.append(slice(first, last))
        inside.append(slice(first - c, last - c))
    return tuple(where), tuple(inside)


def _cut(image: NDArray[np.float32], corner: Patch, patch: Patch) -> NDArray[np.float32]:
    where, inside = _overlap(corner, patch, image.shape[1:])
    if all(i.stop - i.start == s for i, s in zip(inside, patch, strict=True)):
        return image[(slice(None), *where)]
    box = np.zeros((len(image), *patch), dtype=np.float32)
    box[(slice(None), *inside)] = image[(slice(None), *where)]
    return box


def probability(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
    """Sigmoid of logits divided by a temperature (Guo et al. 2017)."""
    return np.asarray(expit(logits.astype(np.float64) / temperature), dtype=np.float32)
