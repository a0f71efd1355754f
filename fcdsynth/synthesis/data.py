"""SynthesisData: crops of a prepared cohort with a region to redraw."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.crops import around, cut
from fcdsynth.synthesis.regions import Spacing, healthy_shape, near, soft_map
from fcdsynth.training.data import CohortData, load_arrays

Patch = dict[str, Any]


def contrasts_of(flair: bool) -> tuple[str, ...]:
    """File keys of the image channels, in their order."""
    return ("t1w", "flair") if flair else ("t1w",)


@dataclass(frozen=True, eq=False)
class Head:
    """One subject's arrays.

    Args:
        id: Subject id.
        image: Prepared intensities, shape (contrast, x, y, z), float32 in [0, 1].
        tissue: Labels, shape (x, y, z).
        lesion: Mask, same shape; empty for controls.
        spacing_mm: Voxel sizes.
        seeds: Indices of cortical voxels far from the lesion, shape (n, 3).
    """

    id: str
    image: NDArray[np.float32]
    tissue: NDArray[np.uint8]
    lesion: NDArray[np.bool_]
    spacing_mm: Spacing
    seeds: NDArray[np.int64]


class SynthesisPatches(Dataset[Patch]):
    """Crops in which one region is to be redrawn.

    Training index ``i`` is drawn with ``default_rng([seed, i])``: with probability ``lesion_share``
    a lesion of a patient and its surroundings, else a healthy region of any subject, far from
    the lesion and with empty lesion channels, so that "redrawn" never means "lesion". A
    validation index goes through the subjects once.

    Args:
        cohort: Subjects to use. Patients without a lesion mask are left out.
        training: Whether to draw at random.
        crop: Side of the cubic crop, voxels.
        margin_mm: Width of the redrawn rim around a lesion.
        lesion_share: Share of lesion patches.
        flair: Whether there is a FLAIR channel.
        flip: Whether to mirror half of the training crops left to right.
        seed: Seed of all draws.
        keep: Subjects held in memory.

    Raises:
        CohortError: If no subject is left.
    """

    def __init__(
        self,
        cohort: Cohort,
        training: bool,
        crop: int,
        margin_mm: float,
        lesion_share: float,
        flair: bool,
        flip: bool,
        seed: int,
        keep: int,
    ) -> None:
        self.cohort = cohort
        self.training = training
        self.crop = crop
        self.margin_mm = margin_mm
        self.lesion_share = lesion_share
        self.contrasts = contrasts_of(flair)
        self.flip = flip
        self.seed = seed
        self.keep = keep
        rows = [s for s in cohort.subjects if s.has("lesion") or not s.is_patient]
        if not rows:
            raise CohortError(
                cohort.name, "no control and no patient with a lesion mask", "at least one",
                "Check the split and lesion columns of the table.",
            )  # fmt: skip
        self.subjects: tuple[Subject, ...] = tuple(rows)
        self.patients = tuple(s for s in rows if s.is_patient)
        self._heads: OrderedDict[str, Head] = OrderedDict()

    def __len__(self) -> int:
        return len(self.subjects)

    def head(self, subject: Subject) -> Head:
        """Load a subject, or take it from memory.

        Raises:
            CohortError: If a file is absent or unreadable, or a patient's lesion mask is empty.
        """
        if subject.id in self._heads:
            self._heads.move_to_end(subject.id)
            return self._heads[subject.id]
        arrays, grid = load_arrays(self.cohort, subject, [*self.contrasts, "tissue", "lesion"])
        lesion = arrays["lesion"] > 0
        if subject.is_patient and not lesion.any():
            raise CohortError(
                subject.id, "an empty lesion mask", "at least one lesion voxel",
                "Correct the mask, or clear the cell of the lesion column.",
            )  # fmt: skip
        tissue = arrays["tissue"]
        far = (tissue == Tissue.CORTEX) & ~near(lesion, 3 * self.margin_mm, grid.spacing_mm)
        image = np.stack([arrays[key] for key in self.contrasts]).astype(np.float32)
        head = Head(subject.id, image, tissue, lesion, grid.spacing_mm, np.argwhere(far))
        if not len(head.seeds):
            raise CohortError(
                subject.id, "no cortex away from the lesion", "a tissue map with cortex",
                "Look at the tissue labels; run fcdsynth prepare again.",
            )  # fmt: skip
        self._heads[subject.id] = head
        if len(self._heads) > self.keep:
            self._heads.popitem(last=False)
        return head

    def __getitem__(self, index: int) -> Patch:
        rng = np.random.default_rng([self.seed, int(self.training), index])
        if not self.training:
            subject = self.subjects[index]
            return self.patch(self.head(subject), rng, subject.is_patient, still=True)
        lesional = bool(self.patients) and bool(rng.random() < self.lesion_share)
        among = self.patients if lesional else self.subjects
        head = self.head(among[int(rng.integers(len(among)))])
        return self.patch(head, rng, lesional)

    def lesion_patch(self, subject: Subject) -> Patch:
        """The fixed patch around a patient's lesion."""
        return self.patch(self.head(subject), np.random.default_rng(0), True, still=True)

    def patch(
        self, head: Head, rng: np.random.Generator, lesional: bool, still: bool = False
    ) -> Patch:
        """Cut one crop.

        Args:
            head: The subject.
            rng: Source of place, size and mirroring.
            lesional: Around a lesion, or healthy.
            still: No jitter, no mirroring; lesions are centred.

        Returns:
            ``target`` (contrast, x, y, z) in [0, 1]; ``tissue``, ``lesion``, ``soft``, ``region``
            of shape (x, y, z); ``lesional``; ``subject``. The region never leaves the brain.
        """
        size = (self.crop, self.crop, self.crop)
        if lesional:
            where = np.argwhere(head.lesion)
            near_middle = np.argmin(np.square(where - where.mean(0)).sum(1))
            centre = where[near_middle if still else rng.integers(len(where))]
            seed = where[near_middle if still else rng.integers(len(where))]
        else:
            centre = head.seeds[rng.integers(len(head.seeds))]
        reach = 0 if still else self.crop // 8
        corner = around(centre + rng.integers(-reach, reach + 1, 3), size)
        tissue = cut(head.tissue, corner, size)
        lesion = cut(head.lesion, corner, size)
        soft = np.zeros(size, dtype=np.float32)
        spacing = head.spacing_mm
        if lesional:
            region = near(lesion, self.margin_mm, spacing)
            soft = cut(soft_map(head.lesion, seed, spacing), corner, size)
        else:
            forbidden = near(lesion, 2 * self.margin_mm, spacing)
            free = np.where(forbidden, Tissue.BACKGROUND, tissue)
            shape = healthy_shape(rng, free, centre - np.asarray(corner), spacing)
            region = near(shape, self.margin_mm, spacing)
            lesion = np.zeros_like(lesion)
        patch = {
            "target": cut(head.image, corner, size),
            "tissue": tissue.astype(np.int64),
            "lesion": lesion.astype(np.float32),
            "soft": soft,
            "region": (region & (tissue != Tissue.BACKGROUND)).astype(np.float32),
        }
        if self.flip and not still and rng.random() < 0.5:
            patch = {key: array[..., ::-1, :, :].copy() for key, array in patch.items()}
        return patch | {"lesional": np.float32(lesional), "subject": head.id}


