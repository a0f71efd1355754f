"""The losses of the synthesis stage, one function each; images in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.conditions import LESION, REGION

Judgement = Sequence[Sequence[Tensor]]


def _masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    weight = weight.expand_as(values)
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)


def _touching_mean(values: Tensor, region: Tensor) -> Tensor:
    # Away from the region real and fake are one image: those patches can teach nothing.
    x, y, z = values.shape[2:]
    return _masked_mean(values, F.adaptive_max_pool3d(region, (x, y, z)))


def hinge_discriminator(real: Judgement, fake: Judgement, region: Tensor) -> Tensor:
    """Hinge loss of the discriminators (Lim and Ye 2017), averaged over scales.

    Args:
        real: Features per scale, the patch scores last.
        fake: The same for the redrawn images.
        region: Redrawn voxels in {0, 1}, shape (batch, 1, x, y, z); only patches that touch it
            count.
    """
    terms = [
        _touching_mean(F.relu(1 - r[-1]) + F.relu(1 + f[-1]), region)
        for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(terms).mean()


def hinge_generator(fake: Judgement, region: Tensor) -> Tensor:
    """Hinge loss of the generator, minus the mean score: its gradient never vanishes."""
    return -torch.stack([_touching_mean(f[-1], region) for f in fake]).mean()


def feature_matching(real: Judgement, fake: Judgement, region: Tensor) -> Tensor:
    """Mean L1 over the discriminators' features without the scores (Wang et al. 2018, CVPR)."""
    terms = [
        _touching_mean((b - a.detach()).abs(), region)
        for r, f in zip(real, fake, strict=True)
        for a, b in zip(r[:-1], f[:-1], strict=True)
    ]
    return torch.stack(terms).mean()


def inside_l1(fake: Tensor, real: Tensor, region: Tensor, lesion: Tensor, boost: float) -> Tensor:
    """Weighted L1 in the region.

    Args:
        fake: Shape (batch, contrast, x, y, z).
        real: Same shape.
        region: In {0, 1}, shape (batch, 1, x, y, z).
        lesion: In {0, 1}, same shape.
        boost: A lesion voxel counts this much more than another voxel of the region.
    """
    return _masked_mean((fake - real).abs(), region * (1 + boost * lesion))


def outside_l1(fake: Tensor, real: Tensor, region: Tensor) -> Tensor:
    """L1 outside the region; these voxels are never used, they teach the decoder the host."""
    return _masked_mean((fake - real).abs(), 1 - region)


def kl_divergence(mean: Tensor, log_variance: Tensor, present: Tensor) -> Tensor:
    """KL from N(mean, variance) to N(0, 1), summed over the code, averaged over lesions.

    Args:
        mean: Shape (batch, code).
        log_variance: Same shape.
        present: Whether the patch holds a lesion, in {0, 1}, shape (batch,).
    """
    each = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    return (each * present).sum() / present.sum().clamp_min(1)


def contrast_against(image: Tensor, lesion: Tensor, ring: Tensor) -> Tensor:
    """Lesion mean minus ring mean, per image and contrast, shape (batch, contrast)."""

    def mean(mask: Tensor) -> Tensor:
        total = (image * mask).sum((2, 3, 4))
        return total / mask.sum((2, 3, 4)).clamp_min(1)

    return mean(lesion) - mean(ring)


def lesion_contrast(fake: Tensor, real: Tensor, lesion: Tensor, ring: Tensor) -> Tensor:
    """Difference of fake and true contrast, averaged over patches with a lesion and a ring.

    Args:
        fake: Shape (batch, contrast, x, y, z).
        real: Same shape.
        lesion: In {0, 1}, shape (batch, 1, x, y, z).
        ring: Cortex and white matter of the region around the lesion, same shape.
    """
    difference = contrast_against(fake, lesion, ring) - contrast_against(real, lesion, ring)
    usable = ((lesion.sum((1, 2, 3, 4)) > 0) & (ring.sum((1, 2, 3, 4)) > 0)).float()
    return (difference.abs().mean(1) * usable).sum() / usable.sum().clamp_min(1)


def _roughness(image: Tensor, region: Tensor) -> Tensor:
    fine = image - F.avg_pool3d(image, 3, stride=1, padding=1, count_include_pad=False)
    total = (fine.abs() * region).sum((2, 3, 4))
    return total / region.sum((2, 3, 4)).clamp_min(1e-6)


def texture(fake: Tensor, real: Tensor, region: Tensor) -> Tensor:
    """Difference of roughness in the region, at full and at half resolution.

    Roughness is the mean absolute difference of a voxel from its 3 x 3 x 3 neighbourhood. L1
    alone draws the region too smooth, and two scales tell fine grain from coarse.
    Shapes as in `inside_l1`.
    """
    pooled = [F.avg_pool3d(volume, 2) for volume in (fake, real, region)]
    return torch.stack(
        [
            (_roughness(f, m) - _roughness(r, m)).abs().mean()
            for f, r, m in ((fake, real, region), tuple(pooled))
        ]
    ).mean()


def reconstruction(
    smooth: Tensor, fake: Tensor, target: Tensor, labels: Tensor, boost: float
) -> dict[str, Tensor]:
    """The losses against the true images, by name.

    Noise cannot be guessed voxel by voxel, so L1 looks at the image without it and texture at
    the image with it.
    """
    region, lesion = labels[:, REGION : REGION + 1], labels[:, LESION : LESION + 1]
    tissue = labels[:, [Tissue.CORTEX, Tissue.WHITE_MATTER]].sum(1, keepdim=True)
    ring = region * (1 - lesion) * tissue
    return {
        "inside": inside_l1(smooth, target, region, lesion, boost),
        "outside": outside_l1(smooth, target, region),
        # The lesion is a small part of its region: on its own, or its grain is left to chance.
        "texture": texture(fake, target, region) + texture(fake, target, lesion),
        "contrast": lesion_contrast(smooth, target, lesion, ring),
    }
