"""Settings of a fit that contradict each other or the machine, refused before the first step."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch.nn.parallel import DistributedDataParallel

from fcdsynth.core.errors import SettingsError
from fcdsynth.synthesis.data import SynthesisData
from fcdsynth.synthesis.discriminator import TwoScaleDiscriminator
from fcdsynth.synthesis.small_convolutions import is_small

_POSITIVE = (
    "hidden", "style", "lesion_style", "discriminator_channels", "discriminator_layers",
    "generator_rate", "discriminator_rate", "gradient_limit", "region_every",
)  # fmt: skip
_NOT_NEGATIVE = (
    "inside", "lesion_boost", "outside", "texture", "contrast", "kl", "kl_ramp", "region",
    "region_margin", "region_reach_vox", "perceptual", "adversarial", "matching",
    "adversarial_from", "adversarial_ramp", "feather_vox", "warmup", "pictures",
)  # fmt: skip


def refuse_ranges(settings: Any) -> None:
    """Refuse a setting of the model that is out of range by itself.

    Raises:
        SettingsError: Naming the first one.
    """
    faults = [(k, "more than 0") for k in _POSITIVE if not settings[k] > 0]
    faults += [(k, "0 or more") for k in _NOT_NEGATIVE if not settings[k] >= 0]
    if not settings.channels or min(settings.channels) < 1:
        faults.append(("channels", "one positive number per scale"))
    if not 0 <= settings.average_decay < 1:
        faults.append(("average_decay", "a number in [0, 1)"))
    if settings.perceptual_flair and not settings.flair:
        faults.append(("perceptual_flair", "false where model.flair is false"))
    for key, expected in faults:
        raise SettingsError(f"model.{key}", str(settings[key]), expected, "Change the setting.")


def least_crop(settings: Any) -> int:
    """Smallest crop that the networks of these settings take."""
    if settings.adversarial == 0:
        return 8
    return TwoScaleDiscriminator.smallest_crop(settings.discriminator_layers)


def refuse_data(settings: Any, data: SynthesisData) -> None:
    """Refuse data that do not go with the model.

    Raises:
        SettingsError: If channels differ or the crop is too small.
    """
    if data.flair != settings.flair:
        raise SettingsError("model.flair", str(settings.flair), f"data.flair, {data.flair}",
                            "Set both to the same.")  # fmt: skip
    least = least_crop(settings)
    if data.crop < least:
        raise SettingsError(
            "data.crop", str(data.crop),
            f"at least {least} with {settings.discriminator_layers} discriminator layers",
            "Enlarge the crop or lower model.discriminator_layers.",
        )  # fmt: skip


def refuse_tiny_scale(trainer: pl.Trainer, settings: Any, crop: int) -> None:
    """Refuse bfloat16 on a CPU where the generator's coarsest scale is smaller than its kernel.

    The gradient would be wrong there, see `small_convolutions`.

    Raises:
        SettingsError: If it is.
    """
    coarsest = -(-crop // 2 ** (len(settings.channels) - 1))
    half = str(trainer.precision).startswith("bf16")
    if half and trainer.strategy.root_device.type == "cpu" and is_small((coarsest,), (3,)):
        raise SettingsError(
            "model.channels", f"{len(settings.channels)} scales, the coarsest of {coarsest} voxels",
            "at least 3 voxels for bf16-mixed on a CPU",
            "Give fewer channels, a larger data.crop, or trainer.precision 32-true.",
        )  # fmt: skip


def refuse_trainer(trainer: pl.Trainer) -> None:
    """Refuse a precision or a strategy with which two optimisers in turn do not work.

    Raises:
        SettingsError: Naming the trainer's setting.
    """
    if str(trainer.precision).startswith("16"):
        raise SettingsError(
            "trainer.precision", str(trainer.precision), "32-true or bf16-mixed",
            "Half precision would need a loss scaler for each optimiser; use bf16-mixed.",
        )  # fmt: skip
    network = trainer.strategy.model
    if isinstance(network, DistributedDataParallel) and not network.find_unused_parameters:
        raise SettingsError(
            "trainer.strategy", "ddp, which waits for a gradient of every weight",
            "one that lets a network rest while the other takes its step",
            "Give --trainer.strategy ddp_find_unused_parameters_true.",
        )  # fmt: skip
