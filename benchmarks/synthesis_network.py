"""Benchmark of the generator's network: which labels act, crops of three sizes, time and memory.

The opponent is built of MONAI's own SPADE blocks in the order of the paper, block after upsample;
MONAI's ``SPADENet`` as shipped is put beside it where its order is the point. Both sides get the
same patch, channels, precision and threads, in turn, in one process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from figures import Figures, arguments, finish
from monai.networks.nets import SPADENet
from monai.networks.nets.spade_network import SPADENetResBlock
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.conditions import (
    LABELS,
    LESION,
    REGION,
    SOFT,
    blanked,
    label_channels,
    near_region,
)
from fcdsynth.synthesis.networks import Generator

CHANNELS, HIDDEN, STYLE, LESION_STYLE = (256, 128, 64, 32, 16), 32, 64, 8
TOLD = LABELS + 2  # labels and blanked images: what MONAI's blocks are conditioned on
Scene = tuple[Tensor, Tensor]


class Restored(nn.Module):
    """MONAI's SPADE residual blocks as they are, each after its upsampling instead of before."""

    def __init__(self, channels: Sequence[int], hidden: int) -> None:
        super().__init__()
        widths = (channels[0], *channels)
        self.start = nn.Conv3d(TOLD, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            SPADENetResBlock(3, a, b, TOLD, hidden) for a, b in zip(widths, channels, strict=False)
        )
        self.last = nn.Conv3d(channels[-1], 2, 3, padding=1)

    def forward(self, told: Tensor) -> Tensor:
        coarsest = [n >> (len(self.blocks) - 1) for n in told.shape[2:]]
        features = self.start(F.interpolate(told, size=coarsest))
        for index, block in enumerate(self.blocks):
            if index:
                features = F.interpolate(features, scale_factor=2, mode="nearest")
            features = block(features, told)
        return torch.tanh(self.last(F.leaky_relu(features, 0.2)))


def scene(size: int, seed: int, lesion_vox: int, margin_vox: int) -> Scene:
    """Images and labels of a cube of folded tissue with a lesion in its middle."""
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.normal(size=(size,) * 3), 2.0)
    tissue = np.digitize(field, np.quantile(field, (0.2, 0.6)))  # CSF, cortex, white matter
    grey = np.array([[-0.7, -0.1, 0.4], [-0.8, 0.3, 0.1]])
    image = grey[:, tissue] + rng.normal(0, 0.05, (2, *tissue.shape))
    middle = np.abs(np.indices(tissue.shape) - (size - 1) / 2).max(0)
    lesion, region = (
        torch.from_numpy(middle < reach).float()[None]
        for reach in (lesion_vox / 2, lesion_vox / 2 + margin_vox)
    )
    labels = label_channels(torch.from_numpy(tissue)[None] + 1, lesion, lesion * 0.7, region)
    return torch.from_numpy(image).float()[None], labels


def middle(scene_: Scene, size: int) -> Scene:
    """The crop of a size around the middle."""
    first = (scene_[0].shape[2] - size) // 2
    box = slice(first, first + size)
    image, labels = (volume[..., box, box, box] for volume in scene_)
    return image, labels


def lively(channels: Sequence[int], hidden: int, seed: int) -> Generator:
    """An untrained generator whose corrections are as large as a trained one's."""
    torch.manual_seed(seed)
    network = Generator(2, channels, hidden, STYLE, LESION_STYLE)
    nn.init.normal_(network.last.weight, std=0.3)
    return network.eval()


def shipped(channels: Sequence[int], hidden: int, size: int, seed: int) -> SPADENet:
    """MONAI's network as it ships; its weights do not depend on the size.

    Sides have to be divisible by 2 to the number of channels, 32 with the own five: the coarsest
    of more than four are left out.
    """
    channels = channels[-4:]
    torch.manual_seed(seed)
    return SPADENet(
        3, 1, 2, TOLD, [size] * 3, list(channels[::-1]), is_vae=False,
        spade_intermediate_channels=hidden,
    ).eval()  # fmt: skip


def relabelled(labels: Tensor, voxel: Sequence[int], channel: int) -> Tensor:
    """One voxel with another tissue, or with a mask channel switched."""
    x, y, z = voxel
    changed = labels.clone()
    if channel >= LESION:
        changed[0, channel, x, y, z] = 1 - changed[0, channel, x, y, z]
        return changed
    old = int(labels[0, : len(Tissue), x, y, z].argmax())
    changed[0, old, x, y, z] = 0
    changed[0, old % 3 + 1, x, y, z] = 1
    return changed


