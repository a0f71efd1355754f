"""The moving average of a network's weights, saved with them."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """A copy that `AveragedModel.update_parameters` moves towards the network.

    Args:
        network: The network; it must not be spectrally normalised, as an average of such
            weights is not.
        decay: Share of the average that an update keeps; ``(1 + n) / (10 + n)`` after n updates
            while that is smaller, so that the first weights are soon forgotten.
    """
    average = AveragedModel(network, avg_fn=partial(_towards, decay))
    average.requires_grad_(False)
    return average


def _towards(decay: float, average: Tensor, new: Tensor, seen: Tensor | int) -> Tensor:
    return torch.lerp(new, average, min(decay, (1 + int(seen)) / (10 + int(seen))))
