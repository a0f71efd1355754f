"""Convolutions of tiny volumes in single precision: in bfloat16 a CPU gets their gradient wrong."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn


def single_where_small(network: nn.Module) -> None:
    """Let every convolution of a network leave bfloat16 autocast where its input is too small.

    Measured on torch 2.13 with AVX-512: the weight's gradient of a bfloat16 ``conv3d`` whose input
    is smaller than its kernel (3 on 2 voxels, 4 on 3) holds unset memory, often infinity, and
    differs from call to call. A discriminator comes down to such sizes; they cost next to nothing.

    Args:
        network: Changed in place; its weights and their names stay.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            module.forward = partial(_convolve, module)  # type: ignore[method-assign]


def is_small(size: tuple[int, ...], kernel: tuple[int, ...]) -> bool:
    """Whether a kernel is larger than the volume along an axis."""
    return any(n < k for n, k in zip(size, kernel, strict=True))


def _convolve(module: nn.Conv3d, volume: Tensor) -> Tensor:
    if volume.device.type != "cpu" or not is_small(tuple(volume.shape[2:]), module.kernel_size):
        return type(module).forward(module, volume)
    with torch.autocast("cpu", enabled=False):
        return type(module).forward(module, volume.float())
