"""Random changes of a training patch, each decided by one seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.transforms import (
    Compose,
    RandAdjustContrast,
    RandBiasField,
    RandGaussianNoise,
    RandGaussianSmooth,
    RandScaleIntensity,
    RandShiftIntensity,
    RandSimulateLowResolution,
)
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fcdsynth.detector.inputs import Kinds

Patch = tuple[int, int, int]
_CONTROL_POINTS = 5  # of the warp, along each axis of a patch


def padded(patch: Patch) -> Patch:
    """Size to cut so that turning and scaling rarely look past the edge; the excess is even."""
    x, y, z = (size + 2 * int(np.ceil(size / 8)) for size in patch)
    return (x, y, z)


class Augment:
    """Flip, turn, scale and warp; then another scanner's gamma, bias, resolution and noise.

    A cohort has few brains beside the number of patches that are drawn from it: flips along all
    axes and a smooth warp make new folds of the same cortex. The prepared intensities are
    changed, before they become z-scores, each contrast by itself: two contrasts of one head do
    not share their scanner's mood. Maps that are differences or distances move with the head
    and are left alone otherwise. Voxels outside the brain stay 0.

    Args:
        patch: Size that comes out, in voxels.
        inputs: Names of the channels.
        strength: 0 changes nothing, 1 is the default amount.
        flips: Whether to flip along all axes, or left to right alone.
    """

    def __init__(
        self, patch: Patch, inputs: tuple[str, ...], strength: float = 1.0, flips: bool = True
    ) -> None:
        often = min(strength, 1.0)
        self.kinds = Kinds(inputs)
        self.patch = patch
        self.strength, self.often = strength, often
        self.axes = (0, 1, 2) if flips else (0,)
        self.intensity = Compose([
            RandSimulateLowResolution(prob=0.15 * often, zoom_range=(0.6, 1.0)),
            RandGaussianSmooth(*[(0.2, 0.2 + 0.5 * strength)] * 3, prob=0.15 * often),
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
        channels, mask = self._move(image, label, np.random.default_rng([seed, 0]))
        brain = self.kinds.brain(channels)
        for number in self.kinds.intensities:
            present = brain & (channels[number] > 0)
            self.intensity.set_random_state(seed=seed + 1 + number)
            changed = _array(self.intensity(torch.from_numpy(channels[number][None].copy())))[0]
            channels[number] = np.where(present, np.clip(changed, 0.01, 1), np.float32(0))
        channels[:, ~brain] = 0
        return channels, mask

    def _move(
        self, image: NDArray[np.float32], label: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Flip and, mostly, turn, scale and warp; else cut the middle out."""
        flipped = tuple(axis + 1 for axis in self.axes if rng.random() < 0.5 * self.often)
        image, label = np.flip(image, flipped), np.flip(label, flipped)
        if rng.random() >= 0.6 * self.often:
            middle = tuple(slice((n - s) // 2, (n - s) // 2 + s)
                           for n, s in zip(image.shape[1:], self.patch, strict=True))  # fmt: skip
            return (np.ascontiguousarray(image[(slice(None), *middle)]),
                    np.ascontiguousarray(label[(slice(None), *middle)]))  # fmt: skip
        places = self._places(image.shape[1:], rng)
        moved = [
            F.grid_sample(
                torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))[None], places,
                mode=mode, align_corners=True,
            )[0].numpy()
            for array, mode in ((image, "bilinear"), (label, "nearest"))
        ]  # fmt: skip
        return moved[0], moved[1].astype(np.uint8)

    def _places(self, shape: tuple[int, ...], rng: np.random.Generator) -> Tensor:
        """Where each voxel of the patch comes from, as `grid_sample` wants it."""
        axes = [np.linspace(-(s - 1) / 2, (s - 1) / 2, s, dtype=np.float32) for s in self.patch]
        points = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        angles = rng.uniform(-0.35, 0.35, 3) * self.strength
        scales = 1 + rng.uniform(-0.2, 0.2, 3) * self.strength
        matrix = np.eye(3)
        for axis, angle in enumerate(angles):
            one, other = (axis + 1) % 3, (axis + 2) % 3
            turn = np.eye(3)
            turn[one, one] = turn[other, other] = np.cos(angle)
            turn[one, other], turn[other, one] = -np.sin(angle), np.sin(angle)
            matrix = matrix @ turn
        moved = points @ (matrix * scales).T.astype(np.float32)
        # SD of a sixth of the distance of the control points: folds of space are rare.
        size = np.asarray(self.patch) / (_CONTROL_POINTS - 1) / 6
        coarse = rng.standard_normal((3, *[_CONTROL_POINTS] * 3)) * size[:, None, None, None]
        warp = F.interpolate(
            torch.from_numpy(coarse.astype(np.float32))[None] * self.strength, self.patch,
            mode="trilinear", align_corners=True,
        )[0].permute(1, 2, 3, 0)  # fmt: skip
        half = torch.tensor([(n - 1) / 2 for n in shape], dtype=torch.float32)
        # grid_sample counts the last axis first.
        return ((torch.from_numpy(moved.astype(np.float32)) + warp) / half).flip(-1)[None]


def _array(tensor: Any) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().cpu().numpy())
