"""SPADE residual block in three dimensions, with a normalisation that sees one voxel only."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from fcdsynth.synthesis.pyramid import double

_SLOPE = 0.2
_EPS = 1e-6


class Scale(NamedTuple):
    """What the generator is told at one resolution.

    Args:
        condition: Shape (batch, condition, x, y, z), zero outside the support.
        lesion: Share of lesion, shape (batch, 1, x, y, z).
        support: Voxels the generator may look at, in {0, 1}, same shape.
    """

    condition: Tensor
    lesion: Tensor
    support: Tensor


def voxel_norm(features: Tensor) -> Tensor:
    """Divide every voxel's feature vector by its root mean square over channels.

    Pixelwise feature normalisation (Karras et al. 2018, ICLR). No statistic of the crop enters, so
    training crops and whole volumes are normalised alike.

    Args:
        features: Shape (batch, channel, x, y, z).
    """
    return features * _inverse_length(features)


def _inverse_length(features: Tensor) -> Tensor:
    exact = features.to(torch.promote_types(features.dtype, torch.float32))
    return torch.rsqrt(exact.square().mean(1, keepdim=True) + _EPS).to(features.dtype)


def _channels_last(volume: Tensor) -> bool:
    return volume.is_contiguous(memory_format=torch.channels_last_3d)


def _product(weight: Tensor, volume: Tensor) -> Tensor:
    # A 1 x 1 x 1 convolution without a copy in either memory format.
    if _channels_last(volume):
        return F.linear(volume.movedim(1, -1), weight).movedim(-1, 1)
    flat = torch.matmul(weight, volume.flatten(2))
    return flat.reshape(*flat.shape[:2], *volume.shape[2:])


def pointwise(conv: nn.Conv3d, volume: Tensor) -> Tensor:
    """Apply a 1 x 1 x 1 convolution as one matrix product, on CPUs several times faster.

    Args:
        conv: Its weight, and its bias where it has one.
        volume: Shape (batch, channel, x, y, z).
    """
    shown = _product(conv.weight.flatten(1), volume)
    return shown if conv.bias is None else shown + conv.bias.to(shown)[:, None, None, None]


def _outer(first: Tensor, second: Tensor) -> Tensor:
    # Sum over batch and voxels of first x second, shape (channels of first, channels of second).
    if _channels_last(first) and _channels_last(second):
        rows, columns = (v.movedim(1, -1).flatten(0, 3) for v in (first, second))
        return rows.T @ columns
    return torch.bmm(first.flatten(2), second.flatten(2).transpose(1, 2)).sum(0)


def _modulated(
    features: Tensor, embedded: Tensor, weight: Tensor, support: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    inverse = _inverse_length(features) * support
    normed = features * inverse
    half = len(weight) // 2
    gamma, beta = _product(weight[:half], embedded), _product(weight[half:], embedded)
    return torch.addcmul(beta, normed, gamma).add_(normed), normed, gamma, inverse


class _Modulate(torch.autograd.Function):
    """Norm, scale, shift and leaky rectifier in one, computed again on the way back.

    Saved are the features and the embedded condition that all layers of a resolution share; plain
    autograd would keep the normed features, gamma, beta and two activations more.
    """

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, embedded: Tensor, weight: Tensor, support: Tensor
    ) -> Tensor:
        ctx.save_for_backward(features, embedded, weight, support)
        shown = _modulated(features, embedded, weight, support)[0]
        return F.leaky_relu_(shown, _SLOPE)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # type: ignore[override]
        features, embedded, weight, support = ctx.saved_tensors
        shown, normed, gamma, inverse = _modulated(features, embedded, weight, support)
        shift = torch.where(shown > 0, gradient, gradient * _SLOPE)
        both = torch.cat([shift * normed, shift], 1)
        to_embedded = _product(weight.T, both)
        to_weight = _outer(both, embedded)
        to_normed = torch.addcmul(shift, shift, gamma)
        along = (to_normed * normed).mean(1, keepdim=True)
        to_features = torch.addcmul(to_normed, normed, along, value=-1).mul_(inverse)
        return to_features, to_embedded, to_weight, None


class Spade(nn.Module):
    """Spatially adaptive scale and shift (Park et al. 2019, CVPR, equation 1), then a rectifier.

    One bare 1 x 1 x 1 convolution makes gamma and beta together: the neighbourhood is seen by the
    convolution that embeds the condition, and a second 3 x 3 x 3 would take most of the time. It
    has no bias, so that nothing comes out where the embedded condition is zero.

    Args:
        channels: Channels of the features.
        hidden: Channels of the embedded condition.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.gamma_beta = nn.Conv3d(hidden, 2 * channels, 1, bias=False)

    def forward(self, features: Tensor, embedded: Tensor, support: Tensor) -> Tensor:
        """Modulate features.

        Args:
            features: Shape (batch, channels, x, y, z).
            embedded: Shape (batch, hidden, x, y, z).
            support: In {0, 1}, shape (batch, 1, x, y, z); the result is zero where it is zero and
                the embedded condition is too.
        """
        kind = features.dtype
        weight = self.gamma_beta.weight.flatten(1).to(kind)
        shown: Tensor = _Modulate.apply(  # type: ignore[no-untyped-call]
            features, embedded.to(kind), weight, support.to(kind)
        )
        return shown


