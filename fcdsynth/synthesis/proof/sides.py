"""Who is compared with whom: the two cohorts, the people behind synthetic rows, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, GeometryError, SettingsError
from fcdsynth.core.subject import Origin, Role, Split, Subject
from fcdsynth.core.volume import read_grid

CONTRASTS = ("t1w", "flair")
SPLITS = ("train", "val", "test", "all")
FEWEST_REAL, FEWEST_SYNTHETIC = 8, 4
_SPACING_SHARE = 0.01


@dataclass(frozen=True)
class Sides:
    """The subjects of a comparison.

    Args:
        real: Cohort of the real subjects.
        synthetic: Cohort of the synthetic ones.
        sources: Cohort of hosts, mask donors and training patients.
        chosen: Real subjects that are compared.
        training: Patients the generator or the mask prior was fitted on, found in ``sources``.
        contrasts: Image contrasts that everyone has.
        spacing_mm: Voxel sizes.
    """

    real: Cohort
    synthetic: Cohort
    sources: Cohort
    chosen: tuple[Subject, ...]
    training: tuple[Subject, ...]
    contrasts: tuple[str, ...]
    spacing_mm: tuple[float, float, float]

    @property
    def made(self) -> tuple[Subject, ...]:
        """The synthetic subjects."""
        return self.synthetic.subjects

    def people(self, subject: Subject) -> frozenset[str]:
        """Whose anatomy a subject shows: host and mask donors of a synthetic one, or itself."""
        known = _persons(self.real, self.sources)
        if subject.origin is not Origin.SYNTHETIC:
            return frozenset([known.get(subject.id, subject.id)])
        shown = [p.subject for p in subject.parents if p.role in (Role.HOST, Role.MASK)]
        return frozenset(known.get(s, s) for s in shown or [subject.id])

    def host(self, subject: Subject) -> Subject | None:
        """The host of a synthetic subject, None where it is not in ``sources``."""
        return self._parent(subject, Role.HOST)

    def donor(self, subject: Subject) -> Subject | None:
        """The real patient whose mask a synthetic lesion has, None where there is none."""
        return self._parent(subject, Role.MASK)

    def _parent(self, subject: Subject, role: Role) -> Subject | None:
        ids = [p.subject for p in subject.parents if p.role is role]
        by_id = {s.id: s for s in self.sources.subjects}
        return by_id.get(ids[0]) if len(ids) == 1 else None

    @property
    def seen(self) -> tuple[str, ...]:
        """Compared patients that the generator, its mask prior or a lesion's style saw."""
        known = set(self.synthetic.fitted_on)
        known |= {p.subject for s in self.made for p in s.parents}
        return tuple(s.id for s in self.chosen if s.is_patient and s.id in known)


def _persons(*cohorts: Cohort) -> Mapping[str, str]:
    return {s.id: s.family or s.id for cohort in cohorts for s in cohort.subjects}


def read_sides(real: str, synthetic: str, sources: str | None, split: str) -> Sides:
    """Read the cohorts and choose the subjects.

    Args:
        real: Folder of the prepared cohort.
        synthetic: Folder of the synthetic cohort.
        sources: Folder of the prepared cohort of hosts and training patients; ``real`` if None.
        split: ``train``, ``val``, ``test`` or ``all``; all subjects count as training ones
            where no subject has a split.

    Raises:
        SettingsError: If the split is unknown.
        CohortError: If there are too few subjects on either side.
        GeometryError: If the voxels of the two sides differ.
    """
    if split not in SPLITS:
        raise SettingsError("split", repr(split), ", ".join(SPLITS), "Name one of them.")
    first, second = Cohort.read(real), Cohort.read(synthetic)
    behind = first if sources is None else Cohort.read(sources)
    own = [s for s in first.subjects if s.origin is not Origin.SYNTHETIC]
    undivided = all(s.split is Split.NONE for s in own)
    chosen = own if split == "all" or (undivided and split == "train") else [
        s for s in own if s.split == split
    ]  # fmt: skip
    chosen = [s for s in chosen if s.has("lesion") or not s.is_patient]
    _require_made(second)
    _require(first, sum(s.is_patient for s in chosen), FEWEST_REAL,
             f"real patients with a lesion mask in {split!r}, two halves of 4",
             "Prepare more patients, or choose another --split.")  # fmt: skip
    _require(second, sum(s.is_patient for s in second.subjects), FEWEST_SYNTHETIC,
             "synthetic patients", "Draw and synthesize more.")  # fmt: skip
    everyone = [*chosen, *second.subjects]
    contrasts = tuple(c for c in CONTRASTS if all(s.has(c) for s in everyone))
    if "t1w" not in contrasts:
        lacking = next(s.id for s in everyone if not s.has("t1w"))
        raise CohortError(lacking, "no t1w file", "a T1w volume of every subject",
                          "Give prepared and synthesized cohorts.")  # fmt: skip
    fitted = set(second.fitted_on) | {
        p.subject for s in second.subjects for p in s.parents if p.role is not Role.HOST
    }
    training = tuple(s for s in behind.subjects
                     if s.id in fitted and s.is_patient and s.has("lesion"))  # fmt: skip
    spacing = _one_spacing(first, chosen[0], second)
    return Sides(first, second, behind, tuple(chosen), training, contrasts, spacing)


def _require_made(cohort: Cohort) -> None:
    for s in cohort.subjects:
        if s.origin is not Origin.SYNTHETIC or (s.is_patient and not s.has("lesion")):
            raise CohortError(
                s.id, f"a row of origin {s.origin.value}, lesion file {s.has('lesion')}",
                "synthetic rows, patients with a lesion", "Give what fcdsynth synthesize wrote.",
            )  # fmt: skip


def _require(cohort: Cohort, found: int, least: int, what: str, remedy: str) -> None:
    if found < least:
        raise CohortError(cohort.name, f"{found} {what}", f"at least {least}", remedy)


def _one_spacing(real: Cohort, subject: Subject, synthetic: Cohort) -> tuple[float, float, float]:
    here = read_grid(real.path(subject, "t1w")).spacing_mm
    for made in synthetic.subjects:
        there = read_grid(synthetic.path(made, "t1w")).spacing_mm
        if not np.allclose(here, there, rtol=_SPACING_SHARE):
            raise GeometryError(
                made.id, f"voxels of {there} mm", f"{here} mm, those of {subject.id}",
                "Prepare both cohorts with one spacing.",
            )  # fmt: skip
    return here
