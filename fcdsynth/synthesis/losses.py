"""The losses of the synthesis stage, one function each; images in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from fcdsynth.core.tissue import CEREBRAL
from fcdsynth.synthesis.conditions import LESION, REGION, masked_moments, near_region
from fcdsynth.synthesis.profile import PARTS, lesion_parts, part_means
from fcdsynth.synthesis.pyramid import neighbours

Judgement = Sequence[Sequence[Tensor]]
# Differences of a lesion's numbers below this, 0.1 robust SD of the brain, count as squares: their
# mean is to be right, and L1 leads to the median.
_ROUND = 0.02


def _masked_mean(values: Tensor, weight: Tensor) -> Tensor:
    values, weight = values.float(), weight.expand_as(values).float()
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)


def touching_mean(values: Tensor, region: Tensor) -> Tensor:
    """Mean over those cells of a coarser map that touch the region.

    Away from the region real and fake are one image: those cells can teach nothing.

    Args:
        values: Shape (batch, channel, x, y, z).
        region: In {0, 1}, shape (batch, 1, X, Y, Z), the same field of view.
    """
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
        touching_mean(F.relu(1 - r[-1]) + F.relu(1 + f[-1]), region)
        for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(terms).mean()


def hinge_generator(fake: Judgement, region: Tensor) -> Tensor:
    """Hinge loss of the generator, minus the mean score: its gradient never vanishes."""
    return -torch.stack([touching_mean(f[-1], region) for f in fake]).mean()


def feature_matching(real: Judgement, fake: Judgement, region: Tensor) -> Tensor:
    """Mean L1 over the discriminators' features without the scores (Wang et al. 2018, CVPR)."""
    terms = [
        touching_mean((b - a.detach()).abs(), region)
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


def outside_l1(fake: Tensor, real: Tensor, region: Tensor, near: Tensor) -> Tensor:
    """L1 around the region; these voxels are never used, they teach the decoder the host.

    Args:
        fake: Shape (batch, contrast, x, y, z).
        real: Same shape.
        region: In {0, 1}, shape (batch, 1, x, y, z).
        near: The region and its surroundings as far as the generator looks, same shape.
    """
    return _masked_mean((fake - real).abs(), near * (1 - region))


def kl_divergence(mean: Tensor, log_variance: Tensor, present: Tensor) -> Tensor:
    """KL from N(mean, variance) to N(0, 1), summed over the code, averaged over lesions.

    Args:
        mean: Shape (batch, code).
        log_variance: Same shape.
        present: Whether the patch holds a lesion, in {0, 1}, shape (batch,).
    """
    each = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1)
    return (each * present).sum() / present.sum().clamp_min(1)


def lesion_contrast(fake: Tensor, real: Tensor, labels: Tensor) -> Tensor:
    """Difference of fake and true contrast, part by part, averaged over lesions.

    Contrast is the mean of what lies above the tissue's mean in the rest of the region. It is
    compared in the lesion's cortex and white matter, in its outermost layer and the rest, and in
    the layer beside it: a lesion too bright in cortex and too dark in white matter has the right
    contrast as a whole. Each part counts by its size over the lesion's, at most once.

    Args:
        fake: Shape (batch, contrast, x, y, z).
        real: Same shape.
        labels: Shape (batch, `conditions.LABELS`, x, y, z).
    """
    lesion, region = labels[:, LESION : LESION + 1], labels[:, REGION : REGION + 1]
    tissues, parts = labels[:, list(CEREBRAL)], lesion_parts(labels)
    shown = torch.cat([parts, tissues * region * (1 - lesion)], 1)
    counts = parts.sum((2, 3, 4))[..., None]
    sizes = _with_deep(counts)
    # Voxels of each tissue in each part: with them, means of residuals come from plain means.
    mix = part_means(tissues, parts) * counts
    means = []
    for image in (fake, real):
        found = part_means(image, shown)
        own, around = found[:, : len(PARTS)], found[:, len(PARTS) :]
        total = own * mix.sum(2, keepdim=True) - torch.bmm(mix, around)
        means.append(_with_deep(total) / sizes.clamp_min(1))
    share = sizes[..., 0] / lesion.sum((2, 3, 4)).clamp_min(1)
    total = (_missed(*means).mean(2) * share.clamp_max(1)).sum(1)
    return _over_lesions(total, lesion)


def _with_deep(sums: Tensor) -> Tensor:
    # Shape (batch, part, ...): what is inside but not in the outermost layer comes last.
    cortex, white, edge = (sums[:, PARTS.index(name)] for name in ("cortex", "white", "edge"))
    return torch.cat([sums, (cortex + white - edge)[:, None]], 1)


def lesion_spread(fake: Tensor, real: Tensor, lesion: Tensor, rings: Sequence[Tensor]) -> Tensor:
    """Difference of fake and true standard deviation in the lesion, tissue by tissue.

    L1 alone draws what lesions have in common: too even. The images are averaged over 3 x 3 x 3
    neighbours of the same tissue of the lesion first, so that grain cannot make up for the rest.
    The sum of the contrasts counts as a contrast: how they vary together.

    Args:
        fake: The image with noise, shape (batch, contrast, x, y, z).
        real: The true image.
        lesion: In {0, 1}, shape (batch, 1, x, y, z).
        rings: For each tissue its voxels in the region, same shape.
    """
    fake, real = _with_sum(fake), _with_sum(real)
    total = fake.new_zeros(len(fake))
    for ring in rings:
        inside = lesion * ring
        sds = [masked_moments(_evened(image, inside), inside)[1] for image in (fake, real)]
        total = total + _missed(*sds).mean(1) * _share(inside, lesion)
    return _over_lesions(total, lesion)