class Embedding(nn.Module):
    """The condition of one resolution with both style codes in it.

    Style codes do not change from voxel to voxel and are not convolved: the context style shifts
    all voxels, the lesion style those of the lesion.

    Args:
        condition: Channels of the condition.
        style: Length of the context style code.
        lesion_style: Length of the lesion style code.
        outputs: Channels that go out.
    """

    def __init__(self, condition: int, style: int, lesion_style: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(condition, outputs, 3, padding=1, bias=False)
        self.from_style = nn.Linear(style, outputs)
        self.from_lesion = nn.Linear(lesion_style, outputs, bias=False)

    def forward(self, scale: Scale, style: Tensor, lesion_code: Tensor) -> Tensor:
        """Embed; shape (batch, outputs, x, y, z), zero outside the support."""
        embedded: Tensor = self.conv(scale.condition)
        kind = embedded.dtype
        shift, lesion_shift = (
            code.to(kind)[:, :, None, None, None]
            for code in (self.from_style(style), self.from_lesion(lesion_code))
        )
        # In place: only the rectified result is kept for the way back.
        embedded = embedded.add_(shift).addcmul_(scale.lesion.to(kind), lesion_shift)
        return F.leaky_relu_(embedded.mul_(scale.support.to(kind)), _SLOPE)


class SpadeBlock(nn.Module):
    """Narrow, double, then a residual block whose two convolutions share one embedded condition.

    The channels are narrowed before the doubling: a 1 x 1 x 1 convolution and a repetition of
    voxels can change places, and the fine side has eight times the voxels.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        condition: Channels of the condition.
        style: Length of the context style code.
        lesion_style: Length of the lesion style code.
        hidden: Channels of the embedded condition.
        doubles: Whether features come in from the scale that is one coarser.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        condition: int,
        style: int,
        lesion_style: int,
        hidden: int,
        doubles: bool = False,
    ) -> None:
        super().__init__()
        self.doubles = doubles
        self.narrow = nn.Conv3d(inputs, outputs, 1, bias=False) if inputs != outputs else None
        self.embed = Embedding(condition, style, lesion_style, hidden)
        self.first = Spade(outputs, hidden)
        self.first_conv = nn.Conv3d(outputs, outputs, 3, padding=1)
        self.second = Spade(outputs, hidden)
        self.second_conv = nn.Conv3d(outputs, outputs, 3, padding=1)

    def forward(self, features: Tensor, scale: Scale, style: Tensor, lesion_code: Tensor) -> Tensor:
        """Transform features to the resolution of a scale.

        Args:
            features: Shape (batch, inputs, x, y, z).
            scale: The condition.
            style: Shape (batch, style).
            lesion_code: Shape (batch, lesion_style).

        Returns:
            Shape (batch, outputs, x, y, z).
        """
        if self.narrow is not None:
            features = pointwise(self.narrow, features)
        if self.doubles:
            features = double(features, scale.condition.shape[2:])
        embedded = self.embed(scale, style, lesion_code)
        inner: Tensor = self.first_conv(self.first(features, embedded, scale.support))
        inner = self.second_conv(self.second(inner, embedded, scale.support))
        return features + inner
