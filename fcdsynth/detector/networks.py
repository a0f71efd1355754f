"""The detector's network: a residual-encoder U-Net with deep supervision."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fcdsynth.core.errors import SettingsError

NORMS = ("instance", "batch")
_SLOPE = 0.01
_PRIOR = -4.6  # log odds of 1 in 100


def _activate(volume: Tensor) -> Tensor:
    return F.leaky_relu(volume, _SLOPE, inplace=True)


def _norm(kind: str, features: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm3d(features)
    return nn.InstanceNorm3d(features, affine=True)


def _convolution(channels: int, features: int, norm: str, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(channels, features, 3, stride, 1, bias=False), _norm(norm, features)
    )


def _head(features: int, channels: int) -> nn.Conv3d:
    """Logits that begin at a lesion's share of the brain: no steps are spent to get there.

    The bias of Lin et al. (2017). Without it the overlap loss first pushes every probability
    down, and its gradient has faded before it is the lesions' turn.
    """
    head = nn.Conv3d(features, channels, 1)
    nn.init.constant_(head.bias, _PRIOR)  # type: ignore[arg-type]
    return head


class ResidualBlock(nn.Module):
    """Two convolutions and a short cut (He et al. 2016), its stride in an average pool beside it.

    Args:
        channels: Features that come in.
        features: Features that go out.
        stride: 1, or 2 to halve the resolution.
        norm: ``instance`` or ``batch``.
    """

    def __init__(self, channels: int, features: int, stride: int, norm: str) -> None:
        super().__init__()
        self.first = _convolution(channels, features, norm, stride)
        self.second = _convolution(features, features, norm)
        cut: list[nn.Module] = [nn.AvgPool3d(stride)] if stride > 1 else []
        if channels != features:
            cut += [nn.Conv3d(channels, features, 1, bias=False), _norm(norm, features)]
        self.cut = nn.Sequential(*cut)

    def forward(self, volume: Tensor) -> Tensor:
        """(batch, channels, x, y, z) to (batch, features, x / stride, ...)."""
        inner = self.second(_activate(self.first(volume)))
        return _activate(inner + self.cut(volume))


class ResidualUNet(nn.Module):
    """Residual blocks on the way down, one convolution a level on the way up.

    With ``fold`` 2 the input's 2 x 2 x 2 neighbours are folded into channels (pixel shuffle, Shi
    et al. 2016) and the logits unfolded again: nothing is lost of the input, and no convolution
    runs at full resolution, where a U-Net spends most of its time.

    Args:
        channels: Input channels.
        widths: Features of each level, finest first.
        blocks: Residual blocks of each level; 0 at the finest leaves its stem alone there.
        supervised: Levels that give logits in training.
        fold: 1, or 2 to start at half the resolution.
        norm: ``instance`` or ``batch``. An instance is a patch: its norm takes away how bright
            the patch is and how much it varies. In large patches that is the scanner's doing, in
            small ones the lesion's, and what is left of a patch without one is noise, amplified.
    """

    def __init__(
        self, channels: int, widths: Sequence[int], blocks: Sequence[int], supervised: int,
        fold: int = 1, norm: str = "instance",
    ) -> None:  # fmt: skip
        super().__init__()
        self.fold = fold
        self.channels = channels
        self.stem = _convolution(channels * fold**3, widths[0], norm)
        self.down = nn.ModuleList()
        before = widths[0]
        for level, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            strides = [2 if level and not n else 1 for n in range(count)]
            sizes = [before, *[width] * count]
            self.down.append(nn.Sequential(*(
                ResidualBlock(low, high, stride, norm)
                for (low, high), stride in zip(pairwise(sizes), strides, strict=True)
            )))  # fmt: skip
            before = width
        self.up, self.join, self.heads = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for level, (width, deeper) in enumerate(pairwise(widths)):
            self.up.append(nn.ConvTranspose3d(deeper, width, 2, 2, bias=False))
            self.join.append(_convolution(2 * width, width, norm))
            if level < supervised:
                self.heads.append(_head(width, fold**3))

    @property
    def factor(self) -> int:
        """Sizes of the input must be multiples of this."""
        return int(self.fold * 2 ** (len(self.down) - 1))

    def features(self, image: Tensor) -> list[Tensor]:
        """Features of each level after the way up, finest first; the last is the bottleneck.

        Args:
            image: (batch, channels, x, y, z), sizes multiples of `factor`.
        """
        if self.fold > 1:
            image = folded(image, self.fold)
        volume = _activate(self.stem(image))
        kept = []
        for level in self.down:
            volume = level(volume)
            kept.append(volume)
        made = [kept.pop()]
        for up, join, skip in zip(
            reversed(self.up), reversed(self.join), reversed(kept), strict=True
        ):
            made.append(_activate(join(torch.cat([up(made[-1]), skip], 1))))
        return made[::-1]

    def logits(self, features: Sequence[Tensor], level: int = 0) -> Tensor:
        """Logits from a level's features, (batch, 1, x, y, z); at level 0 in full resolution."""
        found: Tensor = self.heads[level](features[level])
        return unfolded(found, self.fold) if self.fold > 1 else found

    def forward(self, image: Tensor) -> Any:
        """Logits (batch, 1, x, y, z); in training of every supervised level, finest first."""
        features = self.features(image)
        if not self.training:
            return self.logits(features)
        return [self.logits(features, level) for level in range(len(self.heads))]


def folded(image: Tensor, fold: int) -> Tensor:
    """Neighbours of each block as channels: (b, c, x, y, z) to (b, c fold^3, x / fold, ...)."""
    b, c, x, y, z = image.shape
    parts = image.reshape(b, c, x // fold, fold, y // fold, fold, z // fold, fold)
    return parts.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(
        b, c * fold**3, x // fold, y // fold, z // fold
    )


def unfolded(image: Tensor, fold: int) -> Tensor:
    """The reverse of `folded`."""
    b, c, x, y, z = image.shape
    parts = image.reshape(b, c // fold**3, fold, fold, fold, x, y, z)
    return parts.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(
        b, c // fold**3, x * fold, y * fold, z * fold
    )


def make_network(
    channels: int, widths: Sequence[int], blocks: Sequence[int], supervised: int, fold: int = 1,
    norm: str = "instance",
) -> ResidualUNet:  # fmt: skip
    """Make the network, or say which of its settings cannot be.

    Raises:
        SettingsError: If the numbers do not make a network.
    """
    if len(widths) < 2 or min(widths) < 4:
        raise SettingsError("model.widths", str(list(widths)),
                            "features of two or more levels, each from 4 up",
                            "Change the setting.")  # fmt: skip
    if len(blocks) != len(widths) or min(blocks[1:]) < 1 or blocks[0] < 0:
        raise SettingsError(
            "model.blocks", str(list(blocks)),
            f"{len(widths)} numbers from 1 up (the first from 0 up), one for each of model.widths",
            "Change the setting.",
        )  # fmt: skip
    if not 1 <= supervised < len(widths):
        raise SettingsError("model.supervised", str(supervised), f"1 to {len(widths) - 1}",
                            "Supervise fewer levels than the network has.")  # fmt: skip
    if fold not in (1, 2):
        raise SettingsError("model.fold", str(fold), "1 or 2", "Change the setting.")
    if norm not in NORMS:
        raise SettingsError("model.norm", norm, ", ".join(NORMS), "Choose one of them.")
    return ResidualUNet(channels, widths, blocks, supervised, fold, norm)
