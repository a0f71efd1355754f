"""One batch as the generator draws it, and the losses that need a network to be computed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from fcdsynth.synthesis import losses
from fcdsynth.synthesis.conditions import (
    LESION,
    REGION,
    SOFT,
    Batch,
    conditions,
    joined,
    whole_brain,
)
from fcdsynth.synthesis.discriminator import TwoScaleDiscriminator, halves
from fcdsynth.synthesis.networks import Generator
from fcdsynth.synthesis.scans import has_style, style_code


@dataclass(frozen=True, eq=False)
class Drawing:
    """What went into one forward pass of the generator and what came out; images in [-1, 1].

    Args:
        target: True images, shape (batch, contrast, x, y, z).
        labels: Shape (batch, `conditions.LABELS`, x, y, z).
        context: The true images with the region blanked.
        present: Whether a patch holds a lesion, in {0, 1}, shape (batch,).
        mean: Mean of the lesion style code, shape (batch, code).
        log_variance: Its log-variance.
        noise: The noise that was drawn, shape of the target.
        smooth: Images without noise.
        fake: Images with noise.
        whole: ``fake`` in the region and ``target`` around it, joined over the seam.
        style: Context style code, shape (batch, style), in full mode; None in insert mode.
    """

    target: Tensor
    labels: Tensor
    context: Tensor
    present: Tensor
    mean: Tensor
    log_variance: Tensor
    noise: Tensor
    smooth: Tensor
    fake: Tensor
    whole: Tensor
    style: Tensor | None = None

    @property
    def region(self) -> Tensor:
        """The redrawn voxels in {0, 1}, shape (batch, 1, x, y, z)."""
        return self.labels[:, REGION : REGION + 1]


def draw(
    generator: Generator,
    conditions: tuple[Tensor, Tensor, Tensor],
    present: Tensor,
    feather_vox: int,
    source: torch.Generator | None = None,
    spread: bool = True,
    style: Tensor | None = None,
) -> Drawing:
    """Draw a batch with each lesion's own style code.

    Args:
        generator: The generator.
        conditions: Target, labels and context, see `conditions.conditions`.
        present: Whether a patch holds a lesion, shape (batch,); the others' code is zero.
        feather_vox: Width of the seam.
        source: CPU generator of the noise; torch's own when none is given.
        spread: Sample the code around its mean (training), or take the mean.
        style: Context style code in full mode, shape (batch, style).
    """
    target, labels, context = conditions
    mean, log_variance = (part.float() for part in
                          generator.encode_lesion(target, context, labels))  # fmt: skip
    code = mean
    if spread:
        code = mean + torch.randn(mean.shape).to(mean) * (0.5 * log_variance).exp()
    noise = generator.draw_noise(len(target), target.shape[2:], source).to(target)
    smooth, fake = generator(context, labels, code * present[:, None], noise, style_code=style)
    smooth, fake = smooth.float(), fake.float()
    whole = joined(fake, target, labels, feather_vox)
    return Drawing(target, labels, context, present, mean, log_variance, noise, smooth, fake,
                   whole, style)  # fmt: skip


def draw_whole(
    generator: Generator,
    batch: Batch,
    source: torch.Generator | None = None,
    spread: bool = True,
) -> Drawing:
    """Draw the whole brain of every patch, in the style of its scan; arguments as in `draw`.

    There is no seam: what borders on the brain is empty.

    Args:
        generator: The generator.
        batch: Patches with the thinned heads of their subjects.
        source: CPU generator of the noise.
        spread: Sample the lesion style code, or take its mean.
    """
    style = style_code(generator, batch)
    present = batch["lesional"].float()
    return draw(generator, conditions(whole_brain(batch)), present, 0, source, spread, style)


def draw_batch(generator: Generator, batch: Batch, feather_vox: int) -> Drawing:
    """Draw a training batch: whole brains where the thinned heads came along, else regions.

    Args:
        generator: The generator.
        batch: Patches of one mode.
        feather_vox: Width of the seam in insert mode.
    """
    if has_style(batch):
        return draw_whole(generator, batch)
    return draw(generator, conditions(batch), batch["lesional"].float(), feather_vox)


def reconstruction_terms(generator: Generator, drawing: Drawing, boost: float) -> dict[str, Tensor]:
    """The losses against the true images, by name; see `losses.reconstruction`."""
    return losses.reconstruction(
        drawing.smooth, drawing.fake, drawing.target, drawing.labels, boost, generator.reach_vox,
        surroundings=drawing.style is None,
    )  # fmt: skip


def discriminator_loss(discriminator: TwoScaleDiscriminator, drawing: Drawing) -> Tensor:
    """Hinge loss of the discriminators; real and drawn images go through them in one batch."""
    images = torch.cat([drawing.target, drawing.whole.detach()])
    real, fake = halves(discriminator(images, drawing.labels.repeat(2, *[1] * 4)))
    return losses.hinge_discriminator(real, fake, drawing.region)


def adversarial_terms(discriminator: TwoScaleDiscriminator, drawing: Drawing) -> dict[str, Tensor]:
    """Hinge loss of the generator and feature matching, by name."""
    with torch.no_grad():
        real = discriminator(drawing.target, drawing.labels)
    scored = discriminator(drawing.whole, drawing.labels)
    return {
        "adversarial": losses.hinge_generator(scored, drawing.region),
        "matching": losses.feature_matching(real, scored, drawing.region),
    }


def region_terms(
    generator: Generator, drawing: Drawing, margin: float, reach_vox: int
) -> dict[str, Tensor]:
    """Draw the lesional patches again without their lesion, and compare.

    Both drawings take the gradient. Held fixed, the one without a lesion would still move with
    the weights that they share, and what both have in common would learn instead of the label.

    Args:
        generator: The generator.
        drawing: The batch as drawn with its lesions.
        margin: See `losses.region_different`.
        reach_vox: Width of the lesion's neighbourhood, see `losses.region_same`.

    Returns:
        The two losses by name; none when no patch of the batch holds a lesion.
    """
    chosen = drawing.present > 0
    if not bool(chosen.any()):
        return {}
    labels = drawing.labels[chosen]
    bare = labels.clone()
    bare[:, [LESION, SOFT]] = 0
    none = torch.zeros_like(drawing.mean[chosen])
    style = None if drawing.style is None else drawing.style[chosen]
    smooth, fake = generator(
        drawing.context[chosen], bare, none, drawing.noise[chosen], style_code=style
    )
    lesion = labels[:, LESION : LESION + 1]
    region = labels[:, REGION : REGION + 1]
    return {
        "region_same": losses.region_same(
            drawing.fake[chosen], fake.float(), lesion, region, reach_vox
        ),
        "region_different": losses.region_different(
            drawing.smooth[chosen], smooth.float(), lesion, margin
        ),
    }
