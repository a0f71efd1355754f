"""Small networks, several trained side by side: one on all labels, and one without each fold.

A perceptron with two hidden layers, trained by AdamW on small batches. The networks of a round
share every matrix product (one batch dimension over networks), which on one core costs less than
twice a single one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from fcdsynth.core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Shape and training of the networks.

    Args:
        hidden: Units of the first hidden layer.
        features: Units of the second, whose activity is the deep features.
        epochs: Passes over the labels.
        batch: Items of a training step.
        rate: Learning rate.
        decay: Weight decay.

    Raises:
        SettingsError: If a value is out of range.
    """

    hidden: int = 128
    features: int = 32
    epochs: int = 15
    batch: int = 64
    rate: float = 3e-3
    decay: float = 1e-2

    def __post_init__(self) -> None:
        ranges = {"hidden": (1, 4096), "features": (1, 4096), "epochs": (1, 1000),
                  "batch": (1, 4096), "rate": (1e-6, 1.0), "decay": (0.0, 1.0)}  # fmt: skip
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(name, str(value), f"{low:g} to {high:g}", "Change the setting.")


@dataclass(frozen=True)
class Networks:
    """Trained networks.

    Args:
        weights: Weights of the three layers, each of shape (networks, inputs, outputs).
        biases: Their biases, each of shape (networks, 1, outputs).
    """

    weights: tuple[torch.Tensor, ...]
    biases: tuple[torch.Tensor, ...]

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Deep features and logits of x, shape (networks, items, d), one view per network."""
        hidden = x
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = torch.relu(torch.baddbmm(bias, hidden, weight))
        return hidden, torch.baddbmm(self.biases[-1], hidden, self.weights[-1])

    @torch.no_grad()
    def see(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Deep features (networks, n, f) and probabilities (networks, n, K) of items (n, d)."""
        copies = torch.from_numpy(x).expand(len(self.weights[0]), *x.shape)
        hidden, logits = self.forward(copies)
        return hidden.double().numpy(), functional.softmax(logits.double(), dim=-1).numpy()

    def only(self, network: int) -> Networks:
        """One of them."""
        part = slice(network, network + 1)
        return Networks(
            tuple(weight[part] for weight in self.weights),
            tuple(bias[part] for bias in self.biases),
        )


def train_networks(
    x: NDArray[np.float32], y: NDArray[np.int64], members: NDArray[np.bool_], classes: int,
    settings: NetworkSettings, seed: int,
) -> Networks:  # fmt: skip
    """Train a network on each set of members.

    Args:
        x: Features, shape (n, d).
        y: Labels, shape (n,).
        members: Which items each network learns from, shape (networks, n).
        classes: Number of classes.
        settings: Shape and training.
        seed: Seed of starting weights and of the order of items.
    """
    rng = np.random.default_rng([seed, 3])
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    count, sizes = len(members), (x.shape[1], settings.hidden, settings.features, classes)
    weights, biases = [], []
    for before, after in pairwise(sizes):
        # All start from the same weights: they differ by what they learn from.
        start = torch.randn(1, before, after, generator=generator) * (2 / before) ** 0.5
        weights.append(start.repeat(count, 1, 1).requires_grad_())
        biases.append(torch.zeros(count, 1, after, requires_grad=True))
    networks = Networks(tuple(weights), tuple(biases))
    optimiser = torch.optim.AdamW(
        [*weights, *biases], lr=settings.rate, weight_decay=settings.decay, fused=True
    )
    steps = -(-len(y) * settings.epochs // settings.batch)
    rows = torch.from_numpy(_orders(members, steps, min(settings.batch, len(y)), rng))
    items, labels = torch.from_numpy(x), torch.from_numpy(y)
    for step in range(steps):
        mine = rows[step]
        _, logits = networks.forward(items[mine])
        loss = functional.cross_entropy(
            logits.flatten(0, 1), labels[mine].flatten(), reduction="sum"
        )
        optimiser.zero_grad()
        (loss / mine.shape[1]).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return Networks(
        tuple(weight.detach() for weight in weights), tuple(bias.detach() for bias in biases)
    )


def _orders(
    members: NDArray[np.bool_], steps: int, batch: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Rows of every step, shape (steps, networks, batch): shuffled passes, end to end."""
    whole = np.zeros((len(members), steps * batch), dtype=np.int64)
    for network, mine in enumerate(members):
        own = np.flatnonzero(mine)
        passes = -(-steps * batch // len(own))
        orders = np.concatenate([rng.permutation(own) for _ in range(passes)])
        whole[network] = orders[: steps * batch]
    return whole.reshape(len(members), steps, batch).transpose(1, 0, 2).copy()
