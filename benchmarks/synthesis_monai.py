"""MONAI's SPADENet in place of the own decoder: same task, same losses, same data, same tests.

It is told the labels, the blanked images and, inside the lesion, the lesion style code as plain
channels, since as shipped it knows no such code. Everything else of the network is as it ships.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch
from monai.networks.nets import SPADENet
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Subject
from fcdsynth.synthesis.attempt import Attempt, attempts
from fcdsynth.synthesis.conditions import LABELS, LESION
from fcdsynth.synthesis.contrasts import rng_for
from fcdsynth.synthesis.drawn import load_drawn
from fcdsynth.synthesis.honesty import Checks, Judge
from fcdsynth.synthesis.networks import Generator
from fcdsynth.synthesis.styles import Styles
from fcdsynth.synthesis.task import SynthesisTask

_SURROUNDINGS_VOX = 4  # of a region when it draws: its crops are then about those of training


class ShippedGenerator(Generator):
    """The own lesion encoder, and MONAI's decoder as shipped.

    Args:
        contrasts: Number of image channels.
        channels: Channels from the coarsest scale to the full resolution.
        hidden: Intermediate channels of MONAI's SPADE blocks.
        style: Not used; there is no context style code.
        lesion_style: Length of the lesion style code.
        size: Side of the training crops, divisible by 2 to the number of channels.
    """

    def __init__(
        self, contrasts: int, channels: Sequence[int], hidden: int, style: int, lesion_style: int,
        size: int,
    ) -> None:  # fmt: skip
        super().__init__(contrasts, channels, hidden, style, lesion_style, channels_last=False)
        # Only their number is read: it says what the sides of a crop are multiples of.
        self.blocks = nn.ModuleList(nn.Identity() for _ in range(len(channels) + 1))
        for unused in (
            "context_encoder",
            "guess",
            "steps",
            "start",
            "last",
            "noise_filter",
            "wave_filter",
        ):
            setattr(self, unused, nn.Identity())
        self.shipped = SPADENet(
            3, 1, contrasts, LABELS + contrasts + lesion_style, [size] * 3, list(channels)[::-1],
            is_vae=False, spade_intermediate_channels=hidden,
        )  # fmt: skip

    def forward(
        self,
        context: Tensor,
        labels: Tensor,
        lesion_code: Tensor,
        noise: Tensor | None = None,
        *,
        style_code: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The image twice: MONAI's network adds no noise."""
        lesion = labels[:, LESION : LESION + 1]
        told = torch.cat([labels, context, lesion_code[:, :, None, None, None] * lesion], 1)
        decoder = self.shipped.decoder
        decoder.latent_spatial_shape = [n >> len(decoder.num_channels[:-1]) for n in told.shape[2:]]
        image = decoder(told)
        return image, image


class ShippedTask(SynthesisTask):
    """`SynthesisTask` with `ShippedGenerator`."""

    def build_networks(self) -> None:
        super().build_networks()
        h = self.hparams
        self.generator = ShippedGenerator(
            2, h.channels, h.hidden, h.style, h.lesion_style, 1 << (len(h.channels) + 1)
        )
        self.average = AveragedModel(self.generator, avg_fn=self._averaged)
        self.average.requires_grad_(False)


def drawn_by(
    task: SynthesisTask, known: Styles, cohort: Cohort, subject: Subject, seed: int
) -> Attempt | None:
    """A drawn subject as ``fcdsynth synthesize`` would make it with another network.

    Args:
        task: In evaluation mode.
        known: Styles of its run.
        cohort: Written by ``draw``.
        subject: One of it.
        seed: Seed of styles and noise.

    Returns:
        The first draw that passes the tests; None when none of five does.
    """
    checks = Checks()
    judge = Judge.of(("t1w", "flair"), checks, [x.contrasts for x in known.lesions], known.healthy)
    multiple = 2 ** (len(task.drawer.blocks) - 1)
    drawn = load_drawn(cohort, subject, known, _SURROUNDINGS_VOX, multiple)
    made = attempts(task, drawn, known, judge, "training", rng_for(seed, subject.id))
    return next((one for one in islice(made, checks.tries) if not one.faults), None)
