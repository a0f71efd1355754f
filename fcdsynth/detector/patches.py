"""Patches: what is cut from which subject, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from fcdsynth.core.errors import CohortError
from fcdsynth.core.subject import Origin, Subject
from fcdsynth.detector.augment import Augment, Patch, padded
from fcdsynth.detector.inputs import Kinds, standardise

KINDS = ("real", "synthetic", "control")
_GOLDEN = (5**0.5 - 1) / 2
_T = TypeVar("_T")


def kind_of(subject: Subject) -> str:
    """Which weight a subject falls under: ``real`` or ``synthetic`` patient, or ``control``."""
    if not subject.is_patient:
        return "control"
    return "synthetic" if subject.origin is Origin.SYNTHETIC else "real"


@dataclass(frozen=True, eq=False)
class LoadedSubject:
    """A subject in memory.

    Args:
        id: Subject id.
        kind: One of `KINDS`.
        image: Channels as `load_channels` gives them, float16, (channel, x, y, z).
        lesion: Lesion mask, uint8, (x, y, z).
        focus: Voxels to centre patches on, (n, 3): the lesion's, or in a synthetic control those
            of the region that was redrawn as healthy.
        brain: Voxels of the brain, a fixed sample of at most 20 000, (n, 3).
        synthetic: Whether it belongs to the pool that each epoch draws from.
    """

    id: str
    kind: str
    image: NDArray[np.float16]
    lesion: NDArray[np.uint8]
    focus: NDArray[np.int16]
    brain: NDArray[np.int16]
    synthetic: bool = False


def cut_corner(centre: NDArray[Any], shape: Sequence[int], size: Patch) -> NDArray[np.int64]:
    """Corner of the box that `cut` takes, shape (3,); below 0 where the volume is too small."""
    corner = [
        (n - s) // 2 if n < s else int(np.clip(int(c) - s // 2, 0, n - s))
        for c, n, s in zip(centre, shape, size, strict=True)
    ]
    return np.array(corner, dtype=np.int64)


def cut(array: NDArray[Any], centre: NDArray[Any], size: Patch) -> NDArray[Any]:
    """Cut a box around a voxel, moved to lie inside the volume, zero where it cannot.

    Args:
        array: (channel, x, y, z).
        centre: Voxel index, shape (3,).
        size: Box size in voxels.

    Returns:
        (channel, *size), a copy.
    """
    box = np.zeros((array.shape[0], *size), dtype=array.dtype)
    source, target = [], []
    corner = cut_corner(centre, array.shape[1:], size)
    for start, n, s in zip(corner, array.shape[1:], size, strict=True):
        first, last = max(start, 0), min(start + s, n)
        source.append(slice(first, last))
        target.append(slice(first - start, last - start))
    box[(slice(None), *target)] = array[(slice(None), *source)]
    return box


@dataclass(frozen=True)
class PatchSettings:
    """How patches are drawn; see `fcdsynth.detector.data.DetectorData`.

    Args:
        seed: Seed of the run.
        patch_size: Voxels.
        inputs: Names of the channels.
        weights: Of the kinds, in the order of `KINDS`.
        lesion_share: Share of patches on the lesion or the redrawn region.
        augment: Strength of the random changes.
        flips: Whether patches are flipped along all axes, or left to right alone.
        flair_dropout: Share of patches whose FLAIR is blanked.
        epoch: Draws of an epoch, over all processes.
        synthetic_per_epoch: Synthetic subjects of each group that an epoch uses; 0 for all.
    """

    seed: int
    patch_size: Patch
    inputs: tuple[str, ...]
    weights: tuple[float, float, float]
    lesion_share: float
    augment: float
    flips: bool
    flair_dropout: float
    epoch: int = 1
    synthetic_per_epoch: int = 0


def kind_number(index: int, shares: NDArray[np.float64], offset: float) -> int:
    """Kind of draw ``index``: any few draws in a row hold the kinds in their set ratio.

    Multiples of the golden ratio's fraction fill [0, 1) as evenly as a sequence can, so the
    shares hold to within a draw or two, where drawing at random leaves them to luck.

    Args:
        index: Number of the draw.
        shares: Shares of the kinds, sum 1.
        offset: Start of the sequence in [0, 1).
    """
    place = (offset + index * _GOLDEN) % 1.0
    below = int(np.searchsorted(np.cumsum(shares), place, side="right"))
    return min(below, len(shares) - 1)


def pool_of_epoch(pool: Sequence[_T], size: int, seed: int, epoch: int, group: int) -> Sequence[_T]:
    """The part of a pool that an epoch uses, drawn anew for each.

    Args:
        pool: All synthetic subjects of a group.
        size: How many; 0 or more than there are for all.
        seed: Seed of the run.
        epoch: Number of the epoch.
        group: Number that keeps the groups' draws apart.
    """
    if not 0 < size < len(pool):
        return pool
    rng = np.random.default_rng([seed, 1, group, epoch])
    return [pool[n] for n in np.sort(rng.choice(len(pool), size, replace=False))]


class RandomPatches(Dataset[Any]):
    """Patches drawn at random; draw ``index`` depends on nothing but seed and index.

    Args:
        subjects: Training subjects in memory.
        settings: How patches are drawn.

    Raises:
        CohortError: If no patient can be drawn.
    """

    def __init__(self, subjects: Sequence[LoadedSubject], settings: PatchSettings) -> None:
        self.by_kind = {k: [s for s in subjects if s.kind == k] for k in KINDS}
        weights = [
            w if self.by_kind[k] else 0.0 for k, w in zip(KINDS, settings.weights, strict=True)
        ]
        if sum(weights[:2]) == 0:
            raise CohortError(
                "training subjects", "no patient in training whose weight is above 0",
                "at least one", "Change the splits, or data.real_weight and data.synthetic_weight.",
            )  # fmt: skip
        self.shares = np.asarray(weights) / sum(weights)
        self.offset = float(np.random.default_rng([settings.seed, 2]).random())
        self.settings = settings
        self.flair = Kinds(settings.inputs).of_flair
        self.augment = None
        if settings.augment > 0:
            self.augment = Augment(
                settings.patch_size, settings.inputs, settings.augment, settings.flips
            )

    def subjects_at(self, index: int, kind: str) -> Sequence[LoadedSubject]:
        """Subjects of a kind that may be drawn at ``index``."""
        every, settings = self.by_kind[kind], self.settings
        if settings.synthetic_per_epoch == 0 or kind == "real":
            return every
        made = [s for s in every if s.synthetic]
        epoch = index // settings.epoch
        number = KINDS.index(kind)
        used = pool_of_epoch(made, settings.synthetic_per_epoch, settings.seed, epoch, number)
        return [*(s for s in every if not s.synthetic), *used]

    def __getitem__(self, index: int) -> dict[str, Any]:
        settings = self.settings
        rng = np.random.default_rng([settings.seed, index])
        kind = KINDS[kind_number(index, self.shares, self.offset)]
        among = self.subjects_at(index, kind)
        subject = among[int(rng.integers(len(among)))]
        focused = len(subject.focus) > 0 and rng.random() < settings.lesion_share
        voxels = subject.focus if focused else subject.brain
        # The lesion lies anywhere in the inner half of the patch, not always at its centre.
        shift = rng.uniform(-0.25, 0.25, 3) * np.asarray(settings.patch_size)
        centre = np.rint(voxels[int(rng.integers(len(voxels)))] + shift)
        drop = len(self.flair) > 0 and rng.random() < settings.flair_dropout
        size = padded(settings.patch_size) if self.augment else settings.patch_size
        image = cut(subject.image, centre, size).astype(np.float32)
        label = cut(subject.lesion[None], centre, size)
        if self.augment:
            image, label = self.augment(image, label, int(rng.integers(2**31)))
        if drop:
            image[self.flair] = 0
        return {
            "image": torch.from_numpy(standardise(image, settings.inputs)),
            "lesion": torch.from_numpy(label),
            "subject": subject.id,
        }


class FixedPatches(Dataset[Any]):
    """The same patches every time: on the lesions of patients and at random places in everyone.

    Args:
        subjects: Held-out subjects in memory.
        settings: Size and seed of the patches.
        per_subject: Patches of each subject; in patients every other one is on the lesion.
    """

    def __init__(
        self, subjects: Sequence[LoadedSubject], settings: PatchSettings, per_subject: int = 4
    ) -> None:
        self.size = settings.patch_size
        self.inputs = settings.inputs
        self.places: list[tuple[LoadedSubject, NDArray[Any]]] = []
        for number, subject in enumerate(subjects):
            rng = np.random.default_rng([settings.seed, number])
            for turn in range(per_subject):
                voxels = subject.focus if turn % 2 == 0 and len(subject.focus) else subject.brain
                self.places.append((subject, voxels[int(rng.integers(len(voxels)))]))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> dict[str, Any]:
        subject, centre = self.places[index]
        image = cut(subject.image, centre, self.size).astype(np.float32)
        return {
            "image": torch.from_numpy(standardise(image, self.inputs)),
            "lesion": torch.from_numpy(cut(subject.lesion[None], centre, self.size)),
            "subject": subject.id,
        }
