"""What the generator is told: label channels, blanked context, and the seam that joins the two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fcdsynth.core.tissue import Tissue

TISSUES = len(Tissue)
LESION, SOFT, REGION = TISSUES, TISSUES + 1, TISSUES + 2
LABELS = TISSUES + 3
BLANK = 0.0
Batch = Mapping[str, Any]


def to_network(prepared: Tensor) -> Tensor:
    """Prepared intensities in [0, 1] to the network's [-1, 1]."""
    return prepared * 2 - 1


def to_prepared(image: Tensor) -> Tensor:
    """The network's [-1, 1] to prepared intensities in [0, 1]."""
    return (image + 1) / 2


def label_channels(tissue: Tensor, lesion: Tensor, soft: Tensor, region: Tensor) -> Tensor:
    """Stack the label channels.

    Args:
        tissue: Integer labels of `fcdsynth.core.tissue.Tissue`, shape (batch, x, y, z).
        lesion: Lesion mask in {0, 1}, same shape.
        soft: Soft lesion map in [0, 1], same shape.
        region: Voxels to be redrawn in {0, 1}, same shape.

    Returns:
        Float channels, shape (batch, `LABELS`, x, y, z): one-hot tissues, lesion, soft, region.
    """
    one_hot = F.one_hot(tissue.long(), TISSUES).movedim(-1, 1).float()
    extra = torch.stack([lesion.float(), soft.float(), region.float()], 1)
    return torch.cat([one_hot, extra], 1)


def blanked(image: Tensor, labels: Tensor) -> Tensor:
    """Set the region to `BLANK` in an image of shape (batch, contrast, x, y, z) in [-1, 1]."""
    region = labels[:, REGION : REGION + 1]
    return image * (1 - region) + BLANK * region


def conditions(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Target in [-1, 1], label channels, and the target with the region blanked."""
    target = to_network(batch["target"].float())
    labels = label_channels(batch["tissue"], batch["lesion"], batch["soft"], batch["region"])
    return target, labels, blanked(target, labels)


def whole_brain(batch: Batch) -> Batch:
    """A batch with the whole brain as the region: full mode."""
    return {**batch, "region": (batch["tissue"] != Tissue.BACKGROUND).float()}


def _softened(channels: Tensor) -> Tensor:
    # Hard labels hide partial volume: (1, 4, 1) / 6 along each axis gives a border two thirds
    # of its own tissue. The crop's border repeats itself.
    for axis in (2, 3, 4):
        last = channels.shape[axis] - 1
        before = torch.cat([channels.narrow(axis, 0, 1), channels.narrow(axis, 0, last)], axis)
        after = torch.cat([channels.narrow(axis, 1, last), channels.narrow(axis, last, 1)], axis)
        channels = (before + 4 * channels + after) / 6
    return channels


def near_region(labels: Tensor, reach_vox: int) -> Tensor:
    """The region and every voxel within a cube around one of its voxels.

    What the generator looks at ends here, so that a larger crop tells it nothing more.

    Args:
        labels: Shape (batch, `LABELS`, x, y, z).
        reach_vox: Half the cube's side, the middle voxel not counted.

    Returns:
        In {0, 1}, shape (batch, 1, x, y, z).
    """
    reached = labels[:, REGION : REGION + 1]
    for axis in range(3):
        reached = grown_along(reached, axis, reach_vox)
    return reached


def grown_along(mask: Tensor, axis: int, reach_vox: int) -> Tensor:
    """A mask of shape (batch, 1, x, y, z) and what lies no farther from it along one of x, y, z."""
    kernel, padding = [1, 1, 1], [0, 0, 0]
    kernel[axis], padding[axis] = 2 * reach_vox + 1, reach_vox
    return F.max_pool3d(mask, kernel, stride=1, padding=padding)


def surviving(labels: Tensor, near: Tensor) -> Tensor:
    """Brain near the region that is not redrawn, in {0, 1}, shape (batch, 1, x, y, z)."""
    brain = 1 - labels[:, Tissue.BACKGROUND : Tissue.BACKGROUND + 1]
    return near * (1 - labels[:, REGION : REGION + 1]) * brain


def tissue_averages(image: Tensor, labels: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """Mean of every tissue under a mask.

    Args:
        image: Shape (batch, contrast, x, y, z).
        labels: Shape (batch, `LABELS`, x, y, z).
        where: In {0, 1}, shape (batch, 1, x, y, z).

    Returns:
        Means, shape (batch, `TISSUES`, contrast), 0 for a tissue that is not there; and the
        numbers of voxels, shape (batch, `TISSUES`, 1).
    """
    # Under autocast a product in bf16 would round the means to three digits.
    with torch.autocast(image.device.type, enabled=False):
        seen = (labels[:, :TISSUES] * where).flatten(2).float()
        counts = seen.sum(2)[..., None]
        means = torch.bmm(seen, image.flatten(2).transpose(1, 2).float()) / counts.clamp_min(1)
    return means, counts


def masked_moments(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation under a mask; about 0 where it is empty.

    Args:
        image: Shape (batch, contrast, x, y, z).
        mask: In {0, 1}, shape (batch, 1, x, y, z).

    Returns:
        Each of shape (batch, contrast).
    """
    size = mask.sum((2, 3, 4)).clamp_min(1)
    mean = (image * mask).sum((2, 3, 4)) / size
    apart = (image - mean[:, :, None, None, None]).square() * mask
    return mean, (apart.sum((2, 3, 4)) / size + 1e-6).sqrt()


def paint(labels: Tensor, means: Tensor) -> Tensor:
    """Paint every voxel with the mean of its tissue, borders softened.

    The plainest style code per tissue (the idea of region-wise style, Zhu et al. 2020, CVPR): a
    first guess of the redrawn region in this subject's own grey values.

    Args:
        labels: Shape (batch, `LABELS`, x, y, z).
        means: Shape (batch, `TISSUES`, contrast).

    Returns:
        Shape (batch, contrast, x, y, z).
    """
    with torch.autocast(labels.device.type, enabled=False):
        flat = torch.bmm(means.transpose(1, 2).float(), labels[:, :TISSUES].flatten(2).float())
    # Softening the two painted channels is softening the seven tissues, in less time.
    return _softened(flat.reshape(*flat.shape[:2], *labels.shape[2:]))


def seam_weight(labels: Tensor, feather_vox: int) -> Tensor:
    """Weight of the redrawn image: 0 outside the region, 1 deep inside, rising in between.

    Only where the region borders on brain that stays is there a seam: at the brain's own border
    nothing is joined, and a lesion there keeps all of its contrast.

    Args:
        labels: Shape (batch, `LABELS`, x, y, z).
        feather_vox: Number of voxel layers over which the weight rises to 1.
    """
    region = labels[:, REGION : REGION + 1]
    background = labels[:, Tissue.BACKGROUND : Tissue.BACKGROUND + 1]
    weight = torch.zeros_like(region)
    layer = torch.maximum(region, background)
    for _ in range(feather_vox + 1):
        weight = weight + layer * region
        # One layer off: what touches the host goes; the crop's own border does not count.
        layer = 1 - F.max_pool3d(1 - layer, 3, stride=1, padding=1)
    return weight / (feather_vox + 1)


def joined(image: Tensor, original: Tensor, labels: Tensor, feather_vox: int) -> Tensor:
    """Redrawn image inside the region, the original outside, joined over a feathered seam."""
    return original + seam_weight(labels, feather_vox) * (image - original)
