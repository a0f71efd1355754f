"""The detector's loss: cross-entropy plus batch Dice, at several resolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def batch_dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """One minus the soft Dice of a whole batch taken as one volume.

    Taken together, false positives in a control's patch lower the Dice of the batch, where a
    Dice per patch would be 0 / 0 for the control. A batch without any lesion voxel has no Dice:
    the loss is 0 with zero gradient, and cross-entropy alone teaches.

    Soft Dice: Milletari et al. 2016 (V-Net), here with plain sums in the denominator.

    Args:
        logits: (batch, 1, x, y, z).
        target: Share of lesion in each voxel, in [0, 1], same shape.

    Returns:
        Scalar in [0, 1].
    """
    target = target.float()
    probability = torch.sigmoid(logits.float())
    total = target.sum()
    if total == 0:
        return logits.float().sum() * 0
    overlap = (probability * target).sum()
    return 1 - 2 * overlap / (probability.sum() + total)


class DetectionLoss(nn.Module):
    """Dice plus cross-entropy, summed over resolutions with halving weights that add to 1.

    Targets of lower resolutions are averages of the full one, so that a lesion smaller than a
    coarse voxel counts by its share instead of vanishing.
    """

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
            dice = batch_dice_loss(level, wanted)
            entropy = F.binary_cross_entropy_with_logits(level.float(), wanted)
            parts = parts or {"dice_loss": dice.detach(), "cross_entropy": entropy.detach()}
            loss = loss + weight / sum(weights) * (dice + entropy)
        return loss, parts
