"""What a training step will take, worked out before the first one without computing it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytorch_lightning as pl
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from fcdsynth.core.errors import SettingsError
from fcdsynth.synthesis import losses
from fcdsynth.synthesis.conditions import LABELS
from fcdsynth.synthesis.discriminator import TwoScaleDiscriminator
from fcdsynth.synthesis.networks import Generator
from fcdsynth.synthesis.objective import adversarial_terms, discriminator_loss, draw
from fcdsynth.synthesis.refusals import least_crop
from fcdsynth.training.memory import Ledger, Need, free_on

_GIB = 2.0**30


def estimate(
    generator: Generator,
    discriminator: TwoScaleDiscriminator,
    batch_size: int,
    crop: int,
    adversarial: bool,
    region: bool,
    half: bool,
) -> Need:
    """Run a step's forward passes on tensors that have shapes but no values.

    Args:
        generator: The generator, on the device where the step will run; it is left as it is.
        discriminator: The discriminators.
        batch_size: Patches per batch.
        crop: Side of a patch, voxels.
        adversarial: Whether the discriminators are used.
        region: Whether lesional patches are drawn once more, without their lesions.
        half: Whether the step will run under bfloat16 autocast.
    """
    device = next(generator.parameters()).device
    ours = [*generator.parameters(), *discriminator.parameters()]
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    # A compiled network would be compiled for shapes that it may never see.
    eager: AbstractContextManager[Any] = nullcontext()
    if generator._compiled_call_impl is not None:
        eager = torch.compiler.set_stance("force_eager")
    with eager, mode, torch.device(device):
        images = torch.zeros(2, batch_size, generator.contrasts, crop, crop, crop)
        labels = torch.zeros(batch_size, LABELS, crop, crop, crop)
        ledger = Ledger([*map(mode.from_tensor, ours), images, labels])
        with (
            saved_tensors_hooks(ledger.note, lambda tensor: tensor),
            torch.autocast(device.type, torch.bfloat16, enabled=half),
        ):
            conditions = (images[0], labels, images[1])
            drawing = draw(generator, conditions, torch.ones(batch_size), 1)
            kept: list[Any] = [drawing]
            drawn = ledger.bytes
            if adversarial:
                # Its graph is freed before the generator's own judgement is made.
                kept.append(discriminator_loss(discriminator, drawing))
                judged, ledger.bytes = ledger.bytes, drawn
                kept.append(adversarial_terms(discriminator, drawing))
                ledger.bytes = max(ledger.bytes, judged - drawn * region)
            ledger.bytes += drawn * region
            kept.append(
                losses.reconstruction(
                    drawing.smooth, drawing.fake, images[0], labels, 1.0, generator.reach_vox
                )
            )
    weights = sum(p.nbytes for p in ours)
    average = sum(p.nbytes for p in generator.parameters())
    return Need(
        (4 * weights + average) / _GIB,
        (ledger.bytes + images.nbytes + labels.nbytes) / _GIB,
        # Casts of bfloat16 back to single precision take twice its bytes.
        (6 if half else 3) * ledger.largest / _GIB,
    )


def require_room(
    trainer: pl.Trainer,
    generator: Generator,
    discriminator: TwoScaleDiscriminator,
    settings: Any,
    batch_size: int,
    crop: int,
) -> str:
    """Refuse a step that does not fit on its device, naming the setting that mends it.

    Args:
        trainer: Of the fit that is to begin.
        generator: The generator, on its device.
        discriminator: The discriminators.
        settings: Those of `SynthesisTask`.
        batch_size: Patches per batch.
        crop: Side of a patch, voxels.

    Returns:
        A sentence for the user.

    Raises:
        SettingsError: If the step needs more than is free.
    """
    half = str(trainer.precision).startswith("bf16")
    losses_on = (settings.adversarial > 0, settings.region > 0)

    def need(patches: int, side: int) -> float:
        return estimate(generator, discriminator, patches, side, *losses_on, half).total

    device = trainer.strategy.root_device
    free = free_on(device, trainer.num_devices)
    if free is None:
        return "How much memory is free is not known here."
    # Every process must come to the same end, or the others would wait for it.
    free = float(trainer.strategy.reduce(torch.tensor(free, device=device), reduce_op="min"))
    asked = need(batch_size, crop)
    if asked <= free:
        return f"A training step takes about {asked:.2f} GiB of {free:.1f} GiB free."
    remedy = ("Lower model.channels, model.hidden or model.discriminator_channels, or use a larger "
              "machine.")  # fmt: skip
    key = "model.channels"
    smaller = [(b, crop) for b in range(batch_size - 1, 0, -1)]
    smaller += [(1, side) for side in range((crop - 1) // 8 * 8, least_crop(settings) - 1, -8)]
    for less, side in smaller:
        if need(less, side) <= free:
            key = f"data.crop {crop}" if side < crop else f"data.batch_size {batch_size}"
            lower = [("data.batch_size", less, batch_size), ("data.crop", side, crop)]
            parts = [f"{name} to {low}" for name, low, now in lower if low < now]
            remedy = f"Lower {' and '.join(parts)}."
            break
    raise SettingsError(
        key, f"about {asked:.1f} GiB for a training step",
        f"at most the {free:.1f} GiB that are free on {device}",
        f"{remedy} Lighter as well: model.checkpointing true, trainer.precision bf16-mixed.",
    )  # fmt: skip
