"""The generator: own 3D SPADE decoder with a context style code and a lesion style code."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fcdsynth.synthesis.conditions import LABELS, LESION, REGION, SOFT, tissue_means
from fcdsynth.synthesis.spade import SpadeBlock

_EPS = 1e-3
_LEAST_GRAIN = 1e-3
Size = tuple[int, int, int]


def _averaged(image: Tensor, size: Sequence[int]) -> Tensor:
    """Average down to a size; the image itself when it has that size."""
    x, y, z = size
    return image if image.shape[2:] == (x, y, z) else F.adaptive_avg_pool3d(image, (x, y, z))


class PooledEncoder(nn.Module):
    """Convolutions with stride 2, then the mean over a mask: any input size gives one vector.

    Args:
        inputs: Input channels.
        channels: Channels of each level.
        outputs: Length of the vector.
    """

    def __init__(self, inputs: int, channels: Sequence[int], outputs: int) -> None:
        super().__init__()
        widths = [inputs, *channels]
        self.convs = nn.ModuleList(
            nn.Conv3d(a, b, 3, stride=1 if level == 0 else 2, padding=1)
            for level, (a, b) in enumerate(pairwise(widths))
        )
        self.head = nn.Linear(widths[-1], outputs)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Encode (batch, inputs, x, y, z) under a mask (batch, 1, x, y, z) to (batch, outputs)."""
        for conv in self.convs:
            image = F.leaky_relu(conv(image), 0.2)
        share = _averaged(mask, image.shape[2:])
        pooled = (image * share).sum((2, 3, 4)) / (share.sum((2, 3, 4)) + _EPS)
        code: Tensor = self.head(pooled)
        return code


class Generator(nn.Module):
    """Redraw a region of a brain from labels, the images around it and two style codes.

    The decoder starts at the coarsest of ``len(channels)`` scales and does upsample, then block,
    so that its last block modulates at full resolution: every voxel's label counts. The
    condition is averaged, not sampled, down to the coarser scales. The lesion style code enters
    as channels that are zero outside the lesion. The output is a correction of the painted tissue
    means, and an amplitude of filtered noise: a network that only corrects draws the mean of all
    images that fit, which is smoother than any of them (Karras et al. 2019, CVPR, add noise for
    the same reason).

    Args:
        contrasts: Number of image channels, 2 for T1w and FLAIR.
        channels: Channels of the decoder from the coarsest to the full resolution.
        hidden: Channels of the embedded condition in each block.
        style: Length of the context style code.
        lesion_style: Length of the lesion style code.
    """

    def __init__(
        self, contrasts: int, channels: Sequence[int], hidden: int, style: int, lesion_style: int
    ) -> None:
        super().__init__()
        channels = tuple(channels)
        self.contrasts = contrasts
        self.lesion_style = lesion_style
        condition = LABELS + 2 * contrasts + lesion_style
        encoder = channels[:0:-1] or channels
        self.context_encoder = PooledEncoder(LABELS + contrasts, encoder, style)
        self.lesion_encoder = PooledEncoder(contrasts + 2, encoder, 2 * lesion_style)
        self.start = nn.Conv3d(condition, channels[0], 3, padding=1)
        widths = (channels[0], *channels)
        self.blocks = nn.ModuleList(
            SpadeBlock(a, b, condition, style, hidden)
            for a, b in zip(widths, channels, strict=False)
        )
        self.last = nn.Conv3d(channels[-1], 2 * contrasts, 3, padding=1)
        # A small start keeps the first images near the painted tissue means.
        nn.init.normal_(self.last.weight, std=0.01)
        self.noise_filter = nn.Conv3d(contrasts, contrasts, 3, padding=1, bias=False)
        nn.init.dirac_(self.noise_filter.weight)

    def _sizes(self, size: Sequence[int]) -> list[tuple[int, ...]]:
        sizes = [tuple(size)]
        for _ in range(len(self.blocks) - 1):
            sizes.append(tuple(-(-n // 2) for n in sizes[-1]))
        return sizes[::-1]

    def draw_noise(
        self, batch: int, size: Sequence[int], generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw standard normal noise on the CPU, shape (batch, contrast, x, y, z).

        Args:
            batch: Number of images.
            size: Sizes of the image.
            generator: CPU generator; torch's own when none is given.
        """
        return torch.randn(batch, self.contrasts, *size, generator=generator)

    def encode_lesion(
        self, image: Tensor, context: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Describe how a true lesion looks against the painted tissue means.

        Args:
            image: True images, shape (batch, contrast, x, y, z), in [-1, 1].
            context: The same with the region blanked.
            labels: Shape (batch, `LABELS`, x, y, z).

        Returns:
            Mean and log-variance of the lesion style code, each (batch, lesion_style).
        """
        lesion = labels[:, LESION : LESION + 1]
        contrast = (image - tissue_means(context, labels)) * lesion
        shape = labels[:, [LESION, SOFT]]
        mean, log_variance = self.lesion_encoder(torch.cat([contrast, shape], 1), lesion).chunk(
            2, 1
        )
        return mean, log_variance.clamp(-10, 5)

    def forward(
        self,
        context: Tensor,
        labels: Tensor,
        lesion_code: Tensor,
        noise: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw the images.

        Args:
            context: Images with the region blanked, shape (batch, contrast, x, y, z).
            labels: Shape (batch, `LABELS`, x, y, z), see `conditions.label_channels`.
            lesion_code: Lesion style, shape (batch, lesion_style); zeros for controls.
            noise: From `draw_noise`; none adds no noise.

        Returns:
            The images without and with noise, each (batch, contrast, x, y, z), in [-1, 1].
        """
        painted = tissue_means(context, labels)
        outside = 1 - labels[:, REGION : REGION + 1]
        inside_brain = 1 - labels[:, :1]
        style = self.context_encoder(torch.cat([labels, context], 1), outside * inside_brain)
        code = lesion_code[:, :, None, None, None] * labels[:, LESION : LESION + 1]
        condition = torch.cat([labels, context, painted, code], 1)
        sizes = self._sizes(context.shape[2:])
        features = self.start(_averaged(condition, sizes[0]))
        for block, size in zip(self.blocks, sizes, strict=True):
            if features.shape[2:] != torch.Size(size):
                features = F.interpolate(features, size, mode="nearest")
            features = block(features, _averaged(condition, size), style)
        correction, amplitude = self.last(F.leaky_relu(features, 0.2)).chunk(2, 1)
        smooth = torch.atanh(painted.clamp(-0.99, 0.99)) + correction
        if noise is None:
            return torch.tanh(smooth), torch.tanh(smooth)
        grain = _LEAST_GRAIN + F.softplus(amplitude - 4)
        return torch.tanh(smooth), torch.tanh(smooth + grain * self.noise_filter(noise))
