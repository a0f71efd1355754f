"""Where a trained network is applied: the GPU when there is one."""

from __future__ import annotations

import torch

from fcdsynth.core.errors import SettingsError


def choose_device(device: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:1`` into a device.

    Raises:
        SettingsError: If there is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise SettingsError("device", device, "auto, cpu or a CUDA device that is there",
                            "Leave --device out.") from error  # fmt: skip
    return chosen
