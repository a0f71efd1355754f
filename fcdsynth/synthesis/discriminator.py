"""Two patch discriminators, the second on a pooled input."""

from __future__ import annotations

import torch
from monai.networks.nets import PatchDiscriminator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

Judgement = list[list[Tensor]]


class TwoScaleDiscriminator(nn.Module):
    """MONAI's patch discriminator at full and at half resolution, spectrally normalised.

    Pooling the input, not adding layers, makes the second scale (Wang et al. 2018, CVPR).

    Args:
        inputs: Channels of labels and contrasts together.
        channels: Channels of the first layer.
        layers: Layers with stride 2.
    """

    def __init__(self, inputs: int, channels: int, layers: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList()
        for _ in range(2):
            scale = PatchDiscriminator(
                spatial_dims=3,
                channels=channels,
                in_channels=inputs,
                num_layers_d=layers,
                norm="INSTANCE",
            )
            for module in scale.modules():
                if isinstance(module, nn.Conv3d):
                    # From MONAI's small start a step of Adam is a tenth of the weight.
                    nn.init.kaiming_normal_(module.weight, 0.2)
                    spectral_norm(module)
            self.scales.append(scale)

    @staticmethod
    def smallest_crop(layers: int) -> int:
        """Smallest crop side that leaves both scales more than one voxel to normalise over."""
        return 8 << layers

    def forward(self, image: Tensor, labels: Tensor) -> Judgement:
        """Judge images under their labels.

        Args:
            image: Shape (batch, contrast, x, y, z).
            labels: Shape (batch, label, x, y, z).

        Returns:
            For each scale, the features of all layers; the last one holds the patch scores.
        """
        both = torch.cat([image, labels], 1)
        return [self.scales[0](both), self.scales[1](F.avg_pool3d(both, 2))]


def halves(judged: Judgement) -> tuple[Judgement, Judgement]:
    """Split the judgement of a batch of real and then fake images."""
    pairs = [[layer.chunk(2) for layer in scale] for scale in judged]
    return [[a for a, _ in s] for s in pairs], [[b for _, b in s] for s in pairs]
