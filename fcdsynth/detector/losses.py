"""The detector's loss: an overlap of the whole batch plus a voxelwise one, at several levels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fcdsynth.core.errors import SettingsError

OVERLAPS = ("dice", "tversky", "none")
VOXELWISE = ("cross_entropy", "focal")


def batch_overlap_loss(logits: Tensor, target: Tensor, false_weight: float = 0.5) -> Tensor:
    """One minus the soft overlap of a whole batch taken as one volume.

    Taken together, false positives in a control's patch lower the overlap of the batch, where a
    Dice per patch would be 0 / 0 for the control. A batch without any lesion voxel has no
    overlap: the loss is 0 with zero gradient, and the voxelwise loss alone teaches.

    The overlap is Tversky's (Salehi et al. 2017) with plain sums: with ``false_weight`` 0.5 it
    is soft Dice (Milletari et al. 2016); below, a missed voxel costs more than a false one.

    Args:
        logits: (batch, 1, x, y, z).
        target: Share of lesion in each voxel, in [0, 1], same shape.
        false_weight: Weight of false voxels; that of missed ones is the rest to 1.

    Returns:
        Scalar in [0, 1].
    """
    target = target.float()
    probability = torch.sigmoid(logits.float())
    total = target.sum()
    if total == 0:
        return logits.float().sum() * 0
    overlap = (probability * target).sum()
    return 1 - overlap / (false_weight * probability.sum() + (1 - false_weight) * total)


def voxelwise_loss(logits: Tensor, target: Tensor, focus: float = 0.0) -> Tensor:
    """Binary cross-entropy, its easy voxels weighed down by the power ``focus`` (Lin et al. 2017).

    Args:
        logits: (batch, 1, x, y, z).
        target: Share of lesion in each voxel, in [0, 1].
        focus: 0 for plain cross-entropy.
    """
    logits, target = logits.float(), target.float()
    if focus == 0:
        return F.binary_cross_entropy_with_logits(logits, target)
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return ((torch.sigmoid(logits) - target).abs() ** focus * each).mean()


class DetectionLoss(nn.Module):
    """Overlap plus voxelwise loss, summed over resolutions with halving weights that add to 1.

    Targets of lower resolutions are averages of the full one, so that a lesion smaller than a
    coarse voxel counts by its share instead of vanishing.

    Args:
        overlap: ``dice``, ``tversky`` or ``none``.
        voxelwise: ``cross_entropy`` or ``focal``.
        false_weight: Of Tversky's overlap.
        focus: Power of the focal loss.

    Raises:
        SettingsError: If a setting is unknown or out of range.
    """

    def __init__(
        self, overlap: str = "dice", voxelwise: str = "cross_entropy", false_weight: float = 0.3,
        focus: float = 2.0,
    ) -> None:  # fmt: skip
        super().__init__()
        for key, value, known in (("overlap", overlap, OVERLAPS),
                                  ("voxelwise", voxelwise, VOXELWISE)):  # fmt: skip
            if value not in known:
                raise SettingsError(f"model.{key}", value, ", ".join(known), "Choose one of them.")
        if not 0 < false_weight < 1:
            raise SettingsError("model.false_weight", f"{false_weight:g}", "between 0 and 1",
                                "Change the setting.")  # fmt: skip
        if not 0 <= focus <= 5:
            raise SettingsError("model.focus", f"{focus:g}", "0 to 5", "Change the setting.")
        self.false_weight = {"dice": 0.5, "tversky": false_weight, "none": None}[overlap]
        self.focus = focus if voxelwise == "focal" else 0.0

    def forward(
        self, logits: Tensor | Sequence[Tensor], target: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss.

        Args:
            logits: (batch, 1, x, y, z), or a list of such, full resolution first.
            target: Lesion mask (batch, 1, x, y, z), 0 or 1.

        Returns:
            The loss, and its full-resolution parts by name (detached).
        """
        levels = [logits] if isinstance(logits, Tensor) else list(logits)
        weights = [0.5**level for level in range(len(levels))]
        target = target.float()
        loss = target.new_zeros(())
        parts: dict[str, Tensor] = {}
        for weight, level in zip(weights, levels, strict=True):
            x, y, z = level.shape[2:]
            wanted = F.adaptive_avg_pool3d(target, (x, y, z))
            voxels = voxelwise_loss(level, wanted, self.focus)
            whole = voxels * 0
            if self.false_weight is not None:
                whole = batch_overlap_loss(level, wanted, self.false_weight)
            parts = parts or {"overlap_loss": whole.detach(), "voxelwise_loss": voxels.detach()}
            loss = loss + weight / sum(weights) * (whole + voxels)
        return loss, parts
