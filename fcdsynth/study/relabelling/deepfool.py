"""DFAL: the size of the smallest perturbation that changes a network's mind.

Ducoffe and Precioso 2018 (arXiv:1802.09841) query the unlabelled items with the smallest DeepFool
perturbation (Moosavi-Dezfooli, Fawzi, Frossard 2016). From x with predicted class k0, until the
prediction changes,

    w_k = grad f_k - grad f_k0 ,   g_k = f_k - f_k0         (logits)
    l   = argmin over k != k0 of |g_k| / |w_k|
    total += (|g_l| / |w_l| + 1e-4) w_l / |w_l| ,           x' = x + 1.02 total

Here the selection only: no adversarial copies join the training, since under a noisy annotator
they double each error. All items and classes go in one batched gradient.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from fcdsynth.study.relabelling.network import Networks

_OVERSHOOT = 1.02
_LEAST_STEP = 1e-4


def perturbation_sizes(
    network: Networks, x: NDArray[np.float32], most_steps: int = 20
) -> NDArray[np.float64]:
    """L2 norm of each item's smallest perturbation.

    Args:
        network: A single network.
        x: Items, shape (n, d).
        most_steps: Steps after which an item keeps what it has.

    Returns:
        Shape (n,), in the units of x.
    """
    start = torch.from_numpy(x)
    rows = torch.arange(len(x))
    total = torch.zeros_like(start)
    first, _ = _logits_and_slopes(network, start)
    original = first.argmax(dim=1)
    open_ = torch.ones(len(x), dtype=torch.bool)
    for _ in range(most_steps):
        mine = rows[open_]
        if not len(mine):
            break
        logits, slopes = _logits_and_slopes(network, start[mine] + _OVERSHOOT * total[mine])
        own = original[mine]
        here = torch.arange(len(mine))
        moved = logits.argmax(dim=1) != own
        open_[mine[moved]] = False
        w = slopes - slopes[here, own][:, None]
        gap = (logits - logits[here, own][:, None]).abs()
        norm = w.norm(dim=2).clamp_min(1e-12)
        reach = gap / norm
        reach[here, own] = torch.inf
        nearest = reach.argmin(dim=1)
        size = reach[here, nearest] + _LEAST_STEP
        step = size[:, None] * w[here, nearest] / norm[here, nearest][:, None]
        total[mine[~moved]] += step[~moved]
    return np.asarray(total.norm(dim=1).double().numpy())


def _logits_and_slopes(network: Networks, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (n, K) and their gradients by the input (n, K, d)."""
    items = x[None].detach().requires_grad_()
    _, logits = network.forward(items)
    kinds = logits.shape[-1]
    each = torch.eye(kinds)[:, None, None, :].expand(kinds, *logits.shape)
    (slopes,) = torch.autograd.grad(logits, items, each, is_grads_batched=True)
    return logits[0].detach(), slopes[:, 0].transpose(0, 1)
