"""SynthesisPatches: crops in which one region is to be redrawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.augment import Bend, bent, draw_bend, draw_light, relit, strengthened
from fcdsynth.synthesis.crops import Corner, around, cut
from fcdsynth.synthesis.heads import Head, Heads, contrasts_of
from fcdsynth.synthesis.healthy import draw_turn, laid
from fcdsynth.synthesis.places import brain_corner
from fcdsynth.synthesis.regions import near, soft_map
from fcdsynth.synthesis.thinned import STYLE_TARGET

Patch = dict[str, Any]
_DRAWN_SHARE = 0.5  # of a control's healthy patches, where it has a drawn region of its own


@dataclass(frozen=True)
class PatchSettings:
    """How patches are cut; see `SynthesisData` for each.

    Args:
        crop: Side of the cubic crop, voxels.
        margin_mm: Width of the redrawn rim around a lesion.
        lesion_share: Share of lesion patches.
        flair: Whether there is a FLAIR channel.
        flip: Whether to mirror half of the training crops left to right.
        light: Largest logarithm of gamma and of the bias field; 0 changes nothing.
        bend_vox: Largest displacement of a training crop's voxels; 0 moves nothing.
        lesion_gain: Largest logarithm of the factor on a lesion's contrasts; 0 changes nothing.
        keep: Subjects held in memory.
        full_share: Share of the training steps in which whole brains are drawn.
        draws: Patches of one training step, over all processes.
    """

    crop: int
    margin_mm: float
    lesion_share: float
    flair: bool
    flip: bool
    light: float
    bend_vox: float
    lesion_gain: float
    keep: int
    full_share: float
    draws: int


class SynthesisPatches(Dataset[Patch]):
    """Crops in which one region is to be redrawn.

    Training index ``i`` is drawn with ``default_rng([seed, 1, i])``: with probability
    ``lesion_share`` a lesion of a patient and its surroundings, else a healthy region of any
    subject, far from the lesion and with empty lesion channels, so that "redrawn" never means
    "lesion". Healthy regions are training lesions' masks laid elsewhere, so that neither size nor
    shape tells the two apart. A validation index goes through the subjects once.

    A share ``full_share`` of the training steps is drawn in full mode instead: the region is the
    whole brain of the crop, a lesion in it keeps its channels, and the thinned head comes along
    for the style (see `fcdsynth.synthesis.thinned`). All patches of a step are of one mode: in a
    mixed batch the many voxels of a whole brain would outweigh those of a lesion. A validation
    patch brings its thinned head, to be drawn in both modes.

    Args:
        cohort: Subjects to use. Patients without a lesion mask are left out.
        donors: Subjects whose lesions give healthy regions their shape: those of the training
            split, whoever is validated.
        training: Whether to draw at random.
        settings: How to cut.
        seed: Seed of all draws.

    Raises:
        CohortError: If no subject is left, or no donor.
    """

    def __init__(
        self, cohort: Cohort, donors: Cohort, training: bool, settings: PatchSettings, seed: int
    ) -> None:
        self.cohort = cohort
        self.training = training
        self.settings = settings
        self.seed = seed
        rows = [s for s in cohort.subjects if s.has("lesion") or not s.is_patient]
        if not rows:
            raise CohortError(
                cohort.name, "no control and no patient with a lesion mask", "at least one",
                "Check the split and lesion columns of the table.",
            )  # fmt: skip
        self.donors = tuple(s for s in donors.subjects if s.is_patient and s.has("lesion"))
        if not self.donors:
            raise CohortError(
                donors.name, "no training patient with a lesion mask",
                "at least one: healthy regions take their shapes from lesions",
                "Check the split and lesion columns of the table.",
            )  # fmt: skip
        self.subjects: tuple[Subject, ...] = tuple(rows)
        self.patients = tuple(s for s in rows if s.is_patient)
        contrasts = contrasts_of(settings.flair)
        self._heads = Heads(cohort, contrasts, settings.margin_mm, settings.keep)
        self._shapes = Heads(donors, contrasts, settings.margin_mm, 1)

    def __len__(self) -> int:
        return len(self.subjects)

    def head(self, subject: Subject) -> Head:
        """Load a subject, or take it from memory; see `Heads.head`."""
        return self._heads.head(subject)

    def __getitem__(self, index: int) -> Patch:
        rng = np.random.default_rng([self.seed, int(self.training), index])
        if not self.training:
            subject = self.subjects[index]
            head = self.head(subject)
            patch = self._patch(head, rng, subject.is_patient, still=True)
            return patch | head.thinned if self.settings.full_share > 0 else patch
        lesional = bool(self.patients) and bool(rng.random() < self.settings.lesion_share)
        among = self.patients if lesional else self.subjects
        head = self.head(among[int(rng.integers(len(among)))])
        if self._is_full(index):
            return self._whole_patch(head, rng, lesional)
        return self._patch(head, rng, lesional, still=False)

    def _is_full(self, index: int) -> bool:
        share = self.settings.full_share
        step = index // self.settings.draws
        # A stream of its own: insert patches are the same with and without full ones.
        return share > 0 and bool(np.random.default_rng([self.seed, 2, step]).random() < share)

    def lesion_patch(self, subject: Subject) -> Patch:
        """The fixed patch around a patient's lesion."""
        return self._patch(self.head(subject), np.random.default_rng(0), True, still=True)

    def healthy_place(
        self, head: Head, rng: np.random.Generator, side: int, reach: int = 0
    ) -> tuple[Corner, NDArray[np.bool_]]:
        """Draw a healthy shape of the law of training, and the box it lies in.

        Args:
            head: The subject.
            rng: Source of place and shape.
            side: Side of the box, voxels.
            reach: The box may lie off the place's centre by so many voxels.

        Returns:
            The box's corner, and the shape, (side, side, side), not yet widened by the margin.
        """
        size = (side, side, side)
        own = len(head.drawn) > 0 and rng.random() < _DRAWN_SHARE
        among = head.drawn if own else head.seeds
        centre = among[rng.integers(len(among))]
        corner = around(centre + rng.integers(-reach, reach + 1, 3), size)
        if own:
            shape = np.zeros(head.tissue.shape, dtype=bool)
            shape[tuple(head.drawn.T)] = True
            return corner, cut(shape, corner, size)
        donor = self._shapes.donor(self.donors[int(rng.integers(len(self.donors)))])
        turn = draw_turn(rng, head.spacing_mm)
        lesion = cut(head.lesion, corner, size)
        taboo = near(lesion, 2 * self.settings.margin_mm, head.spacing_mm)
        free = np.where(taboo, Tissue.BACKGROUND, cut(head.tissue, corner, size))
        return corner, laid(donor, turn, free, centre - np.asarray(corner), head.spacing_mm)

    def _lesional_place(
        self, head: Head, rng: np.random.Generator, side: int, reach: int, still: bool
    ) -> tuple[Corner, NDArray[np.float32]]:
        """The box around a lesion and the soft map in it."""
        size = (side, side, side)
        where = np.argwhere(head.lesion)
        middle = int(np.argmin(np.square(where - where.mean(0)).sum(1)))
        centre = where[middle if still else rng.integers(len(where))]
        seed = where[middle if still else rng.integers(len(where))]
        corner = around(centre + rng.integers(-reach, reach + 1, 3), size)
        return corner, cut(soft_map(head.lesion, seed, head.spacing_mm), corner, size)

    def _patch(self, head: Head, rng: np.random.Generator, lesional: bool, still: bool) -> Patch:
        """Cut one crop.

        Args:
            head: The subject.
            rng: Source of place, shape and every change.
            lesional: Around a lesion, or healthy.
            still: Nothing is changed; lesions are centred.

        Returns:
            ``target`` (contrast, x, y, z) in [0, 1]; ``tissue``, ``lesion``, ``soft``, ``region``
            of shape (x, y, z); ``lesional``; ``subject``. The region never leaves the brain.
        """
        s, spacing = self.settings, head.spacing_mm
        bend = None if still or s.bend_vox == 0 else draw_bend(rng, s.bend_vox)
        room = 0 if bend is None else bend.reach
        side = s.crop + 2 * room
        reach = 0 if still else s.crop // 8
        if lesional:
            corner, soft = self._lesional_place(head, rng, side, reach, still)
            shape = lesion = cut(head.lesion, corner, soft.shape)
        else:
            corner, shape = self.healthy_place(head, rng, side, reach)
            lesion, soft = np.zeros_like(shape), np.zeros(shape.shape, np.float32)
        region = near(shape, s.margin_mm, spacing)
        patch = _bent(_cut(head, corner, lesion, soft, region), bend)
        if lesional and not still and s.lesion_gain > 0:
            gains = np.exp(rng.uniform(-s.lesion_gain, s.lesion_gain, len(patch["target"])))
            patch["target"] = strengthened(
                patch["target"], patch["tissue"], patch["lesion"] > 0, patch["region"] > 0, gains
            )
        if not still and s.light > 0:
            light = draw_light(rng, len(patch["target"]), s.light)
            patch["target"] = relit(patch["target"], light)
        if s.flip and not still and rng.random() < 0.5:
            patch = {key: array[..., ::-1, :, :].copy() for key, array in patch.items()}
        return patch | {"lesional": np.float32(lesional), "subject": head.id}

    def _whole_patch(self, head: Head, rng: np.random.Generator, lesional: bool) -> Patch:
        """Cut one crop in which the whole brain is to be drawn.

        Args:
            head: The subject.
            rng: Source of place and every change.
            lesional: Around a lesion, or anywhere in the brain's box, where a lesion may lie too.

        Returns:
            As `_patch`, and the thinned head; ``lesional`` says whether there is a lesion.
        """
        s = self.settings
        bend = None if s.bend_vox == 0 else draw_bend(rng, s.bend_vox)
        side = s.crop + 2 * (0 if bend is None else bend.reach)
        size = (side, side, side)
        if lesional:
            corner, soft = self._lesional_place(head, rng, side, s.crop // 8, still=False)
        else:
            corner, soft = brain_corner(head, rng, side), np.zeros(size, np.float32)
        lesion = cut(head.lesion, corner, size)
        if lesion.any() and not lesional:
            where = np.argwhere(head.lesion)
            seed = where[rng.integers(len(where))]
            soft = cut(soft_map(head.lesion, seed, head.spacing_mm), corner, size)
        everywhere = np.ones(size, bool)
        patch = _bent(_cut(head, corner, lesion, soft, everywhere), bend) | head.thinned
        if s.light > 0:
            # Gamma alone: a style code cannot know where a field is bright.
            light = draw_light(rng, len(patch["target"]), s.light)
            light = replace(light, slopes=0 * light.slopes, bows=0 * light.bows)
            patch |= {key: relit(patch[key], light) for key in ("target", STYLE_TARGET)}
        if s.flip and rng.random() < 0.5:
            patch = {key: array[..., ::-1, :, :].copy() for key, array in patch.items()}
        return patch | {"lesional": np.float32(patch["lesion"].any()), "subject": head.id}


def _cut(
    head: Head,
    corner: Corner,
    lesion: NDArray[np.bool_],
    soft: NDArray[np.float32],
    region: NDArray[np.bool_],
) -> Patch:
    tissue = cut(head.tissue, corner, lesion.shape)
    return {
        "target": cut(head.image, corner, lesion.shape),
        "tissue": tissue.astype(np.int64),
        "lesion": lesion.astype(np.float32),
        "soft": soft,
        "region": (region & (tissue != Tissue.BACKGROUND)).astype(np.float32),
    }


def _bent(patch: Patch, bend: Bend | None) -> Patch:
    if bend is None:
        return patch
    moved = bent(patch, bend)
    if patch["lesion"].any() and not moved["lesion"].any():  # a dropped layer took a tiny lesion
        moved = bent(patch, bend.straightened())
    return moved
