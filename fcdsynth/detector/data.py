"""DetectorData: patches from real and synthetic patients and controls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.progress import track
from fcdsynth.core.subject import Origin, Subject
from fcdsynth.detector.cache import cache_key, cached
from fcdsynth.detector.inputs import CONTRASTS, Kinds, check_inputs, common_spacing, load_channels
from fcdsynth.detector.patches import (
    KINDS,
    FixedPatches,
    LoadedSubject,
    PatchSettings,
    RandomPatches,
    kind_of,
)
from fcdsynth.detector.snapshots import Watched, watch
from fcdsynth.training.data import CohortData


class DetectorData(CohortData):
    """Patches of a prepared cohort for the detector.

    A patch comes from a real patient, a synthetic patient or a control (real or synthetic) in
    the ratio of the three weights; a kind that the cohort lacks drops out. Volumes are held in
    memory, 2 bytes per voxel and channel and 1 for the mask, or mapped from a cache on disk.

    Args:
        cohort: Folder or table of a prepared cohort with its splits set.
        batch_size: Patches per batch and process.
        steps_per_epoch: Batches per epoch and process; validation follows each epoch.
        workers: Loader processes; 0 loads in the training process.
        inputs: Channels, see `fcdsynth.detector.inputs.CHANNELS`; the model's ``inputs`` must be
            the same.
        patch_size: Patch size in voxels.
        real_weight: Weight of real (or phantom) patients.
        synthetic_weight: Weight of synthetic patients.
        control_weight: Weight of controls.
        lesion_share: Share of a patient's patches that are placed on the lesion, and of a
            synthetic control's on the region redrawn as healthy; the rest lie anywhere in the
            brain.
        augment: Strength of the random changes, 0 for none.
        flips: Flip patches along all axes; left to right alone where false.
        flair_dropout: Share of training patches whose FLAIR is blanked; above 0, subjects
            without FLAIR are accepted, here and by detect.
        synthetic_per_epoch: Synthetic patients, and synthetic controls, that each epoch draws
            anew from all there are; 0 to use all of them in every epoch.
        cache: Folder where loaded subjects are kept for later fits and folds, and mapped from
            instead of held in memory; empty for none.

    Raises:
        SettingsError: If a setting is out of range.
    """

    def __init__(
        self,
        cohort: str,
        batch_size: int = 2,
        steps_per_epoch: int = 250,
        workers: int = 0,
        inputs: tuple[str, ...] = ("t1w", "flair"),
        patch_size: tuple[int, int, int] = (128, 128, 128),
        real_weight: float = 1.0,
        synthetic_weight: float = 1.0,
        control_weight: float = 1.0,
        lesion_share: float = 0.67,
        augment: float = 1.0,
        flips: bool = True,
        flair_dropout: float = 0.0,
        synthetic_per_epoch: int = 0,
        cache: str = "",
    ) -> None:
        super().__init__(cohort, batch_size, steps_per_epoch, workers)
        self.inputs = check_inputs(inputs, "data.inputs")
        mirror = any(name.endswith("_mirror") for name in self.inputs)
        made_from = ("t1w", "flair", "brain", "tissue", "transforms") if mirror else ()
        self.reads = tuple(dict.fromkeys((*self.inputs, "lesion", "region", *made_from)))
        self.synthetic_per_epoch = synthetic_per_epoch
        self.cache = cache
        self.snapshots = False  # the task asks for them
        self.watched: list[Watched] = []
        self.patch_size = patch_size
        self.weights = (real_weight, synthetic_weight, control_weight)
        self.lesion_share = lesion_share
        self.augment = augment
        self.flips = flips
        self.flair_dropout = flair_dropout
        for name, value, top in (
            *((f"{kind}_weight", w, np.inf) for kind, w in zip(KINDS, self.weights, strict=True)),
            ("lesion_share", lesion_share, 1),
            ("augment", augment, 2),
            ("flair_dropout", flair_dropout, 0.9),
            ("synthetic_per_epoch", synthetic_per_epoch, np.inf),
        ):
            if not 0 <= value <= top:
                raise SettingsError(f"data.{name}", str(value), f"0 to {top:g}",
                                    "Change the setting.")  # fmt: skip
        if min(patch_size) < 8:
            raise SettingsError("data.patch_size", str(list(patch_size)), "at least 8 voxels",
                                "Change the setting.")  # fmt: skip

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Voxel size of the training and validation subjects.

        Raises:
            GeometryError: If they differ.
        """
        used = self.cohort.select(lambda s: s.split in ("train", "val"))
        return common_spacing(used, next(key for key in self.inputs if key in CONTRASTS))

    def load(self, cohort: Cohort, subject: Subject) -> LoadedSubject:
        """Load one subject.

        Raises:
            CohortError: If a channel is absent, or a patient has no lesion mask or an empty one.
        """
        if not self.cache:
            return self._read(cohort, subject)
        files = [cohort.path(subject, key) for key in self.reads if subject.has(key)]
        told = (kind_of(subject), subject.group, subject.origin, self.flair_dropout > 0)
        key = cache_key(files, self.inputs, told)
        return cached(Path(self.cache), key, subject.id, lambda: self._read(cohort, subject))

    def _read(self, cohort: Cohort, subject: Subject) -> LoadedSubject:
        image, (lesion, region), _ = load_channels(
            cohort, subject, self.inputs, self.flair_dropout > 0, lesion=True
        )
        if subject.is_patient and not lesion.any():
            raise CohortError(
                subject.id, "a patient without any lesion voxel", "a lesion mask",
                "Give the patient a mask, or set the split to none.",
            )  # fmt: skip
        if not subject.is_patient and lesion.any():
            raise CohortError(subject.id, "a control with a lesion mask", "none",
                              "Correct the group or remove the mask.")  # fmt: skip
        synthetic = subject.origin is Origin.SYNTHETIC
        focus = np.argwhere(region if synthetic and not subject.is_patient else lesion)
        inside = np.argwhere(Kinds(self.inputs).brain(image))
        if len(inside) == 0:
            raise CohortError(subject.id, "images that are 0 everywhere", "a brain",
                              "Prepare the subject again.")  # fmt: skip
        step = max(len(inside) // 20_000, 1)
        return LoadedSubject(
            subject.id,
            kind_of(subject),
            image.astype(np.float16),
            lesion,
            focus.astype(np.int16),
            inside[::step].astype(np.int16),
            synthetic,
        )

    def make_dataset(self, cohort: Cohort, training: bool) -> Dataset[Any]:
        """Load the subjects into memory and make the dataset of one split."""
        what = f"loading {'training' if training else 'held-out'} subjects"
        subjects = [self.load(cohort, subject) for subject in track(cohort.subjects, what)]
        if self.snapshots:
            split = "train" if training else "val"
            places = (watch(s, split, self.patch_size, self.inputs, self.seed) for s in subjects)
            self.watched += [place for place in places if place is not None]
        _, world = self.rank_and_world
        settings = PatchSettings(
            self.seed, self.patch_size, self.inputs, self.weights, self.lesion_share,
            self.augment, self.flips, self.flair_dropout,
            self.steps_per_epoch * self.batch_size * world, self.synthetic_per_epoch,
        )  # fmt: skip
        return RandomPatches(subjects, settings) if training else FixedPatches(subjects, settings)