def _missed(first: Tensor, second: Tensor) -> Tensor:
    return F.smooth_l1_loss(first, second, reduction="none", beta=_ROUND)


def _evened(image: Tensor, mask: Tensor) -> Tensor:
    return _box_sum(image * mask) / _box_sum(mask).clamp_min(1)


def _box_sum(volume: Tensor) -> Tensor:
    # Sums of slices: pooling would keep its input for the way back.
    for axis in (2, 3, 4):
        before, same, after = neighbours(volume, axis)
        volume = before + same + after
    return volume


def _with_sum(image: Tensor) -> Tensor:
    if image.shape[1] == 1:
        return image
    return torch.cat([image, image.sum(1, keepdim=True) / image.shape[1] ** 0.5], 1)


def _share(part: Tensor, whole: Tensor) -> Tensor:
    return part.sum((1, 2, 3, 4)) / whole.sum((1, 2, 3, 4)).clamp_min(1)


def _over_lesions(values: Tensor, lesion: Tensor) -> Tensor:
    present = (lesion.sum((1, 2, 3, 4)) > 0).float()
    return (values * present).sum() / present.sum().clamp_min(1)


def region_same(
    drawn: Tensor, healthy: Tensor, lesion: Tensor, region: Tensor, reach_vox: int
) -> Tensor:
    """L1 between drawings with and without the lesion label, away from the lesion.

    The first half of the region loss; the idea is that of MAISI-v2 (Zhao et al. 2025,
    arXiv 2508.05772): a label must not change what lies outside it. Only redrawn voxels count, the
    others stay the host's.

    Args:
        drawn: With the lesion label, shape (batch, contrast, x, y, z).
        healthy: Without it, from the same noise.
        lesion: In {0, 1}, shape (batch, 1, x, y, z).
        region: Redrawn voxels in {0, 1}, same shape.
        reach_vox: A lesion may act on this many layers of voxels around it.
    """
    side = 2 * reach_vox + 1
    neighbourhood = F.max_pool3d(lesion, side, stride=1, padding=reach_vox)
    return _masked_mean((drawn - healthy).abs(), region * (1 - neighbourhood))


def region_different(drawn: Tensor, healthy: Tensor, lesion: Tensor, margin: float) -> Tensor:
    """How far each lesion stays below a least change by its label, averaged over the batch.

    The second half of the region loss: a lesion label on unchanged tissue would teach a detector
    noise. The change is the mean over the lesion's voxels and the contrasts, so that one contrast
    may show nothing; it is taken without noise, which cannot make up for it.

    Args:
        drawn: With the lesion label, without noise, shape (batch, contrast, x, y, z).
        healthy: Without it.
        lesion: In {0, 1}, shape (batch, 1, x, y, z).
        margin: The least change, on the scale of the images.
    """
    voxels = lesion.sum((1, 2, 3, 4))
    change = ((drawn - healthy).abs().mean(1, keepdim=True) * lesion).sum((1, 2, 3, 4))
    missing = F.relu(margin - change / voxels.clamp_min(1)) * (voxels > 0)
    return missing.sum() / (voxels > 0).sum().clamp_min(1)


def _roughness(image: Tensor, region: Tensor) -> Tensor:
    fine = image - F.avg_pool3d(image, 3, stride=1, padding=1, count_include_pad=False)
    total = (fine.abs() * region).sum((2, 3, 4))
    return total / region.sum((2, 3, 4)).clamp_min(1e-6)


def texture(fake: Tensor, real: Tensor, region: Tensor) -> Tensor:
    """Difference of roughness in the region, at full and at half resolution.

    Roughness is the mean absolute difference of a voxel from its 3 x 3 x 3 neighbourhood. L1
    alone draws the region too smooth, and two scales tell fine grain from coarse; the sum of the
    contrasts counts as a contrast, for grain that they share. Shapes as in `inside_l1`.
    """
    fake, real = _with_sum(fake), _with_sum(real)
    pooled = [F.avg_pool3d(volume, 2) for volume in (fake, real, region)]
    return torch.stack(
        [
            (_roughness(f, m) - _roughness(r, m)).abs().mean()
            for f, r, m in ((fake, real, region), tuple(pooled))
        ]
    ).mean()


def reconstruction(
    smooth: Tensor, fake: Tensor, target: Tensor, labels: Tensor, boost: float, reach_vox: int,
    surroundings: bool = True,
) -> dict[str, Tensor]:  # fmt: skip
    """The losses against the true images, by name.

    Noise cannot be guessed voxel by voxel, so L1 looks at the image without it and texture at
    the image with it.

    Args:
        smooth: The image without noise, shape (batch, contrast, x, y, z).
        fake: The image with noise.
        target: The true image.
        labels: Shape (batch, `conditions.LABELS`, x, y, z).
        boost: See `inside_l1`.
        reach_vox: How far around the region the generator looks.
        surroundings: Whether there is a host around the region; in full mode there is none, and
            the loss outside is 0.
    """
    region, lesion = labels[:, REGION : REGION + 1], labels[:, LESION : LESION + 1]
    rings = [region * labels[:, t : t + 1] for t in CEREBRAL]
    outside = smooth.new_zeros(())
    if surroundings:
        outside = outside_l1(smooth, target, region, near_region(labels, reach_vox))
    return {
        "inside": inside_l1(smooth, target, region, lesion, boost),
        "outside": outside,
        # The lesion is a small part of its region: on its own, or its grain is left to chance.
        "texture": texture(fake, target, region) + texture(fake, target, lesion),
        "contrast": lesion_contrast(smooth, target, labels),
        "spread": lesion_spread(fake, target, lesion, rings),
    }
