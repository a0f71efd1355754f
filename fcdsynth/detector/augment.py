"""Random changes of a training patch, each decided by one seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrast,
    RandAffined,
    RandBiasField,
    RandFlipd,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandScaleIntensity,
    RandShiftIntensity,
    RandSimulateLowResolution,
)
from numpy.typing import NDArray

from fcdsynth.detector.inputs import Kinds

Patch = tuple[int, int, int]


def padded(patch: Patch) -> Patch:
    """Size to cut so that turning and scaling rarely look past the edge; the excess is even."""
    x, y, z = (size + 2 * int(np.ceil(size / 8)) for size in patch)
    return (x, y, z)


class Augment:
    """Flip, turn and scale; then another scanner's gamma, bias field, resolution and noise.

    The prepared intensities are changed, before they become z-scores, each contrast by itself:
    two contrasts of one head do not share their scanner's mood. Maps that are differences or
    distances move with the head and are left alone otherwise. Voxels outside the brain stay 0.

    Args:
        patch: Size that comes out, in voxels.
        inputs: Names of the channels.
        strength: 0 changes nothing, 1 is the default amount.
    """

    def __init__(self, patch: Patch, inputs: tuple[str, ...], strength: float = 1.0) -> None:
        angle, scale, often = 0.35 * strength, 0.2 * strength, min(strength, 1.0)
        keys = ("image", "label")
        self.kinds = Kinds(inputs)
        self.patch = patch
        self.flip = RandFlipd(keys, prob=0.5 * often, spatial_axis=0)
        self.turn = RandAffined(
            keys, prob=0.4 * often, rotate_range=(angle,) * 3, scale_range=(scale,) * 3,
            spatial_size=patch, mode=("bilinear", "nearest"), padding_mode="zeros",
        )  # fmt: skip
        self.intensity = Compose([
            RandSimulateLowResolution(prob=0.15 * often, zoom_range=(0.6, 1.0)),
            RandGaussianSmooth(*[(0.3, 0.3 + 0.6 * strength)] * 3, prob=0.15 * often),
            RandAdjustContrast(
                prob=0.3 * often, gamma=(1 / (1 + 0.5 * strength), 1 + 0.5 * strength)
            ),
            RandBiasField(prob=0.2 * often, degree=2, coeff_range=(0.0, 0.1 * strength)),
            RandScaleIntensity(factors=0.1 * strength, prob=0.5 * often),
            RandShiftIntensity(offsets=0.04 * strength, prob=0.5 * often),
            RandGaussianNoise(prob=0.3 * often, std=0.03 * strength),
        ])  # fmt: skip

    def __call__(
        self, image: NDArray[np.float32], label: NDArray[np.uint8], seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Change one patch.

        Args:
            image: Channels (channel, x, y, z) of size ``padded(patch)``.
            label: Lesion mask, (1, x, y, z) of the same size.
            seed: Decides everything that is drawn.

        Returns:
            Image and label of size ``patch``.
        """
        for number, transform in enumerate((self.flip, self.turn)):
            transform.set_random_state(seed=seed + number)
        both = {"image": torch.from_numpy(image), "label": torch.from_numpy(label)}
        moved = self.turn(self.flip(both))
        channels = np.ascontiguousarray(_array(moved["image"]), dtype=np.float32)
        brain = self.kinds.brain(channels)
        for number in self.kinds.intensities:
            present = brain & (channels[number] > 0)
            self.intensity.set_random_state(seed=seed + 2 + number)
            changed = _array(self.intensity(torch.from_numpy(channels[number][None].copy())))[0]
            channels[number] = np.where(present, np.clip(changed, 0.01, 1), np.float32(0))
        for number in range(len(channels)):
            channels[number][~brain] = 0
        return channels, _array(moved["label"]).astype(np.uint8)


def _array(tensor: Any) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().cpu().numpy())
