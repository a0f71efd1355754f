"""The generator: own 3D SPADE decoder with a context style code and a lesion style code."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.conditions import (
    LABELS,
    LESION,
    SOFT,
    TISSUES,
    near_region,
    paint,
    surviving,
    tissue_averages,
)
from fcdsynth.synthesis.encoders import PooledEncoder
from fcdsynth.synthesis.grain import grain_of, smoothed, waves
from fcdsynth.synthesis.profile import LesionSteps, profile, profile_length
from fcdsynth.synthesis.pyramid import halve
from fcdsynth.synthesis.spade import Embedding, Scale, SpadeBlock, pointwise

_FIRST_GRAIN = 0.05  # of a style that was never trained
_FIRST_SWELL = math.log(math.expm1(0.02))
_EMPTY = -1.0
# The style's guess of a tissue's mean counts as much as this many surviving voxels.
_GUESS_VOX = 4.0
# Means span about 0.6; a code's other numbers start with a spread of that order.
_MEAN_GAIN = 2.0
_UNIT = math.log(math.e - 1)  # softplus of it is 1


class Generator(nn.Module):
    """Redraw a region of a brain from labels, the images around it and two style codes.

    The decoder starts at the coarsest of ``len(channels)`` scales and does upsample, then block,
    so that its last block modulates at full resolution: every voxel's label counts. The
    condition is averaged, not sampled, down to the coarser scales. The lesion style code acts
    inside the lesion alone. The output is a correction of the painted tissue means, a factor
    for noise as strong and as smooth as that of the surroundings, and the strength of a slower
    one: a network that only corrects draws the mean of all images that fit, which is smoother
    than any of them (Karras et al. 2019, CVPR, add noise for the same reason).

    Nothing farther than ``reach_vox`` from the region counts, and the scales share their middle
    with the crop: around one region a crop of any size that holds its surroundings gives the same
    image. A region without surroundings (full mode: the whole brain) takes its grey values from
    the style code.

    Args:
        contrasts: Number of image channels, 2 for T1w and FLAIR.
        channels: Channels of the decoder from the coarsest to the full resolution.
        hidden: Channels of the embedded condition in each block.
        style: Length of the context style code.
        lesion_style: Length of the lesion style code.
        reach_vox: How far around the region the generator looks, voxels.
        checkpointing: Whether to keep each block's input alone and compute the block again on the
            way back: less memory, more time, the same numbers.
        channels_last: Whether to keep the channels of a voxel side by side in memory, which is
            faster on CPUs and on GPUs with tensor cores; the numbers differ by rounding.
        compiled: Whether calls go through ``torch.compile``, which needs a C++ compiler. The
            moving average of a compiled generator is not compiled.
    """

    def __init__(
        self,
        contrasts: int,
        channels: Sequence[int],
        hidden: int,
        style: int,
        lesion_style: int,
        reach_vox: int = 12,
        checkpointing: bool = False,
        channels_last: bool = True,
        compiled: bool = False,
    ) -> None:
        super().__init__()
        channels = tuple(channels)
        self.contrasts = contrasts
        self.style = style
        self.lesion_style = lesion_style
        self.reach_vox = reach_vox
        self.checkpointing = checkpointing
        self.channels_last = channels_last
        condition = LABELS + 2 * contrasts
        encoder = channels[:0:-1] or channels
        averages = TISSUES * (contrasts + 1)
        self.context_encoder = PooledEncoder(TISSUES + contrasts, encoder, averages, style)
        told = profile_length(contrasts)
        self.lesion_encoder = PooledEncoder(contrasts + 2, encoder, told, 2 * lesion_style)
        self.steps = LesionSteps(contrasts, lesion_style)
        self.steps.start_from(self.lesion_encoder.head)
        self.guess = nn.Linear(style, (TISSUES - 1) * contrasts)
        self.grain = nn.Linear(style, contrasts)
        nn.init.constant_(self.grain.bias, math.log(math.expm1(_FIRST_GRAIN)))
        self.start = Embedding(condition, style, lesion_style, channels[0])
        widths = (channels[0], *channels)
        self.blocks = nn.ModuleList(
            SpadeBlock(a, b, condition, style, lesion_style, hidden, doubles=index > 0)
            for index, (a, b) in enumerate(zip(widths, channels, strict=False))
        )
        self.last = nn.Conv3d(channels[-1], 3 * contrasts, 1)
        # A small start keeps the first images near the painted tissue means.
        nn.init.normal_(self.last.weight, std=0.01)
        self.noise_filter = nn.Conv3d(contrasts, contrasts, 3, padding=1, bias=False)
        nn.init.dirac_(self.noise_filter.weight)
        self.wave_filter = nn.Conv3d(contrasts, contrasts, 1, bias=False)
        nn.init.dirac_(self.wave_filter.weight)
        if channels_last:
            self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        if compiled:
            self.compile()

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

    def encode_style(self, image: Tensor, labels: Tensor) -> Tensor:
        """Describe the grey values of a scan, for another one to be drawn in them.

        Args:
            image: A whole scan or a part of one, shape (batch, contrast, x, y, z), in [-1, 1].
            labels: Shape (batch, `LABELS`, x, y, z); a lesion in them is left out, a region is
                looked at like the rest.

        Returns:
            Context style codes, shape (batch, style).
        """
        brain = 1 - labels[:, Tissue.BACKGROUND : Tissue.BACKGROUND + 1]
        return self._style(image, labels, brain * (1 - labels[:, LESION : LESION + 1]))

    @torch.no_grad()
    def start_from_means(self) -> None:
        """Let the first numbers of a style code be the tissue means, and the guess read them.

        A start for full mode, in place: sites differ by little on prepared images, and a network
        has to see many of them before it finds out by itself. Nothing is changed where a code is
        shorter than the means are many.
        """
        count = (TISSUES - 1) * self.contrasts
        if self.style < count:
            return
        head = self.context_encoder.head
        first = head.in_features - TISSUES * (self.contrasts + 1)
        for number in range(count):
            tissue, contrast = divmod(number, self.contrasts)
            place = first + (tissue + 1) * (self.contrasts + 1) + contrast
            head.weight[number] = 0
            head.bias[number] = 0
            head.weight[number, place] = _MEAN_GAIN
            self.guess.weight[number] = 0
            self.guess.bias[number] = 0
            self.guess.weight[number, number] = 1 / _MEAN_GAIN

    def _style(self, image: Tensor, labels: Tensor, where: Tensor) -> Tensor:
        means, counts = tissue_averages(image, labels, where)
        averages = torch.cat([means, (counts > 0).to(means)], 2).flatten(1)
        code: Tensor = self.context_encoder(
            torch.cat([labels[:, :TISSUES], image], 1), where, averages
        )
        return code

    def guessed_means(self, style_code: Tensor) -> Tensor:
        """Tissue means that belong to a style; background is empty.

        Args:
            style_code: Shape (batch, style).

        Returns:
            Shape (batch, tissue, contrast), in [-1, 1].
        """
        guess = torch.tanh(self.guess(style_code).float())
        guess = guess.reshape(-1, TISSUES - 1, self.contrasts)
        return torch.cat([torch.full_like(guess[:, :1], _EMPTY), guess], 1)

    def painted(
        self, context: Tensor, labels: Tensor, near: Tensor, style_code: Tensor, lesion_code: Tensor
    ) -> Tensor:
        """Paint tissue means: those of the surviving surroundings, the style's where none are.

        A weighted mean of both, by voxels: the fewer voxels of a tissue survive, the more the
        style decides. On top come the steps of the lesion.

        Args:
            context: Images with the region blanked, shape (batch, contrast, x, y, z).
            labels: Shape (batch, `LABELS`, x, y, z).
            near: From `conditions.near_region`.
            style_code: Shape (batch, style).
            lesion_code: Shape (batch, lesion_style).

        Returns:
            Shape (batch, contrast, x, y, z), about [-1, 1].
        """
        means, counts = tissue_averages(context, labels, surviving(labels, near))
        guess = self.guessed_means(style_code)
        means = (means * counts + guess * _GUESS_VOX) / (counts + _GUESS_VOX)
        steps: Tensor = self.steps(labels, lesion_code)
        return paint(labels, means) + steps

    def encode_lesion(
        self, image: Tensor, context: Tensor, labels: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Describe how a true lesion looks against the tissues around it.

        Args:
            image: True images, shape (batch, contrast, x, y, z), in [-1, 1].
            context: The same with the region blanked.
            labels: Shape (batch, `LABELS`, x, y, z). Where the region leaves nothing of a tissue
                (full mode), the tissue's mean outside the lesion stands in.

        Returns:
            Mean and log-variance of the lesion style code, each (batch, lesion_style).
        """
        lesion = labels[:, LESION : LESION + 1]
        near = near_region(labels, self.reach_vox)
        means, counts = tissue_averages(context, labels, surviving(labels, near))
        whole, _ = tissue_averages(image, labels, 1 - lesion)
        painted = paint(labels, torch.where(counts > 0, means, whole))
        residual = image - painted
        shown = torch.cat([residual * lesion, labels[:, [LESION, SOFT]]], 1)
        told = profile(residual, labels)
        code_mean, log_variance = self.lesion_encoder(shown, lesion, told).chunk(2, 1)
        return code_mean, log_variance.clamp(-10, 5)

    def _scales(self, condition: Tensor, lesion: Tensor, near: Tensor) -> list[Scale]:
        if self.channels_last:
            condition = condition.contiguous(memory_format=torch.channels_last_3d)
        scales = [Scale(condition, lesion, near)]
        for _ in self.blocks[1:]:
            condition, lesion, near = (halve(volume) for volume in scales[-1])
            scales.append(Scale(condition, lesion, (near > 0).to(near)))
        return scales[::-1]

    def forward(
        self,
        context: Tensor,
        labels: Tensor,
        lesion_code: Tensor,
        noise: Tensor | None = None,
        *,
        style_code: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Draw the images.

        Args:
            context: Images with the region blanked, shape (batch, contrast, x, y, z).
            labels: Shape (batch, `LABELS`, x, y, z), see `conditions.label_channels`.
            lesion_code: Lesion style, shape (batch, lesion_style); zeros for controls.
            noise: From `draw_noise`; none adds no noise.
            style_code: Context style, shape (batch, style), from `encode_style`; that of the
                surroundings when none is given.

        Returns:
            The images without and with noise, each (batch, contrast, x, y, z), in [-1, 1]. What
            lies farther than ``reach_vox`` from the region is of no use.
        """
        near = near_region(labels, self.reach_vox)
        if style_code is None:
            style_code = self._style(context, labels, surviving(labels, near))
        painted = self.painted(context, labels, near, style_code, lesion_code)
        # Detached: the painted means get their gradient from the output they are added to.
        told = torch.cat([labels, context, painted.detach()], 1) * near
        scales = self._scales(told, labels[:, LESION : LESION + 1] * near, near)
        features = self.start(scales[0], style_code, lesion_code)
        for block, scale in zip(self.blocks, scales, strict=True):
            if self.checkpointing and torch.is_grad_enabled():
                features = checkpoint(
                    block, features, scale, style_code, lesion_code, use_reentrant=False
                )
            else:
                features = block(features, scale, style_code, lesion_code)
        correction, amplitude, swell = pointwise(self.last, F.leaky_relu_(features, 0.2)).chunk(
            3, 1
        )
        smooth = torch.atanh(painted.clamp(-0.99, 0.99)) + correction
        if noise is None:
            return torch.tanh(smooth), torch.tanh(smooth)
        guess = F.softplus(self.grain(style_code).float())
        sd, taps = grain_of(guess, context, labels, surviving(labels, near))
        # Before the hyperbolic tangent, whose slope is that of the painted value.
        grain = F.softplus(amplitude + _UNIT) * sd[:, :, None, None, None]
        grain = grain / (1 - painted.detach().clamp(-0.9, 0.9).square())
        rough = smooth + grain * self.noise_filter(smoothed(noise, taps))
        swell = F.softplus(swell + _FIRST_SWELL)
        return torch.tanh(smooth), torch.tanh(rough + swell * self.wave_filter(waves(noise)))
