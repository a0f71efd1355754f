"""SynthesisTask: the generator trained against two discriminators."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from fcdsynth.core.errors import RunError, SettingsError
from fcdsynth.synthesis import losses
from fcdsynth.synthesis.conditions import LABELS, REGION, Batch, conditions, joined
from fcdsynth.synthesis.data import SynthesisData
from fcdsynth.synthesis.discriminator import TwoScaleDiscriminator, halves
from fcdsynth.synthesis.networks import Generator
from fcdsynth.synthesis.styles import write_styles
from fcdsynth.training.data import CohortData
from fcdsynth.training.task import Task


class SynthesisTask(Task):
    """Redraw blanked regions of T1w and FLAIR, lesional and healthy.

    Both optimisers are stepped by hand. The discriminators rest until ``adversarial_from``, then
    their weight in the generator's loss rises to ``adversarial`` over ``adversarial_ramp`` steps:
    a discriminator that starts against an untrained generator only adds noise. The moving
    average of the generator is what `synthesize` uses.

    Args:
        channels: Channels of the decoder from the coarsest scale to the full resolution.
        hidden: Channels of the embedded condition.
        style: Length of the context style code.
        lesion_style: Length of the lesion style code.
        flair: Whether to draw T1w and FLAIR, or T1w alone; as in the data.
        feather_vox: Voxel layers over which a redrawn region passes into its surroundings.
        discriminator_channels: Channels of the discriminators' first layer.
        discriminator_layers: Their layers with stride 2.
        inside: Weight of L1 in the region.
        lesion_boost: A lesion voxel counts this much more in it.
        outside: Weight of L1 outside the region.
        texture: Weight of the roughness difference.
        contrast: Weight of the lesion contrast difference.
        kl: Weight of the lesion style's KL divergence.
        adversarial: Weight of the hinge loss once it has risen; 0 trains without discriminators.
        matching: Weight of feature matching, relative to ``adversarial``.
        adversarial_from: Step at which the discriminators begin.
        adversarial_ramp: Steps over which their weight rises.
        generator_rate: Learning rate of the generator.
        warmup: Steps over which it rises from a tenth of that.
        discriminator_rate: Learning rate of the discriminators (TTUR, Heusel et al. 2017).
        average_decay: Decay of the generator's moving average; smaller in the first steps.
        gradient_limit: Largest gradient norm of either network; longer ones are shortened.

    Raises:
        SettingsError: If a setting is out of range.
    """

    automatic_optimization = False

    def __init__(
        self,
        channels: list[int] = [256, 128, 64, 32, 16],  # noqa: B006 (jsonargparse shows it)
        hidden: int = 32,
        style: int = 64,
        lesion_style: int = 8,
        flair: bool = True,
        feather_vox: int = 2,
        discriminator_channels: int = 32,
        discriminator_layers: int = 3,
        inside: float = 20.0,
        lesion_boost: float = 4.0,
        outside: float = 2.0,
        texture: float = 10.0,
        contrast: float = 10.0,
        kl: float = 0.01,
        adversarial: float = 1.0,
        matching: float = 10.0,
        adversarial_from: int = 1000,
        adversarial_ramp: int = 2000,
        generator_rate: float = 2e-4,
        warmup: int = 500,
        discriminator_rate: float = 4e-4,
        average_decay: float = 0.999,
        gradient_limit: float = 10.0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        _check(self.hparams)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.build()

    def build_networks(self) -> None:
        """Generator, its moving average, discriminators."""
        h = self.hparams
        contrasts = 2 if h.flair else 1
        self.generator = Generator(contrasts, h.channels, h.hidden, h.style, h.lesion_style)
        self.average = AveragedModel(self.generator, avg_fn=self._averaged)
        self.average.requires_grad_(False)
        self.discriminator = TwoScaleDiscriminator(
            LABELS + contrasts, h.discriminator_channels, h.discriminator_layers
        )

    def build_losses(self) -> None:
        """Weights of the generator's losses by name; the adversarial two wait for their ramp."""
        h = self.hparams
        self.weights = {name: float(h[name]) for name in
                        ("inside", "outside", "texture", "contrast", "kl")}  # fmt: skip

    def _averaged(self, average: Tensor, new: Tensor, seen: Tensor | int) -> Tensor:
        decay = min(self.hparams.average_decay, (1 + int(seen)) / (10 + int(seen)))
        return torch.lerp(new, average, decay)

    @property
    def drawer(self) -> Generator:
        """The moving average of the generator, which draws once training is over."""
        network = self.average.module
        assert isinstance(network, Generator)
        return network

    def configure_optimizers(self) -> tuple[list[Any], list[Any]]:
        """Adam with betas (0.0, 0.9) for both, the generator's first, its rate warmed up."""
        h, betas = self.hparams, (0.0, 0.9)
        first = torch.optim.Adam(self.generator.parameters(), h.generator_rate, betas)
        second = torch.optim.Adam(self.discriminator.parameters(), h.discriminator_rate, betas)
        rise = torch.optim.lr_scheduler.LinearLR(first, 0.1, total_iters=max(h.warmup, 1))
        return [first, second], [rise]

    def on_fit_start(self) -> None:
        """Refuse data and precisions that do not go with these networks."""
        # Lightning would rather keep the weights from before the step; ours come after it, with
        # the optimisers' state to match. The filter ends with the verb's own.
        warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual")
        data = self.trainer.datamodule
        if isinstance(data, SynthesisData):
            self._check_data(data)
        if str(self.trainer.precision).startswith("16"):
            raise SettingsError(
                "trainer.precision", str(self.trainer.precision), "32-true or bf16-mixed",
                "Half precision would need a loss scaler for each optimiser; use bf16-mixed.",
            )  # fmt: skip

    def _check_data(self, data: SynthesisData) -> None:
        h = self.hparams
        if data.flair != h.flair:
            raise SettingsError("model.flair", str(h.flair), f"data.flair, {data.flair}",
                                "Set both to the same.")  # fmt: skip
        least = TwoScaleDiscriminator.smallest_crop(h.discriminator_layers)
        if h.adversarial > 0 and data.crop < least:
            raise SettingsError(
                "data.crop", str(data.crop),
                f"at least {least} with {h.discriminator_layers} discriminator layers",
                "Enlarge the crop or lower model.discriminator_layers.",
            )  # fmt: skip

    def adversarial_weight(self) -> float:
        """Weight of the hinge loss at this step."""
        h = self.hparams
        into = int(self.steps) - h.adversarial_from
        if into < 0:
            return 0.0
        return float(h.adversarial * min(1.0, (into + 1) / max(h.adversarial_ramp, 1)))

    def training_step(self, batch: Batch) -> None:
        """One step of the discriminators, once they have begun, and one of the generator."""
        first = self.optimizers()
        # The raw second optimiser: Lightning counts the steps of wrapped ones only, so its
        # global step is the number of batches.
        second = self.optimizers(use_pl_optimizer=False)[1]
        first = first[0]
        target, labels, context = conditions(batch)
        region = labels[:, REGION : REGION + 1]
        present = batch["lesional"].float()
        mean, log_variance = self.generator.encode_lesion(target, context, labels)
        spread = torch.randn(mean.shape).to(mean) * (0.5 * log_variance).exp()
        code = (mean + spread) * present[:, None]
        noise = self.generator.draw_noise(len(target), target.shape[2:])
        smooth, fake = self.generator(context, labels, code, noise.to(target))
        smooth, fake = smooth.float(), fake.float()
        whole = joined(fake, target, region, self.hparams.feather_vox)

        weight = self.adversarial_weight()
        terms: dict[str, Tensor] = {}
        if weight > 0:
            judged = self.discriminator(
                torch.cat([target, whole.detach()]), labels.repeat(2, *[1] * 4)
            )
            real, judged_fake = halves(judged)
            terms["discriminator"] = losses.hinge_discriminator(real, judged_fake, region)
            self._step(second, self.discriminator, terms["discriminator"], "discriminator")
            self.discriminator.requires_grad_(False)
            with torch.no_grad():
                real = self.discriminator(target, labels)
            scored = self.discriminator(whole, labels)
            terms["adversarial"] = losses.hinge_generator(scored, region)
            terms["matching"] = losses.feature_matching(real, scored, region)
        terms |= losses.reconstruction(smooth, fake, target, labels, self.hparams.lesion_boost)
        terms["kl"] = losses.kl_divergence(mean, log_variance, present)
        total = torch.stack([w * terms[name] for name, w in self.weights.items()]).sum()
        if weight > 0:
            total = total + weight * (
                terms["adversarial"] + self.hparams.matching * terms["matching"]
            )
        terms["total"] = total
        self._step(first, self.generator, total, "total")
        self.discriminator.requires_grad_(True)
        self.lr_schedulers().step()
        self.average.update_parameters(self.generator)
        self.steps += 1
        shown = {f"synthesis/train/{name}": term.detach() for name, term in terms.items()}
        self.log_dict(shown, batch_size=len(target))
        self.log("synthesis/train/adversarial_weight", weight, batch_size=len(target))

    def _step(self, optimiser: Any, network: torch.nn.Module, loss: Tensor, name: str) -> None:
        optimiser.zero_grad()
        self.manual_backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), self.hparams.gradient_limit)
        if not bool(torch.isfinite(loss) & torch.isfinite(norm)):
            raise RunError(
                f"synthesis/train/{name} at step {int(self.steps)}",
                f"a loss of {loss.item():.3g} with a gradient of norm {norm.item():.3g}",
                "finite numbers",
                "Lower model.generator_rate, or look for damaged intensities in the cohort.",
            )
        optimiser.step()

    def validation_step(self, batch: Batch) -> None:
        """Reconstruction losses of the averaged generator with the lesion's own mean code."""
        self._measure(batch, "val")

    def test_step(self, batch: Batch) -> None:
        """As validation, on test subjects."""
        self._measure(batch, "test")

    def _measure(self, batch: Batch, split: str) -> None:
        target, labels, context = conditions(batch)
        network = self.drawer
        mean, log_variance = network.encode_lesion(target, context, labels)
        code = mean * batch["lesional"].float()[:, None]
        source = torch.Generator().manual_seed(0)  # one noise for all epochs, to compare them
        noise = network.draw_noise(len(target), target.shape[2:], source).to(target)
        smooth, fake = network(context, labels, code, noise)
        terms = losses.reconstruction(
            smooth.float(), fake.float(), target, labels, self.hparams.lesion_boost
        )
        terms["kl"] = losses.kl_divergence(mean, log_variance, batch["lesional"].float())
        shown = {f"synthesis/{split}/{name}": term for name, term in terms.items()}
        self.log_dict(shown, batch_size=len(target))

    def finish(self, folder: Path, data: CohortData) -> None:
        """Write ``styles.json``: the lesion style codes of the training patients.

        With it, `synthesize` needs no scan of the patients the generator was trained on.
        """
        if isinstance(data, SynthesisData):
            write_styles(folder, self.drawer, data)


def _check(settings: Any) -> None:
    positive = ("hidden", "style", "lesion_style", "discriminator_channels",
                "discriminator_layers", "generator_rate", "discriminator_rate",
                "gradient_limit")  # fmt: skip
    weights = ("inside", "lesion_boost", "outside", "texture", "contrast", "kl", "adversarial",
               "matching", "adversarial_from", "adversarial_ramp", "feather_vox",
               "warmup")  # fmt: skip
    faults = [(k, "more than 0") for k in positive if not settings[k] > 0]
    faults += [(k, "0 or more") for k in weights if not settings[k] >= 0]
    if not settings.channels or min(settings.channels) < 1:
        faults.append(("channels", "one positive number per scale"))
    if not 0 <= settings.average_decay < 1:
        faults.append(("average_decay", "a number in [0, 1)"))
    for key, expected in faults:
        raise SettingsError(f"model.{key}", str(settings[key]), expected, "Change the setting.")