class SynthesisData(CohortData):
    """Crops for the generator, in insert mode.

    Args:
        cohort: Folder or table of a prepared cohort with its splits set.
        batch_size: Patches per batch and process.
        steps_per_epoch: Batches per epoch and process.
        workers: Loader processes; 0 loads in the training process.
        crop: Side of the cubic crop, voxels.
        margin_mm: Width of the redrawn rim around a lesion, mm.
        lesion_share: Share of training patches around a lesion, in [0, 1].
        flair: Whether to draw T1w and FLAIR (true) or T1w alone.
        flip: Whether to mirror half of the training patches left to right.
        keep: Subjects held in memory.

    Raises:
        SettingsError: If a setting is out of range.
    """

    def __init__(
        self,
        cohort: str,
        batch_size: int = 2,
        steps_per_epoch: int = 250,
        workers: int = 0,
        crop: int = 96,
        margin_mm: float = 4.0,
        lesion_share: float = 0.6,
        flair: bool = True,
        flip: bool = True,
        keep: int = 64,
    ) -> None:
        super().__init__(cohort, batch_size, steps_per_epoch, workers)
        faults = (
            ("crop", crop, crop >= 8, "at least 8 voxels"),
            ("margin_mm", margin_mm, margin_mm > 0, "more than 0 mm"),
            ("lesion_share", lesion_share, 0 <= lesion_share <= 1, "a share in [0, 1]"),
            ("keep", keep, keep >= 1, "at least 1"),
        )
        for key, value, right, expected in faults:
            if not right:
                raise SettingsError(f"data.{key}", str(value), expected, "Change the setting.")
        self.crop = crop
        self.margin_mm = margin_mm
        self.lesion_share = lesion_share
        self.flair = flair
        self.flip = flip
        self.keep = keep

    def make_dataset(self, cohort: Cohort, training: bool) -> SynthesisPatches:
        """Crops of the given subjects."""
        return SynthesisPatches(
            cohort, training, self.crop, self.margin_mm, self.lesion_share, self.flair,
            self.flip, self.seed, self.keep,
        )  # fmt: skip
