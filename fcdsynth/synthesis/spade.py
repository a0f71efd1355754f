"""SPADE residual block in three dimensions, with a normalisation that sees one voxel only."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SLOPE = 0.2


def voxel_norm(features: Tensor) -> Tensor:
    """Divide every voxel's feature vector by its root mean square over channels.

    Pixelwise feature normalisation (Karras et al. 2018, ICLR). No statistic of the crop enters, so
    training crops and whole volumes are normalised alike.

    Args:
        features: Shape (batch, channel, x, y, z).
    """
    return features * torch.rsqrt(features.square().mean(1, keepdim=True) + 1e-6)


class Spade(nn.Module):
    """Spatially adaptive scale and shift (Park et al. 2019, CVPR, equation 1).

    Args:
        channels: Channels of the features.
        hidden: Channels of the embedded condition.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gamma = nn.Conv3d(hidden, channels, 3, padding=1)
        self.beta = nn.Conv3d(hidden, channels, 3, padding=1)

    def forward(self, features: Tensor, embedded: Tensor) -> Tensor:
        """Modulate features (batch, channels, x, y, z) by (batch, hidden, x, y, z)."""
        scale: Tensor = 1 + self.gamma(embedded)
        shift: Tensor = self.beta(embedded)
        return voxel_norm(features) * scale + shift


class SpadeBlock(nn.Module):
    """Residual block whose two convolutions and whose skip are modulated by one condition.

    The style code shifts the embedded condition, so that it acts at every scale.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        condition: Channels of the condition.
        style: Length of the style code.
        hidden: Channels of the embedded condition.
    """

    def __init__(self, inputs: int, outputs: int, condition: int, style: int, hidden: int) -> None:
        super().__init__()
        middle = min(inputs, outputs)
        self.embed = nn.Conv3d(condition, hidden, 3, padding=1)
        self.from_style = nn.Linear(style, hidden, bias=False)
        self.first = Spade(inputs, hidden)
        self.first_conv = nn.Conv3d(inputs, middle, 3, padding=1)
        self.second = Spade(middle, hidden)
        self.second_conv = nn.Conv3d(middle, outputs, 3, padding=1)
        self.skip: Spade | None = None
        self.skip_conv: nn.Conv3d | None = None
        if inputs != outputs:
            self.skip = Spade(inputs, hidden)
            self.skip_conv = nn.Conv3d(inputs, outputs, 1, bias=False)

    def forward(self, features: Tensor, condition: Tensor, style: Tensor) -> Tensor:
        """Transform features under a condition of the same size.

        Args:
            features: Shape (batch, inputs, x, y, z).
            condition: Shape (batch, condition, x, y, z).
            style: Shape (batch, style).

        Returns:
            Shape (batch, outputs, x, y, z).
        """
        shift = self.from_style(style)[:, :, None, None, None]
        embedded = F.leaky_relu(self.embed(condition) + shift, _SLOPE)
        inner: Tensor = self.first_conv(F.leaky_relu(self.first(features, embedded), _SLOPE))
        inner = self.second_conv(F.leaky_relu(self.second(inner, embedded), _SLOPE))
        if self.skip is not None and self.skip_conv is not None:
            features = self.skip_conv(self.skip(features, embedded))
        return features + inner