@torch.no_grad()
def label_voxels_acting(quick: bool) -> tuple[int, int, int]:
    """Voxels whose label acts on the decoder's correction there; on MONAI's image; tried.

    Every parity of the three coordinates is tried equally often, and every kind of label. The
    painted tissue means follow a label by themselves and are taken off.
    """
    channels, size, each = ((8, 8, 6), 16, 1) if quick else (CHANNELS, 48, 12)
    image, labels = scene(size, 0, size // 4, size // 8)
    context, code = blanked(image, labels), torch.ones(1, LESION_STYLE)
    own, monai = lively(channels, HIDDEN, 0), shipped(channels, HIDDEN, size, 0)

    def correction(told: Tensor) -> Tensor:
        near = near_region(told, own.reach_vox)
        style = torch.zeros(1, STYLE)
        painted = own.painted(context, told, near, style, code).clamp(-0.99, 0.99)
        return torch.atanh(own(context, told, code, style_code=style)[0]) - torch.atanh(painted)

    def image_of(told: Tensor) -> Tensor:
        return monai.decode(torch.cat([told, context], 1))

    rng = np.random.default_rng(1)
    inside = np.argwhere(labels[0, REGION].numpy() > 0)
    plain, plain_monai = correction(labels), image_of(labels)
    acting = acting_monai = tried = 0
    for parity in range(8):
        wanted = [parity >> axis & 1 for axis in range(3)]
        voxels = inside[(inside % 2 == wanted).all(1)]
        for index in range(each):
            voxel = voxels[rng.integers(len(voxels))]
            channel = (0, LESION, SOFT)[index % 3]
            changed = relabelled(labels, voxel, channel)
            at = (0, slice(None), *voxel)
            acting += bool((correction(changed) - plain)[at].abs().max() > 1e-5)
            acting_monai += bool((image_of(changed) - plain_monai)[at].abs().max() > 0)
            tried += 1
    return acting, acting_monai, tried


def _contrast(image: Tensor, labels: Tensor) -> Tensor:
    lesion = labels[:, LESION : LESION + 1]
    ring = labels[:, REGION : REGION + 1] - lesion
    inside, around = ((image * m).sum((0, 2, 3, 4)) / m.sum() for m in (lesion, ring))
    return inside - around


@torch.no_grad()
def crop_contrast_spread(quick: bool) -> tuple[list[float], list[float]]:
    """Range of one lesion's contrast over crops of three sizes, as a share of its mean.

    Contrast is the lesion's mean less the ring's, for each of two image channels. Own network
    first, then MONAI's as shipped.
    """
    channels = (8, 8, 6) if quick else CHANNELS
    sizes, lesion_vox, margin_vox = ((24, 32, 48), 4, 2) if quick else ((48, 64, 96), 12, 5)
    own_spread: list[float] = []
    monai_spread: list[float] = []
    for seed in range(2 if quick else 4):
        whole = scene(sizes[-1], seed, lesion_vox, margin_vox)
        own = lively(channels, HIDDEN, seed)
        own.reach_vox = min(own.reach_vox, sizes[0] // 2 - lesion_vox // 2 - margin_vox)
        found: list[list[Tensor]] = [[], []]
        for size in sizes:
            image, labels = middle(whole, size)
            context, code = blanked(image, labels), torch.ones(1, LESION_STYLE)
            found[0].append(_contrast(own(context, labels, code)[0], labels))
            monai = shipped(channels, HIDDEN, size, seed)
            found[1].append(_contrast(monai.decode(torch.cat([labels, context], 1)), labels))
        for spread, contrasts in zip((own_spread, monai_spread), found, strict=True):
            values = torch.stack(contrasts)
            relative = (values.amax(0) - values.amin(0)) / values.mean(0).abs()
            spread += [float(value) for value in relative]
    return own_spread, monai_spread


def steps(
    channels: Sequence[int], hidden: int, hidden_monai: int, size: int, batch: int
) -> tuple[list[nn.Module], list[Callable[[], Tensor]]]:
    """Both networks, and a function each that draws images and returns a loss."""
    torch.manual_seed(0)
    image, labels = (
        volume.repeat(batch, 1, 1, 1, 1) for volume in scene(size, 0, size // 4, size // 8)
    )
    context, code = blanked(image, labels), torch.ones(batch, LESION_STYLE)
    own = Generator(2, channels, hidden, STYLE, LESION_STYLE)
    monai = Restored(channels, hidden_monai)
    noise = own.draw_noise(batch, (size,) * 3)
    told = torch.cat([labels, context], 1)

    def own_loss() -> Tensor:
        smooth, noisy = own(context, labels, code, noise)
        return (smooth - image).abs().mean() + (noisy - image).abs().mean()

    def monai_loss() -> Tensor:
        return (monai(told) - image).abs().mean()

    return [own, monai], [own_loss, monai_loss]


def time_ratio(
    losses: Sequence[Callable[[], Tensor]], repeats: int
) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """Ratio of median times of forward and backward, its 95 % interval, and both medians in s.

    The two take turns, and a turn is resampled as a whole (bootstrap of 2,000).
    """
    for loss in losses:
        loss().backward()
    seconds = np.empty((repeats, 2))
    for turn in range(repeats):
        for index in (0, 1) if turn % 2 == 0 else (1, 0):
            start = time.perf_counter()
            losses[index]().backward()
            seconds[turn, index] = time.perf_counter() - start
    drawn = np.random.default_rng(0).integers(repeats, size=(2000, repeats))
    resampled = np.median(seconds[drawn], 1)
    low, high = np.quantile(resampled[:, 0] / resampled[:, 1], (0.025, 0.975))
    own, monai = np.median(seconds, 0)
    return float(own / monai), (float(low), float(high)), (float(own), float(monai))


def saved_bytes(network: nn.Module, loss: Callable[[], Tensor]) -> int:
    """Bytes of all memory that the forward pass keeps for the way back, weights left out.

    Every storage counts once and whole, however many views of it are kept.
    """
    kept: dict[int, Tensor] = {}
    weights = {p.untyped_storage().data_ptr() for p in network.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        value = loss()
    total = sum(t.untyped_storage().nbytes() for at, t in kept.items() if at not in weights)
    del value
    return total


def measure(figures: Figures, quick: bool, threads: int = 2) -> None:
    """Add all figures of the network."""
    torch.set_num_threads(threads)
    acting, acting_monai, tried = label_voxels_acting(quick)
    figures.add_share("label_voxels_acting", acting, tried, at_least=1.0)
    figures.add_share("label_voxels_acting_monai", acting_monai, tried)
    own, monai = crop_contrast_spread(quick)
    figures.add_values("crop_contrast_spread", own, "max", at_most=0.02)
    figures.add_values("crop_contrast_spread_monai", monai)
    channels, size, batch, repeats = ((16, 8, 8), 16, 1, 3) if quick else (CHANNELS, 64, 1, 15)
    networks, losses = steps(channels, HIDDEN, HIDDEN, size, batch)
    saved = [saved_bytes(n, loss) for n, loss in zip(networks, losses, strict=True)]
    ratio, interval, seconds = time_ratio(losses, repeats)
    figures.add("step_time_ratio", ratio, repeats, interval, at_most=0.7)
    ratio = saved[0] / saved[1]
    figures.add("saved_memory_ratio", ratio, 1, (ratio, ratio), at_most=0.6)
    figures.notes.append(
        f"forward and backward, {batch} x {size}^3, channels {channels}, hidden {HIDDEN}, float32, "
        f"{threads} threads: {seconds[0]:.3f} s and {saved[0] / 2**20:.0f} MiB, MONAI's blocks "
        f"{seconds[1]:.3f} s and {saved[1] / 2**20:.0f} MiB"
    )
    _, losses = steps(channels, HIDDEN, 128, size, batch)
    few = max(3, repeats // 2)
    ratio, interval, seconds = time_ratio(losses, few)
    figures.add("default_step_time_ratio", ratio, few, interval, at_most=0.3)
    figures.notes.append(
        f"each at its own default hidden width, {HIDDEN} and 128: {seconds[0]:.3f} s and "
        f"{seconds[1]:.3f} s"
    )


def main() -> None:
    args = arguments(__doc__.splitlines()[0])
    figures = Figures("synthesis_network", args.quick)
    measure(figures, args.quick, min(args.workers, os.cpu_count() or 1))
    finish(figures, args.out)


if __name__ == "__main__":
    main()
