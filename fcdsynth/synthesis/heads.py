"""Subjects as the generator's data sees them, held in memory."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.healthy import Donor
from fcdsynth.synthesis.regions import Spacing, box_around, near
from fcdsynth.synthesis.thinned import thinned
from fcdsynth.training.data import load_arrays


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
        drawn: Voxels of a control's own drawn region, shape (m, 3); mostly there are none.
    """

    id: str
    image: NDArray[np.float32]
    tissue: NDArray[np.uint8]
    lesion: NDArray[np.bool_]
    spacing_mm: Spacing
    seeds: NDArray[np.int32]
    drawn: NDArray[np.int32]

    @cached_property
    def brain(self) -> tuple[slice, slice, slice]:
        """The box around the brain."""
        return box_around(self.tissue != Tissue.BACKGROUND, (0, 0, 0))

    @cached_property
    def thinned(self) -> dict[str, NDArray[Any]]:
        """The whole head in few voxels, see `fcdsynth.synthesis.thinned.thinned`."""
        return thinned(self.image, self.tissue, self.lesion, self.spacing_mm)


class Heads:
    """Heads and donors of a cohort, loaded when first asked for.

    Args:
        cohort: The table the subjects belong to.
        contrasts: File keys of the image channels.
        margin_mm: Width of the redrawn rim around a lesion; healthy places keep three times that.
        keep: Heads held in memory.
    """

    def __init__(
        self, cohort: Cohort, contrasts: tuple[str, ...], margin_mm: float, keep: int
    ) -> None:
        self.cohort = cohort
        self.contrasts = contrasts
        self.margin_mm = margin_mm
        self.keep = keep
        self._heads: OrderedDict[str, Head] = OrderedDict()
        self._donors: dict[str, Donor] = {}

    def head(self, subject: Subject) -> Head:
        """Load a subject, or take it from memory.

        Raises:
            CohortError: If a file is absent or unreadable, a patient's lesion mask is empty, or
                there is no cortex away from the lesion.
        """
        if subject.id in self._heads:
            self._heads.move_to_end(subject.id)
            return self._heads[subject.id]
        keys = [*self.contrasts, "tissue", "lesion", "region"]
        arrays, grid = load_arrays(self.cohort, subject, keys)
        lesion = arrays["lesion"] > 0
        _require_lesion(subject, lesion)
        tissue = arrays["tissue"]
        far = (tissue == Tissue.CORTEX) & ~near(lesion, 3 * self.margin_mm, grid.spacing_mm)
        region = arrays["region"] > 0 if not subject.is_patient else np.zeros_like(lesion)
        head = Head(
            subject.id,
            np.stack([arrays[key] for key in self.contrasts]).astype(np.float32),
            tissue,
            lesion,
            grid.spacing_mm,
            np.argwhere(far).astype(np.int32),
            np.argwhere(region & (tissue != Tissue.BACKGROUND)).astype(np.int32),
        )
        if not len(head.seeds):
            raise CohortError(
                subject.id, "no cortex away from the lesion", "a tissue map with cortex",
                "Look at the tissue labels; run fcdsynth prepare again.",
            )  # fmt: skip
        self._heads[subject.id] = head
        if len(self._heads) > self.keep:
            self._heads.popitem(last=False)
        return head

    def donor(self, subject: Subject) -> Donor:
        """The shape of a patient's lesion; small, so that all of them stay in memory.

        Raises:
            CohortError: If a file is absent or unreadable, or the mask is empty.
        """
        if subject.id not in self._donors:
            known = self._heads.get(subject.id)
            if known is None:
                arrays, _ = load_arrays(self.cohort, subject, ["tissue", "lesion"])
                tissue, lesion = arrays["tissue"], arrays["lesion"] > 0
            else:
                tissue, lesion = known.tissue, known.lesion
            _require_lesion(subject, lesion)
            self._donors[subject.id] = Donor.of(subject.id, lesion, tissue)
        return self._donors[subject.id]


def _require_lesion(subject: Subject, lesion: NDArray[np.bool_]) -> None:
    if subject.is_patient and not lesion.any():
        raise CohortError(
            subject.id, "an empty lesion mask", "at least one lesion voxel",
            "Correct the mask, or clear the cell of the lesion column.",
        )  # fmt: skip
