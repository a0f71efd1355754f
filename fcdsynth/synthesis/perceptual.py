"""The optional perceptual loss: features of a network that is already on this machine."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fcdsynth.core.errors import SettingsError
from fcdsynth.synthesis.deepbet import DEEPBET, FOLDER, network_file
from fcdsynth.synthesis.losses import touching_mean

_KEY = "model.perceptual_network"
_DEEPBET_NETWORK = "model.pt"
# Its stages of stride 4, 4 and 8; the next two are too coarse for a lesion.
_DEEPBET_STAGES = ("init", "down0", "down1")
_SLICES = 8  # per patch, for a network that looks at slices


def deepbet_file() -> Path:
    """Where the installed deepbet package keeps its network; the package is not imported.

    Raises:
        SettingsError: If it is not installed, or its file is elsewhere.
    """
    path = network_file(_DEEPBET_NETWORK)
    if path is None:
        raise SettingsError(
            _KEY, f"{DEEPBET}, which has no {FOLDER}/{_DEEPBET_NETWORK} here",
            "an installed deepbet 1.0",
            "Install deepbet, name a TorchScript file, or set model.perceptual to 0.",
        )  # fmt: skip
    return path


def _load(path: Path) -> Any:
    if not path.is_file():
        raise SettingsError(
            _KEY, str(path), f"{DEEPBET} or a TorchScript file that is there",
            "Correct the path, or set model.perceptual to 0; nothing is ever downloaded.",
        )  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit has no successor yet
            network = torch.jit.load(str(path), "cpu")  # type: ignore[no-untyped-call]
    except RuntimeError as error:
        raise SettingsError(_KEY, f"{path}, which is no TorchScript file", "one",
                            "Save the network with torch.jit.save.") from error  # fmt: skip
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network


class PerceptualLoss:
    """Distance of two images in the features of a fixed network.

    Features are divided by the real image's mean magnitude, layer by layer, so that no layer
    outweighs the others; only those cells count that the redrawn region touches. Each contrast is
    shown by itself. The network is no part of the task's weights and of its checkpoints.

    The file's first convolution tells what it wants to see: volumes or slices, and how many
    channels, over which the one contrast is repeated. It returns one tensor, or several as a list
    or tuple, each (batch, channel, ...). deepbet (Fisch et al., Comput Biol Med 2024) was trained
    on T1w heads; its features of FLAIR are untried.

    Args:
        network: ``deepbet``, or the path of a TorchScript file.
        contrasts: Which channels of the images are shown to it.

    Raises:
        SettingsError: If there is no such file, or it is not a network of images.
    """

    def __init__(self, network: str, contrasts: tuple[int, ...]) -> None:
        self._is_deepbet = network == DEEPBET
        self._network = _load(deepbet_file() if self._is_deepbet else Path(network))
        self._contrasts = contrasts
        first = next((p for p in self._network.parameters() if p.ndim in (4, 5)), None)
        if first is None:
            raise SettingsError(_KEY, f"{network}, without a convolution of slices or volumes",
                                "a network of images", "Name another file.")  # fmt: skip
        self._volumes = first.ndim == 5
        self._channels = int(first.shape[1])

    def to(self, device: torch.device) -> PerceptualLoss:
        """Move the network."""
        self._network.to(device)
        return self

    def _shown(self, image: Tensor) -> Tensor:
        """One contrast, (batch, 1, x, y, z) in [-1, 1], as the network wants it, in [0, 1]."""
        image = (image + 1) / 2
        if not self._volumes:
            depth = image.shape[4]
            step = max(depth // _SLICES, 1)
            image = image[..., step // 2 :: step]
            image = image.movedim(4, 1).flatten(0, 1)
        return image.expand(-1, self._channels, *image.shape[2:])

    def _features(self, shown: Tensor) -> list[Tensor]:
        if not self._is_deepbet:
            found = self._network(shown)
            return [found] if isinstance(found, Tensor) else list(found)
        # Traced, it shares one activation, which its stages want handed over.
        activation, layers = getattr(self._network.conv, "2"), []
        for name in _DEEPBET_STAGES:
            shown = getattr(self._network, name).forward(activation, shown)
            layers.append(shown)
        return layers

    def __call__(self, fake: Tensor, real: Tensor, region: Tensor) -> Tensor:
        """The loss, averaged over layers and contrasts.

        Args:
            fake: Shape (batch, contrast, x, y, z), in [-1, 1].
            real: Same shape.
            region: Redrawn voxels in {0, 1}, shape (batch, 1, x, y, z).
        """
        terms = []
        with torch.autocast(fake.device.type, enabled=False):
            for contrast in self._contrasts:
                one = slice(contrast, contrast + 1)
                with torch.no_grad():
                    wanted = self._features(self._shown(real[:, one].float()))
                found = self._features(self._shown(fake[:, one].float()))
                for a, b in zip(found, wanted, strict=True):
                    difference = (a - b).abs() / b.abs().mean().clamp_min(1e-6)
                    terms.append(self._in_region(difference, region))
        return torch.stack(terms).mean()

    def _in_region(self, difference: Tensor, region: Tensor) -> Tensor:
        if difference.ndim == 5:
            return touching_mean(difference, region)
        if difference.ndim == 4:
            slices = self._shown(region * 2 - 1)[:, :1]
            x, y = difference.shape[2:]
            touched = F.adaptive_max_pool2d(slices, (x, y)).expand_as(difference)
            return (difference * touched).sum() / touched.sum().clamp_min(1e-6)
        return difference.mean()
