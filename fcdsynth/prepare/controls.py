"""The controls that others may be compared with, and their sums by scanner."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Origin, Split, Subject
from fcdsynth.core.volume import Volume, read_labels, read_volume
from fcdsynth.prepare.reference import Face, Maps, Sums, ToMni

CONTRASTS = ("t1w", "flair")
POOLED = "all scanners"
_BATCH = 32

PlaceOf = Callable[[Cohort, Subject], ToMni | None]


@dataclass(frozen=True)
class AffinePlace:
    """Points (..., 3) in mm through a 4 x 4 matrix."""

    matrix: tuple[tuple[float, ...], ...]

    def __call__(self, points_mm: ArrayLike) -> NDArray[np.float64]:
        """Places of points in MNI space, mm."""
        matrix = np.asarray(self.matrix)
        return np.asarray(np.asarray(points_mm) @ matrix[:3, :3].T + matrix[:3, 3])


def affine_place(cohort: Cohort, subject: Subject) -> ToMni | None:
    """A subject's way into MNI space by its ``t1w_to_mni`` matrix; None where it has none."""
    if not subject.has("transforms"):
        return None
    text = cohort.path(subject, "transforms").read_text(encoding="utf-8")
    matrix = json.loads(text).get("t1w_to_mni")
    if matrix is None:
        return None
    return AffinePlace(tuple(tuple(float(x) for x in row) for row in matrix))


@dataclass(frozen=True)
class Look:
    """What one subject's averages need; small enough for another process.

    Args:
        cohort: A cohort of this one subject.
        subject: The subject.
        place: Gives its way into MNI space.
        contrasts: Those of `CONTRASTS` that it has.
    """

    cohort: Cohort
    subject: Subject
    place: PlaceOf
    contrasts: tuple[str, ...]

    @classmethod
    def of(cls, cohort: Cohort, subject: Subject, place: PlaceOf) -> Look:
        """Look at one subject of a cohort."""
        one = Cohort(cohort.folder, (subject,), cohort.name)
        return cls(one, subject, place, tuple(key for key in CONTRASTS if subject.has(key)))

    def face(self) -> Face | None:
        """Its voxels in MNI space; None where there is no way into it."""
        to_mni = self.place(self.cohort, self.subject)
        if to_mni is None:
            return None
        return Face.of(read_labels(self.cohort.path(self.subject, "tissue")), to_mni)

    def image(self, contrast: str) -> Volume:
        """Its prepared volume of a contrast."""
        return read_volume(self.cohort.path(self.subject, contrast))


@dataclass
class Controls:
    """Sums over controls, and who they are, by contrast and scanner.

    Args:
        least: Least number of controls that make a reference.
        sums: By contrast and scanner (or `POOLED`), where there may be enough.
        names: Ids of the controls summed over, in the cohort's order.
        placeless: Controls without a way into MNI space, left out.
    """

    least: int
    sums: dict[tuple[str, str], Sums] = field(default_factory=dict)
    names: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    placeless: list[str] = field(default_factory=list)

    def add(self, contrast: str, keys: Iterable[str], name: str, maps: Maps) -> None:
        """Add one control's averages to the sums of its scanner and of all."""
        for key in keys:
            sums = self.sums.get((contrast, key), Sums.empty())
            self.sums[contrast, key] = sums.plus(maps)
            self.names.setdefault((contrast, key), []).append(name)

    def number(self, contrast: str, key: str) -> int:
        """Number of controls of a scanner, or of all."""
        return len(self.names.get((contrast, key), ()))

    def choose(self, contrast: str, scanner: str) -> str | None:
        """The scanner's own controls, or all, or none, for want of numbers."""
        for wanted in (scanner, POOLED):
            if wanted and self.number(contrast, wanted) >= self.least:
                return wanted
        return None


def may_be_reference(subject: Subject) -> bool:
    """Whether others may be compared with a subject: a control, not made up, not held out."""
    return (
        not subject.is_patient
        and subject.origin is not Origin.SYNTHETIC
        and subject.split in (Split.TRAIN, Split.NONE)
    )


def gather(cohort: Cohort, place: PlaceOf, workers: int, least: int) -> Controls:
    """Add up the controls in batches, so that memory does not grow with their number."""
    gathered = Controls(least)
    controls = [s for s in cohort.subjects if may_be_reference(s)]
    of_scanner = Counter(s.scanner for s in controls if s.scanner)
    for start in range(0, len(controls), _BATCH):
        batch = controls[start : start + _BATCH]
        looks = [Look.of(cohort, subject, place) for subject in batch]
        found = map_items(_averages, looks, "adding up controls", workers)
        for subject, maps in zip(batch, found, strict=True):
            if maps is None:
                gathered.placeless.append(subject.id)
                continue
            keys = [POOLED]
            if of_scanner[subject.scanner] >= least:
                keys.append(subject.scanner)
            for contrast, of_contrast in maps.items():
                gathered.add(contrast, keys, subject.id, of_contrast)
    return gathered


def _averages(look: Look) -> dict[str, Maps] | None:
    """Averages by contrast; None where there is no way into MNI space."""
    face = look.face()
    if face is None:
        return None
    return {key: face.averages(look.image(key).array) for key in look.contrasts}
