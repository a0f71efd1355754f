"""Sliding-window inference: lesion logits of a whole prepared volume in bounded memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from scipy.special import expit

from fcdsynth.detector.augment import Patch
from fcdsynth.detector.inputs import standardise


@torch.no_grad()
def infer_logits(
    network: torch.nn.Module,
    image: NDArray[np.float32],
    patch: Patch,
    device: torch.device,
    mirror: bool = False,
    windows: int = 2,
) -> NDArray[np.float32]:
    """Run a network over a volume, windows overlapping by half with Gaussian weights.

    Only windows are on the device; sums stay in main memory. With ``mirror`` the logits are
    averaged with those of the volume flipped left to right.

    Args:
        network: Maps (batch, channel, *patch) to logits (batch, 1, *patch).
        image: Prepared intensities, (channel, x, y, z), first axis pointing right.
        patch: Window size in voxels.
        device: Where windows are computed.
        mirror: Whether to average over the left-right flip.
        windows: Windows computed at once.

    Returns:
        Logits, float32, (x, y, z); outside the brain -20.
    """
    network = network.to(device).eval()
    tensor = torch.from_numpy(standardise(image))[None]

    def run(batch: torch.Tensor) -> Any:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            return network(batch).float()

    def whole(volume: torch.Tensor) -> torch.Tensor:
        done = sliding_window_inference(
            volume, patch, windows, run, overlap=0.5, mode="gaussian", sw_device=device,
            device="cpu",
        )  # fmt: skip
        return torch.as_tensor(done)

    logits = whole(tensor)
    if mirror:
        logits = (logits + whole(tensor.flip(2)).flip(2)) / 2
    outside = ~(image > 0).any(0)
    result = logits[0, 0].numpy().astype(np.float32)
    result[outside] = -20.0
    return result


def probability(logits: NDArray[np.float32], temperature: float = 1.0) -> NDArray[np.float32]:
    """Sigmoid of logits divided by a temperature (Guo et al. 2017)."""
    return np.asarray(expit(logits.astype(np.float64) / temperature), dtype=np.float32)
