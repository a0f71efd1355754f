"""A lesion's difference from its surroundings, part by part: measured, and painted.

What a lesion shows on average in cortex, in white matter, along its border and just beside it is
most of what tells one lesion from another. A code that had to reach these through the decoder
alone did so for FLAIR, and hardly for T1w, where lesions show least.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fcdsynth.core.tissue import CEREBRAL
from fcdsynth.synthesis.conditions import LESION, REGION, grown_along, masked_moments

PARTS = ("cortex", "white", "edge", "beside")
_GAIN = 10.0  # numbers of a lesion are of the order of a tenth
_FIRST_STEP = 0.01  # share of the usual start, for codes that are not read as they are
_FIRST_LOG_VARIANCE = -4.0  # a code that says nothing yet would be drowned by a spread of 1


def _grown(mask: Tensor) -> Tensor:
    # The six neighbours of each voxel.
    x, y, z = (grown_along(mask, axis, 1) for axis in range(3))
    return torch.maximum(torch.maximum(x, y), z)


def lesion_parts(labels: Tensor) -> Tensor:
    """The parts of a lesion, in {0, 1}, shape (batch, `PARTS`, x, y, z).

    Its cortex and its white matter; the outermost layer of voxels of both; and one layer of the
    region's cortex and white matter outside it.

    Args:
        labels: Shape (batch, `conditions.LABELS`, x, y, z).
    """
    lesion, region = labels[:, LESION : LESION + 1], labels[:, REGION : REGION + 1]
    tissues = [labels[:, tissue : tissue + 1] for tissue in CEREBRAL]
    mantle = torch.stack(tissues).sum(0)
    edge = lesion * _grown(1 - lesion) * mantle
    beside = region * (1 - lesion) * _grown(lesion) * mantle
    return torch.cat([*(lesion * tissue for tissue in tissues), edge, beside], 1)


def part_means(image: Tensor, parts: Tensor) -> Tensor:
    """Mean under each part, 0 where it is empty, shape (batch, part, contrast).

    Args:
        image: Shape (batch, contrast, x, y, z).
        parts: In {0, 1}, shape (batch, part, x, y, z).
    """
    with torch.autocast(image.device.type, enabled=False):
        shown, flat = parts.flatten(2).float(), image.flatten(2).float()
        return torch.bmm(shown, flat.transpose(1, 2)) / shown.sum(2).clamp_min(1)[..., None]


def profile_length(contrasts: int) -> int:
    """How many numbers `profile` gives."""
    return (len(PARTS) + 2 + len(CEREBRAL)) * contrasts


def profile(residual: Tensor, labels: Tensor) -> Tensor:
    """Describe a lesion: mean of each part, then mean and standard deviations inside.

    Args:
        residual: Image less what its surroundings would lead to expect, shape
            (batch, contrast, x, y, z).
        labels: Shape (batch, `conditions.LABELS`, x, y, z).

    Returns:
        Shape (batch, `profile_length`), each of the order of 1: part by part, then the whole
        lesion's mean, its standard deviation, and that of its cortex and white matter; contrasts
        run fastest.
    """
    lesion, parts = labels[:, LESION : LESION + 1], lesion_parts(labels)
    own = [parts[:, part : part + 1] for part in range(len(CEREBRAL))]
    mean, spread = masked_moments(residual, lesion)
    spreads = [masked_moments(residual, mask)[1] for mask in own]
    return _GAIN * torch.cat([part_means(residual, parts).flatten(1), mean, spread, *spreads], 1)


class LesionSteps(nn.Module):
    """Steps of intensity that a lesion style code paints into the parts of a lesion.

    Args:
        contrasts: Number of image channels.
        lesion_style: Length of the lesion style code.
    """

    def __init__(self, contrasts: int, lesion_style: int) -> None:
        super().__init__()
        self.contrasts = contrasts
        self.read = nn.Linear(lesion_style, len(PARTS) * contrasts)
        nn.init.zeros_(self.read.bias)
        with torch.no_grad():
            self.read.weight.mul_(_FIRST_STEP)

    def forward(self, labels: Tensor, lesion_code: Tensor) -> Tensor:
        """Paint the steps; 0 away from the lesion, shape (batch, contrast, x, y, z).

        Args:
            labels: Shape (batch, `conditions.LABELS`, x, y, z).
            lesion_code: Shape (batch, lesion_style).
        """
        with torch.autocast(labels.device.type, enabled=False):
            steps = self.read(lesion_code.float()).reshape(-1, len(PARTS), self.contrasts)
            flat = torch.bmm(steps.transpose(1, 2), lesion_parts(labels).flatten(2).float())
        return flat.reshape(*flat.shape[:2], *labels.shape[2:])

    @torch.no_grad()
    def start_from(self, head: nn.Linear) -> None:
        """Let the first numbers of a code be the means of the parts, and the steps read them.

        A start, in place. The edge's step comes on top of its tissue's: it is taken relative to
        the whole lesion. Where a code is shorter than the means are many only its spread is set.

        Args:
            head: The layer that makes means and log-variances of codes; its last inputs are
                `profile`.
        """
        length, count = head.out_features // 2, len(PARTS) * self.contrasts
        head.bias[length:] = _FIRST_LOG_VARIANCE
        if length < count:
            return
        first = head.in_features - profile_length(self.contrasts)
        self.read.weight.zero_()
        head.weight[:count] = 0
        head.bias[:count] = 0
        for number in range(count):
            part, contrast = divmod(number, self.contrasts)
            head.weight[number, first + number] = 1
            if PARTS[part] == "edge":
                head.weight[number, first + count + contrast] = -1
            self.read.weight[number, number] = 1 / _GAIN
