"""SynthesisData: crops of a prepared cohort with a region, or a whole brain, to redraw."""

from __future__ import annotations

from dataclasses import replace

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.subject import Split
from fcdsynth.synthesis.augment import most_bend
from fcdsynth.synthesis.heads import Head as Head
from fcdsynth.synthesis.heads import contrasts_of as contrasts_of
from fcdsynth.synthesis.patches import PatchSettings, SynthesisPatches
from fcdsynth.training.data import CohortData


class SynthesisData(CohortData):
    """Crops for the generator, for insert mode and for full mode.

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
        light: Change the light of training patches: a gamma and a smooth field of each contrast,
            of at most this logarithm; 0 changes nothing.
        bend_vox: Bend training patches, image and labels alike, by at most so many voxels; 0
            bends nothing.
        lesion_gain: Change a training lesion's contrasts, each by a factor of its own of at most
            this logarithm; 0 changes nothing.
        keep: Subjects held in memory.
        full_share: Share of the training steps that draw whole brains, from labels and the style
            of the scan alone, in [0, 1]; 0 trains insert mode alone, and full mode is then
            refused.

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
        light: float = 0.1,
        bend_vox: float = 1.0,
        lesion_gain: float = 0.5,
        keep: int = 64,
        full_share: float = 0.25,
    ) -> None:
        super().__init__(cohort, batch_size, steps_per_epoch, workers)
        limit = most_bend(crop)
        faults = (
            ("crop", crop, crop >= 8, "at least 8 voxels"),
            ("margin_mm", margin_mm, margin_mm > 0, "more than 0 mm"),
            ("lesion_share", lesion_share, 0 <= lesion_share <= 1, "a share in [0, 1]"),
            ("light", light, 0 <= light <= 0.5, "a number in [0, 0.5]"),
            ("bend_vox", bend_vox, 0 <= bend_vox <= limit, f"0 to {limit:.2g} in such a crop"),
            ("lesion_gain", lesion_gain, 0 <= lesion_gain <= 1, "a number in [0, 1]"),
            ("keep", keep, keep >= 1, "at least 1"),
            ("full_share", full_share, 0 <= full_share <= 1, "a share in [0, 1]"),
        )
        for key, value, right, expected in faults:
            if not right:
                raise SettingsError(f"data.{key}", str(value), expected, "Change the setting.")
        self.crop = crop
        self.margin_mm = margin_mm
        self.flair = flair
        self.full_share = full_share
        self.settings = PatchSettings(
            crop, margin_mm, lesion_share, flair, flip, light, bend_vox, lesion_gain, keep,
            full_share, batch_size,
        )  # fmt: skip

    def make_dataset(self, cohort: Cohort, training: bool) -> SynthesisPatches:
        """Crops of the given subjects; shapes of healthy regions from the training split."""
        donors = self.cohort.of_split(Split.TRAIN)
        _, processes = self.rank_and_world
        settings = replace(self.settings, draws=self.batch_size * processes)
        return SynthesisPatches(cohort, donors, training, settings, self.seed)
