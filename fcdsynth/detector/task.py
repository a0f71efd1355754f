"""DetectorTask: training of the lesion detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.classification import BinaryF1Score

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.progress import track
from fcdsynth.core.subject import Split
from fcdsynth.core.trained import TrainedRun
from fcdsynth.detector.data import DetectorData
from fcdsynth.detector.infer import infer_logits
from fcdsynth.detector.inputs import Kinds, check_inputs, load_channels
from fcdsynth.detector.losses import DetectionLoss
from fcdsynth.detector.networks import ResidualUNet, make_network
from fcdsynth.detector.operating import HeldOut, choose_operating_point, write_sweep
from fcdsynth.detector.snapshots import Snapshots
from fcdsynth.training.average import moving_average
from fcdsynth.training.data import CohortData
from fcdsynth.training.task import Task


class DetectorTask(Task):
    """A residual U-Net trained on patches, calibrated on whole validation subjects.

    AdamW; the learning rate falls from its start to 0 over ``trainer.max_steps`` as
    ``(1 - step / max_steps) ** 0.9``. A moving average of the weights is what detects.

    Args:
        inputs: Channels, see `fcdsynth.detector.inputs.CHANNELS`; the data's must be the same.
        widths: Feature channels of each level, finest first.
        blocks: Residual blocks of each level of the encoder, finest first; 0 at the finest
            leaves its stem alone there.
        supervised: Number of levels whose logits enter the loss.
        fold: 1, or 2 to fold 2 x 2 x 2 voxels into channels and start at half the resolution.
        norm: ``instance``, or ``batch`` where patches are small and batches large, see
            `fcdsynth.detector.networks.ResidualUNet`.
        overlap: ``dice``, ``tversky`` or ``none``: the loss of the whole batch.
        voxelwise: ``cross_entropy`` or ``focal``: the loss of each voxel.
        false_weight: Of Tversky's overlap: weight of false against missed voxels, 0 to 1.
        focus: Power of the focal loss.
        learning_rate: Learning rate at the start.
        weight_decay: Weight decay of AdamW.
        average_decay: Decay of the moving average of the weights; smaller in the first steps.
        snapshots: How often, evenly over the fit, the logits at the lesions of training and
            validation patients are kept, for `flag`; 0 for never.

    Raises:
        SettingsError: If a setting is out of range.
    """

    def __init__(
        self,
        inputs: tuple[str, ...] = ("t1w", "flair"),
        widths: tuple[int, ...] = (32, 64, 128, 256, 320),
        blocks: tuple[int, ...] = (1, 2, 2, 4, 4),
        supervised: int = 3,
        fold: int = 1,
        norm: str = "instance",
        overlap: str = "dice",
        voxelwise: str = "cross_entropy",
        false_weight: float = 0.3,
        focus: float = 2.0,
        learning_rate: float = 3e-4,
        weight_decay: float = 1e-5,
        average_decay: float = 0.999,
        snapshots: int = 0,
    ) -> None:
        super().__init__()
        if learning_rate <= 0 or weight_decay < 0:
            raise SettingsError("model.learning_rate, model.weight_decay",
                                f"{learning_rate}, {weight_decay}", "above 0, and 0 or above",
                                "Change the setting.")  # fmt: skip
        if not 0 <= average_decay < 1:
            raise SettingsError("model.average_decay", f"{average_decay:g}", "a number in [0, 1)",
                                "Change the setting.")  # fmt: skip
        if snapshots < 0:
            raise SettingsError("model.snapshots", str(snapshots), "0 or more",
                                "Change the setting.")  # fmt: skip
        check_inputs(inputs, "model.inputs")
        self.save_hyperparameters()
        self.register_buffer("spacing_mm", torch.zeros(3, dtype=torch.float64))
        self.build()

    def build_networks(self) -> None:
        """Set the network and its moving average."""
        h = self.hparams
        self.network = make_network(len(h.inputs), h.widths, h.blocks, h.supervised, h.fold, h.norm)
        self.average = moving_average(self.network, h.average_decay)

    @property
    def detecting(self) -> ResidualUNet:
        """The moving average of the network, which detects once training is over."""
        network = self.average.module
        assert isinstance(network, ResidualUNet)
        return network

    def build_losses(self) -> None:
        """Set the loss."""
        h = self.hparams
        self.loss = DetectionLoss(h.overlap, h.voxelwise, h.false_weight, h.focus)

    def build_metrics(self) -> None:
        """Set running means for validation and test; F1 over voxels is Dice."""
        names = ("val", "test")
        self.losses = nn.ModuleDict({name: MeanMetric() for name in names})
        self.dices = nn.ModuleDict({name: BinaryF1Score() for name in names})

    def setup(self, stage: str) -> None:
        """Hold the settings of model, data and trainer against each other.

        Raises:
            SettingsError: If they contradict.
            GeometryError: If the subjects' voxel sizes differ.
        """
        data = self.trainer.datamodule
        if not isinstance(data, DetectorData):
            raise SettingsError("data.class_path", type(data).__name__, "DetectorData",
                                "Use a configuration of configs/detector.")  # fmt: skip
        if tuple(data.inputs) != tuple(self.hparams.inputs):
            raise SettingsError("data.inputs", str(list(data.inputs)),
                                f"{list(self.hparams.inputs)}, as model.inputs",
                                "Set both to the same channels.")  # fmt: skip
        # Of two voxels at the coarsest level: bfloat16 on a CPU gets smaller ones wrong.
        factor = self.network.factor
        if any(size % factor or size < 2 * factor for size in data.patch_size):
            raise SettingsError(
                "data.patch_size", str(list(data.patch_size)),
                f"multiples of {factor} from {2 * factor} up, for {len(self.hparams.widths)} "
                f"levels and fold {self.hparams.fold}",
                "Change the patch size, or give model.widths and model.blocks fewer levels.",
            )  # fmt: skip
        if stage == "fit":
            if self.trainer.max_steps < 1:
                raise SettingsError("trainer.max_steps", str(self.trainer.max_steps),
                                    "a number of steps", "Set it.")  # fmt: skip
            self.spacing_mm = torch.tensor(data.spacing_mm, dtype=torch.float64)

    def configure_callbacks(self) -> list[Any]:
        """Snapshots, where they are asked for and the fit has a number of steps."""
        if not self.hparams.snapshots or self.trainer.max_steps < 1:
            return []
        if isinstance(self.trainer.datamodule, DetectorData):
            self.trainer.datamodule.snapshots = True
        return [Snapshots(self.hparams.snapshots)]

    def forward(self, image: Tensor) -> Any:
        """Logits of patches; see `make_network`."""
        return self.network(image)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Loss of a batch of patches."""
        loss, parts = self.loss(self.network(batch["image"]), batch["lesion"])
        values = {f"detector/train/{name}": value for name, value in parts.items()}
        size = batch["image"].shape[0]
        self.log("detector/train/loss", loss, on_step=False, on_epoch=True, prog_bar=True,
                 batch_size=size, sync_dist=True)  # fmt: skip
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)
        return torch.as_tensor(loss)

    def _watch(self, batch: dict[str, Any], split: str) -> None:
        logits = self.detecting(batch["image"])
        loss, _ = self.loss(logits, batch["lesion"])
        mean, dice = self.losses[split], self.dices[split]
        mean(loss)
        dice(logits.float().sigmoid().flatten(), batch["lesion"].flatten())
        self.log(f"detector/{split}/loss", mean, on_step=False, on_epoch=True)
        self.log(f"detector/{split}/dice", dice, on_step=False, on_epoch=True, prog_bar=True)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Loss and voxel Dice of fixed patches of the validation subjects."""
        self._watch(batch, "val")

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Loss and voxel Dice of fixed patches of the test subjects."""
        self._watch(batch, "test")

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Step, then move the average, so that a checkpoint holds both of one step."""
        super().optimizer_step(*args, **kwargs)
        self.average.update_parameters(self.network)

    def configure_optimizers(self) -> Any:
        """AdamW with polynomial decay over the fit's steps."""
        h, steps = self.hparams, self.trainer.max_steps
        optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=h.learning_rate, weight_decay=h.weight_decay
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: max(1 - step / steps, 0.0) ** 0.9
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def finish(self, folder: Path, data: CohortData) -> None:
        """Choose temperature, threshold and smallest volume on whole validation subjects."""
        assert isinstance(data, DetectorData)
        device = self.trainer.strategy.root_device
        cohort = data.cohort.of_split(Split.VAL)

        def held_out() -> Any:
            for subject in track(cohort.subjects, "looking at validation subjects"):
                image, labels, grid = load_channels(
                    cohort, subject, data.inputs, data.flair_dropout > 0, lesion=True
                )
                logits = infer_logits(self.detecting, image, data.inputs, data.patch_size, device)
                brain = Kinds(data.inputs).brain(image)
                yield HeldOut(subject.id, logits, brain, labels[0] > 0, grid)

        point, sweep = choose_operating_point(list(held_out()), data.seed)
        TrainedRun(folder).write_operating_point(point)
        write_sweep(folder, sweep)
