"""SynthesisTask: the generator trained against two discriminators."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from fcdsynth.core.errors import RunError
from fcdsynth.synthesis import losses
from fcdsynth.synthesis.conditions import LABELS, Batch, conditions
from fcdsynth.synthesis.data import SynthesisData
from fcdsynth.synthesis.deepbet import DEEPBET
from fcdsynth.synthesis.discriminator import TwoScaleDiscriminator
from fcdsynth.synthesis.heads import contrasts_of
from fcdsynth.synthesis.memory import require_room
from fcdsynth.synthesis.networks import Generator
from fcdsynth.synthesis.objective import (
    Drawing,
    adversarial_terms,
    discriminator_loss,
    draw,
    draw_batch,
    draw_whole,
    reconstruction_terms,
    region_terms,
)
from fcdsynth.synthesis.perceptual import PerceptualLoss
from fcdsynth.synthesis.pictures import sheet, show
from fcdsynth.synthesis.refusals import (
    refuse_data,
    refuse_ranges,
    refuse_tiny_scale,
    refuse_trainer,
)
from fcdsynth.synthesis.scans import has_style
from fcdsynth.synthesis.small_convolutions import single_where_small
from fcdsynth.synthesis.styles import write_styles
from fcdsynth.synthesis.watch import Watch, note
from fcdsynth.synthesis.weights import weights_at
from fcdsynth.training.average import moving_average
from fcdsynth.training.data import CohortData
from fcdsynth.training.task import Task


class SynthesisTask(Task):
    """Redraw blanked regions of T1w and FLAIR, lesional and healthy, and whole brains.

    Both optimisers are stepped by hand. The discriminators rest until ``adversarial_from``, and
    their weight in the generator's loss rises: against an untrained generator they only add
    noise. The moving average of the generator is what `synthesize` uses.

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
        outside: Weight of L1 around the region, as far as the generator looks.
        texture: Weight of the roughness difference.
        contrast: Weight of the lesion contrast difference.
        spread: Weight of the lesion's difference of standard deviations.
        kl: Weight of the lesion style's KL divergence once it has risen.
        kl_ramp: Steps over which it rises, so that the code is used before it costs anything.
        region: Weight of the region loss, drawing with and without the lesion label.
        region_margin: Least change by a lesion label, mean over its voxels; images span -1 to 1.
        region_reach_vox: Layers around a lesion in which its label may change something.
        region_every: Steps between two that have the region loss, which then weighs this much more.
        perceptual: Weight of the perceptual loss; 0 leaves it out.
        perceptual_network: ``deepbet``, or the path of a TorchScript file; see `PerceptualLoss`.
        perceptual_flair: Whether that network is shown FLAIR too, and not T1w alone.
        adversarial: Weight of the hinge loss once it has risen; 0 trains without discriminators.
        matching: Weight of feature matching, relative to ``adversarial``.
        adversarial_from: Step at which the discriminators begin.
        adversarial_ramp: Steps over which their weight rises.
        generator_rate: Learning rate of the generator.
        warmup: Steps over which it rises from a tenth of that.
        discriminator_rate: Learning rate of the discriminators (TTUR, Heusel et al. 2017).
        average_decay: Decay of the generator's moving average; smaller in the first steps.
        gradient_limit: Largest gradient norm of either network; longer ones are shortened.
        pictures: Validation patches drawn as a picture after each validation; 0 draws none.
        checkpointing: Compute the generator's blocks again on the way back: less memory, more time.
        channels_last: Keep the channels of a voxel side by side in the generator's memory.
        compile: Compile the generator with ``torch.compile``; needs a C++ compiler.

    Raises:
        SettingsError: If a setting is out of range.
    """

    automatic_optimization = False

    def __init__(
        self,
        channels: list[int] = [256, 128, 64, 32, 16],  # noqa: B006 (jsonargparse shows it)
        hidden: int = 32,
        style: int = 64,
        lesion_style: int = 12,
        flair: bool = True,
        feather_vox: int = 2,
        discriminator_channels: int = 32,
        discriminator_layers: int = 3,
        inside: float = 20.0,
        lesion_boost: float = 4.0,
        outside: float = 2.0,
        texture: float = 20.0,
        contrast: float = 30.0,
        spread: float = 10.0,
        kl: float = 0.001,
        kl_ramp: int = 1000,
        region: float = 2.0,
        region_margin: float = 0.02,
        region_reach_vox: int = 2,
        region_every: int = 5,
        perceptual: float = 0.0,
        perceptual_network: str = DEEPBET,
        perceptual_flair: bool = False,
        adversarial: float = 1.0,
        matching: float = 10.0,
        adversarial_from: int = 1000,
        adversarial_ramp: int = 2000,
        generator_rate: float = 2e-4,
        warmup: int = 500,
        discriminator_rate: float = 4e-4,
        average_decay: float = 0.999,
        gradient_limit: float = 10.0,
        pictures: int = 4,
        checkpointing: bool = False,
        channels_last: bool = True,
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        refuse_ranges(self.hparams)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.build()

    def build_networks(self) -> None:
        """Generator, its moving average, discriminators."""
        h = self.hparams
        contrasts = 2 if h.flair else 1
        self.generator = Generator(
            contrasts, h.channels, h.hidden, h.style, h.lesion_style,
            checkpointing=h.checkpointing, channels_last=h.channels_last, compiled=h.compile,
        )  # fmt: skip
        self.average = moving_average(self.generator, h.average_decay)
        self.discriminator = TwoScaleDiscriminator(
            LABELS + contrasts, h.discriminator_channels, h.discriminator_layers
        )
        single_where_small(self.discriminator)

    def build_losses(self) -> None:
        """None yet: `weights_at` weighs them, and a perceptual network is read at the start."""
        self._perceptual: PerceptualLoss | None = None

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
        """Refuse data, trainer and sizes that do not go with these networks or this machine."""
        # Lightning would rather keep the weights from before the step; ours come after it, with
        # the optimisers' state to match. The filter ends with the verb's own.
        warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual")
        h, data = self.hparams, self.trainer.datamodule
        refuse_trainer(self.trainer)
        if isinstance(data, SynthesisData):
            refuse_data(h, data)
            refuse_tiny_scale(self.trainer, h, data.crop)
            networks = (self.generator, self.discriminator)
            if data.full_share > 0 and int(self.steps) == 0:
                self.generator.start_from_means()
                self.drawer.start_from_means()
            self.print(require_room(self.trainer, *networks, h, data.batch_size, data.crop))
        if h.perceptual > 0:
            shown = (0, 1) if h.perceptual_flair else (0,)
            self._perceptual = PerceptualLoss(h.perceptual_network, shown).to(self.device)

    def training_step(self, batch: Batch) -> None:
        """One step of the discriminators, once they have begun, and one of the generator."""
        # The raw second optimiser: Lightning counts the steps of wrapped ones only, so its
        # global step is the number of batches.
        first = self.optimizers()[0]
        second = self.optimizers(use_pl_optimizer=False)[1]
        drawing = draw_batch(self.generator, batch, self.hparams.feather_vox)
        weights = weights_at(self.hparams, int(self.steps))
        terms: dict[str, Tensor] = {}
        if weights["adversarial"] > 0:
            terms["discriminator"] = discriminator_loss(self.discriminator, drawing)
            self._step(second, self.discriminator, terms["discriminator"], "discriminator")
        self.discriminator.requires_grad_(False)
        terms |= self._generator_terms(drawing, weights)
        self._step(first, self.generator, terms["total"], "total")
        self.discriminator.requires_grad_(True)
        self.lr_schedulers().step()
        self.average.update_parameters(self.generator)
        note(self.trainer, terms, weights, int(self.steps), drawing.style is not None)
        self.steps += 1

    def _generator_terms(self, drawing: Drawing, weights: dict[str, float]) -> dict[str, Tensor]:
        """The generator's losses of this step by name, and their weighted sum as ``total``."""
        h = self.hparams
        terms = reconstruction_terms(self.generator, drawing, h.lesion_boost)
        terms["kl"] = losses.kl_divergence(drawing.mean, drawing.log_variance, drawing.present)
        if weights["region_same"] > 0:
            terms |= region_terms(self.generator, drawing, h.region_margin, h.region_reach_vox)
        if self._perceptual is not None:
            terms["perceptual"] = self._perceptual(drawing.whole, drawing.target, drawing.region)
        if weights["adversarial"] > 0:
            terms |= adversarial_terms(self.discriminator, drawing)
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        return terms | {"total": total}

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
        """Reconstruction losses of the averaged generator with the lesion's own mean code.

        Where full mode is trained, the same patches are drawn whole too (``full_``).
        """
        self._measure(batch, "val")

    def test_step(self, batch: Batch) -> None:
        """As validation, on test subjects."""
        self._measure(batch, "test")

    def _measure(self, batch: Batch, split: str) -> None:
        source = torch.Generator().manual_seed(0)  # one noise for all epochs, to compare them
        present, boost = batch["lesional"].float(), self.hparams.lesion_boost
        drawing = draw(self.drawer, conditions(batch), present, self.hparams.feather_vox,
                       source, spread=False)  # fmt: skip
        terms = reconstruction_terms(self.drawer, drawing, boost)
        terms["kl"] = losses.kl_divergence(drawing.mean, drawing.log_variance, present)
        drawings = [drawing]
        if has_style(batch):
            drawings.append(draw_whole(self.drawer, batch, source, spread=False))
            whole = reconstruction_terms(self.drawer, drawings[1], boost)
            terms |= {f"full_{name}": term for name, term in whole.items() if name != "outside"}
        shown = {f"synthesis/{split}/{name}": term for name, term in terms.items()}
        self.log_dict(shown, batch_size=len(present))
        if split == "val":
            for made in drawings:
                self._watch.add(made, batch["subject"])

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self._watch = Watch(self.hparams.pictures)

    def on_validation_epoch_end(self) -> None:
        """Count the parts of the lesion code that are in use; draw a picture."""
        active = self._watch.active_units()
        if active is not None:
            self.log("synthesis/val/active_units", float(active))
        if self._watch.samples and self.trainer.state.fn == TrainerFn.FITTING:
            step, names = int(self.steps), contrasts_of(self.hparams.flair)
            figure = sheet(self._watch.samples, names, f"validation, step {step}")
            show(self.trainer, figure, step)

    def finish(self, folder: Path, data: CohortData) -> None:
        """Write ``styles.json``: the lesion and scan style codes of the training subjects.

        With it, `synthesize` needs no scan of the patients the generator was trained on.
        """
        if isinstance(data, SynthesisData):
            write_styles(folder, self.drawer, data)
