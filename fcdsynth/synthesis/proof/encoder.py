"""Features of whole T1w brains from the encoder that deepbet's wheel ships."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fcdsynth.synthesis.deepbet import network_file

NAME = "deepbet encoder"
_SIDE = 128  # what the network was trained at
_MEAN, _SD = 0.449, 0.226  # its normalisation


def encoder_file() -> Path | None:
    """The network that finds the head's box; None where it is not there."""
    return network_file("bbox_model.pt")


@cache
def _network(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.load is deprecated; the file has no other form
        load: Any = torch.jit.load
        return load(str(path), map_location="cpu").eval()


@torch.no_grad()
def encoder_features(t1w: NDArray[Any], brain: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Mean and SD in the brain of each channel of the five encoder stages (512 numbers).

    deepbet (Fisch et al. 2024, Comput Biol Med) was trained to find brains in T1w heads. Its
    stages have 16, 16, 32, 64 and 128 channels at strides 4, 4, 8, 16 and 32. The brain's box is
    padded to a cube and brought to 128 voxels a side.

    Args:
        t1w: Prepared intensities, isotropic voxels, shape (x, y, z).
        brain: Mask, not empty, same shape.

    Returns:
        Shape (512,), or None where deepbet's file is not there.
    """
    path = encoder_file()
    if path is None:
        return None
    network = _network(path)
    image, mask = _cube(t1w, brain)
    low, high = torch.quantile(image[::4, ::4, ::4].flatten(), torch.tensor([0.005, 0.995]))
    image = ((image - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    image = (image - image.mean()) / image.std().clamp_min(1e-6) * _SD + _MEAN
    act = getattr(network.conv, "2")  # the traced stages share one activation and take it first
    features = image[None, None]
    found: list[Tensor] = []
    for stage in (network.init, network.down0, network.down1, network.down2, network.down3):
        features = stage(act, features)
        inside = F.adaptive_avg_pool3d(mask[None, None], features.shape[2:])[0, 0]
        weight = inside / inside.sum()
        mean = (features[0] * weight).sum((1, 2, 3))
        spread = ((features[0] - mean[:, None, None, None]).square() * weight).sum((1, 2, 3))
        found += [mean, spread.sqrt()]
    return torch.cat(found).double().numpy()


def _cube(t1w: NDArray[Any], brain: NDArray[np.bool_]) -> tuple[Tensor, Tensor]:
    where = np.argwhere(brain)
    low, high = where.min(0), where.max(0) + 1
    side = int((high - low).max())
    both = []
    for array in (np.where(brain, t1w, 0), brain):
        cube = np.zeros((side, side, side), dtype=np.float32)
        first = (side - (high - low)) // 2
        place = tuple(slice(f, f + n) for f, n in zip(first, high - low, strict=True))
        cube[place] = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        tensor = torch.from_numpy(cube)[None, None]
        size = (_SIDE, _SIDE, _SIDE)
        both.append(F.interpolate(tensor, size, mode="trilinear", align_corners=False)[0, 0])
    return both[0], both[1]
