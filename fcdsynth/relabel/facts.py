"""MaskFacts: what the model-free gate needs to know about one mask, read once and kept small."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Subject
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.core.volume import Volume, read_grid, read_mask, read_volume, voxel_hash
from fcdsynth.measure.components import Component, label_components
from fcdsynth.measure.lobes import LOBES, label_of
from fcdsynth.measure.mirror import Midplane, values_at

MASK_KEY = "lesion_t1w"
IMAGE_KEY = "t1w_native"
_IMAGE_KEYS = ("t1w_native", "flair_native", "t1w", "flair")


@dataclass(frozen=True, eq=False)
class MaskFacts:
    """One subject's mask on the native T1w grid, in numbers.

    Args:
        subject: The subject.
        grid: Grid of the mask, None when the subject has no mask file.
        image_grid: Grid of the native T1w image.
        values: Distinct voxel values, at most nine of them.
        voxels: Sorted flat indices (C order) of the mask's voxels, shape (n,).
        components: Connected components, largest first.
        volume_ml: Volume in ml.
        centre_mm: Centre of mass, RAS+ mm, None when empty.
        outside_share: Share of voxels outside the brain mask, None when unknown.
        midplane: The mid-sagittal plane, None for subjects without a mask.
        digest: Hash of the voxel values.
        image_digests: The same of the subject's images, only filled when the mask is not binary.
        in_named_lobe: For each component the share of its voxels in a lobe that the participants
            table names, on the side it names, of those in any lobe; NaN where none is, empty
            where table or lobe map is silent.
    """

    subject: Subject
    grid: Grid | None = None
    image_grid: Grid | None = None
    values: tuple[float, ...] = ()
    voxels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    components: tuple[Component, ...] = ()
    volume_ml: float = 0.0
    centre_mm: tuple[float, float, float] | None = None
    outside_share: float | None = None
    midplane: Midplane | None = None
    digest: str = ""
    image_digests: Mapping[str, str] = field(default_factory=dict)
    in_named_lobe: tuple[float, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is no voxel in the mask."""
        return len(self.voxels) == 0

    @property
    def shape(self) -> tuple[int, ...]:
        """Array shape of the mask, empty when there is no mask file."""
        return () if self.grid is None else self.grid.shape

    @property
    def binary(self) -> bool:
        """Whether the mask holds nothing but 0 and 1."""
        return set(self.values) <= {0.0, 1.0}

    def mask(self) -> Volume:
        """The mask as a volume.

        Raises:
            CohortError: If the subject has no mask file.
        """
        if self.grid is None:
            raise CohortError(
                self.subject.id, "no mask", "a lesion mask on the native T1w grid",
                "Leave the subject out.",
            )  # fmt: skip
        array = np.zeros(self.grid.shape, dtype=bool)
        array.reshape(-1)[self.voxels] = True
        return Volume(array, self.grid)


def read_facts(cohort: Cohort, subject: Subject) -> MaskFacts:
    """Read one subject's mask, image header, brain mask and transforms.

    Masks that hold the value 255 or a label are taken as a mask at one half of their largest
    value, and the gate reports the values.

    Raises:
        CohortError: If a file is absent or damaged.
    """
    image_grid = read_grid(cohort.path(subject, IMAGE_KEY)) if subject.has(IMAGE_KEY) else None
    if not subject.has(MASK_KEY):
        return MaskFacts(subject, image_grid=image_grid)
    raw = read_volume(cohort.path(subject, MASK_KEY))
    values = tuple(float(v) for v in np.unique(raw.array)[:9])
    top = float(raw.array.max())
    array = raw.array > max(top, 1e-6) / 2
    voxels = np.flatnonzero(array)
    labels, components = label_components(array, raw.grid)
    mm = raw.grid.to_mm(np.argwhere(array))
    brain = read_mask(cohort.path(subject, "brain")) if subject.has("brain") else None
    outside = None
    centre = None
    if len(voxels):
        x, y, z = (float(v) for v in mm.mean(axis=0))
        centre = (x, y, z)
        if brain is not None:
            outside = float(np.mean(values_at(brain, mm) < 0.5))
    digests = {}
    if not set(values) <= {0.0, 1.0}:
        files = [key for key in _IMAGE_KEYS if subject.has(key)]
        digests = {key: voxel_hash(read_volume(cohort.path(subject, key))) for key in files}
    return MaskFacts(
        subject,
        raw.grid,
        image_grid,
        values,
        voxels,
        components,
        len(voxels) * raw.grid.voxel_ml,
        centre,
        outside,
        midplane_of(cohort, subject, brain),
        voxel_hash(raw),
        digests,
        in_named_lobe(subject, read_lobes(cohort, subject), labels, len(components)),
    )


def in_named_lobe(
    subject: Subject, lobes: Volume | None, labels: Volume, components: int
) -> tuple[float, ...]:
    """Share of each component in a lobe that the table names, see `MaskFacts`.

    Args:
        subject: The subject, with side and lobe as the table has them.
        lobes: Map of lobes and sides in the mask's world, None without one.
        labels: Numbered components.
        components: How many.
    """
    named = [code.strip() for code in subject.lobe.upper().split(",")]
    sides = [subject.side.strip().upper()[:1]] if subject.side.strip() else ["L", "R"]
    wanted = [label_of(lobe, side) for lobe in named for side in sides
              if lobe in LOBES and side in ("L", "R")]  # fmt: skip
    if not wanted or lobes is None:
        return ()
    found = []
    for number in range(1, components + 1):
        places = labels.grid.to_mm(np.argwhere(labels.array == number))
        values = np.rint(values_at(lobes, places, order=0)).astype(int)
        known = values[values > 0]
        found.append(float(np.isin(known, wanted).mean()) if len(known) else float("nan"))
    return tuple(found)


def read_lobes(cohort: Cohort, subject: Subject) -> Volume | None:
    """The subject's map of lobes and sides, None without one."""
    return read_volume(cohort.path(subject, "lobes")) if subject.has("lobes") else None


def midplane_of(cohort: Cohort, subject: Subject, brain: Volume | None) -> Midplane | None:
    """The plane x = 0 of MNI space where prepare found it, else the brain mask's own plane."""
    to_mni = read_to_mni(cohort, subject)
    if to_mni is not None:
        return Midplane.from_mni(to_mni)
    return None if brain is None or not brain.array.any() else Midplane.fitted(brain)
