"""The encoder of style codes: convolutions under a mask, then one mean over it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fcdsynth.synthesis.pyramid import evened, halve

_EPS = 1e-6


class PooledEncoder(nn.Module):
    """Convolutions with stride 2, then the mean over a mask: any input size gives one vector.

    Nothing outside the mask counts, at any scale (partial convolution without its rescaling, Liu
    et al. 2018, ECCV). The same mask gives the same vector in a crop of any size.

    Args:
        inputs: Input channels.
        channels: Channels of each scale.
        plain: Length of the numbers that enter the last layer beside the pooled features.
        outputs: Length of the vector.
    """

    def __init__(self, inputs: int, channels: Sequence[int], plain: int, outputs: int) -> None:
        super().__init__()
        widths = [inputs, *channels]
        self.convs = nn.ModuleList(
            nn.Conv3d(a, b, 3, stride=2, padding=1) for a, b in pairwise(widths)
        )
        self.head = nn.Linear(widths[-1] + plain, outputs)

    def forward(self, image: Tensor, mask: Tensor, plain: Tensor) -> Tensor:
        """Encode what lies under a mask.

        Args:
            image: Shape (batch, inputs, x, y, z).
            mask: In {0, 1}, shape (batch, 1, x, y, z).
            plain: Shape (batch, plain).

        Returns:
            Shape (batch, outputs).
        """
        features, share = image * mask, mask
        for conv in self.convs:
            features = F.leaky_relu(conv(evened(features)), 0.2)
            share = halve(share)
            features = features * (share > 0)
        pooled = (features * share).sum((2, 3, 4)) / (share.sum((2, 3, 4)) + _EPS)
        code: Tensor = self.head(torch.cat([pooled, plain], 1))
        return code
