"""Random changes of a training patch, each decided by one seed."""

from __future__ import annotations

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrast,
    RandAffined,
    RandFlipd,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandScaleIntensity,
    RandShiftIntensity,
)
from numpy.typing import NDArray

Patch = tuple[int, int, int]


def padded(patch: Patch) -> Patch:
    """Size to cut so that turning and scaling rarely look past the edge; the excess is even."""
    x, y, z = (size + 2 * int(np.ceil(size / 8)) for size in patch)
    return (x, y, z)


class Augment:
    """Flip, turn, scale, and change contrast, brightness, noise and sharpness.

    The prepared intensity is changed, before it becomes a z-score, each channel by itself: two
    contrasts of one head do not share their scanner's mood. Voxels outside the brain stay 0.

    Args:
        patch: Size that comes out, in voxels.
        strength: 0 changes nothing, 1 is the default amount.
    """

    def __init__(self, patch: Patch, strength: float = 1.0) -> None:
        angle, scale = 0.26 * strength, 0.15 * strength
        keys = ("image", "label")
        flips = [RandFlipd(keys, prob=0.5 * min(strength, 1), spatial_axis=0)]
        self.space = Compose([
            *flips,
            RandAffined(
                keys,
                prob=0.5 * min(strength, 1),
                rotate_range=(angle,) * 3,
                scale_range=(scale,) * 3,
                spatial_size=patch,
                mode=("bilinear", "nearest"),
                padding_mode="zeros",
            ),
        ])  # fmt: skip
        often = 0.3 * min(strength, 1)
        self.intensity = Compose([
            RandGaussianSmooth(*[(0.3, 0.3 + 0.6 * strength)] * 3, prob=often / 2),
            RandAdjustContrast(prob=often, gamma=(1 / (1 + 0.4 * strength), 1 + 0.4 * strength)),
            RandScaleIntensity(factors=0.08 * strength, prob=2 * often),
            RandShiftIntensity(offsets=0.04 * strength, prob=2 * often),
            RandGaussianNoise(prob=often, std=0.03 * strength),
        ])  # fmt: skip

    def __call__(
        self, image: NDArray[np.float32], label: NDArray[np.uint8], seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Change one patch.

        Args:
            image: Prepared intensities, (channel, x, y, z) of size ``padded(patch)``.
            label: Lesion mask, (1, x, y, z) of the same size.
            seed: Decides everything that is drawn.

        Returns:
            Image and label of size ``patch``.
        """
        self.space.set_random_state(seed=seed)
        moved = self.space({"image": torch.from_numpy(image), "label": torch.from_numpy(label)})
        channels = _array(moved["image"]).astype(np.float32)
        brain = channels > 0
        for number, channel in enumerate(channels):
            self.intensity.set_random_state(seed=seed + number + 1)
            changed = _array(self.intensity(torch.from_numpy(channel[None].copy())))
            channels[number] = np.clip(changed[0], 0.01, 1)
        return np.where(brain, channels, np.float32(0)), _array(moved["label"]).astype(np.uint8)


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().cpu().numpy())
