"""What a training step takes of memory, worked out without computing it, and what is free."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from fcdsynth.core.memory import free_gib

_GIB = 2.0**30
_ALLOWANCE = 1.5  # short-lived copies, and holes between blocks
_LIBRARIES_GIB = 0.1  # kernels that are loaded or compiled at the first call


@dataclass(frozen=True)
class Need:
    """Memory of a training step, GiB.

    Args:
        fixed: Weights, their moving average, gradients and Adam's two moments.
        saved: What the forward passes keep for the backward passes.
        working: What one layer's backward pass needs beside it.
    """

    fixed: float
    saved: float
    working: float

    @property
    def total(self) -> float:
        """All of it, with an allowance for what no graph keeps.

        With the allowance 0.89 to 1.25 of the peak measured on a CPU, over six settings (crops of
        32, 48 and 64; 32-bit, bfloat16, checkpointing); GPUs were not measured.
        """
        return self.fixed + _ALLOWANCE * self.saved + self.working + _LIBRARIES_GIB


class Ledger:
    """Bytes of the storages that autograd keeps, each counted once, and the largest of them."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        # Held, so that no storage's address is given to another one.
        self._kept = list(known)
        self._seen = {t.untyped_storage()._cdata for t in self._kept}
        self.bytes = 0
        self.largest = 0

    def note(self, tensor: Tensor) -> Tensor:
        """Count a tensor that is kept; given to `saved_tensors_hooks`."""
        storage = tensor.untyped_storage()
        if storage._cdata not in self._seen:
            self._seen.add(storage._cdata)
            self._kept.append(tensor)
            self.bytes += storage.nbytes()
            self.largest = max(self.largest, storage.nbytes())
        return tensor


def free_on(device: torch.device, processes: int) -> float | None:
    """GiB that this process may still take on a device; None where the system does not say.

    Args:
        device: Where the step will run.
        processes: Processes of the run that share this machine's memory.
    """
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (free + cached) / _GIB
    found = free_gib()
    return None if found is None else found / processes
