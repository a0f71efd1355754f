"""Who is in a phantom: subjects drawn freely, or one for each person of a real data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fcdsynth.phantom.annotator import NO_ERROR, Reader, dealt_error, draw_reader
from fcdsynth.phantom.contrast import Site, draw_site
from fcdsynth.phantom.lesionlaw import LesionLaw, draw_lesion
from fcdsynth.phantom.lesionspec import LesionSpec
from fcdsynth.phantom.like import Person, Protocol
from fcdsynth.phantom.scans import ScanSpec
from fcdsynth.phantom.spec import SubjectSpec, draw_subject

_TRIES = 500


@dataclass(frozen=True)
class Roster:
    """All subjects of a phantom.

    Args:
        specs: The subjects, by id.
        sites: The scanners by number.
        readers: The reader of each scanner, by number.
    """

    specs: tuple[SubjectSpec, ...]
    sites: Mapping[int, Site]
    readers: Mapping[int, Reader]

    def mixed_up_with(self, spec: SubjectSpec) -> SubjectSpec | None:
        """The patient whose outline was filed under a subject's name; mostly None."""
        if spec.annotator is None or spec.annotator.error != "subject":
            return None
        patients = [s for s in self.specs if s.patient]
        place = next(i for i, s in enumerate(patients) if s.id == spec.id)
        step = 1 + (spec.annotator.other - 1) % (len(patients) - 1)
        return patients[(place + step) % len(patients)]


def closed(
    specs: list[SubjectSpec], sites: Mapping[int, Site], readers: Mapping[int, Reader]
) -> Roster:
    """A roster, by id, in which nobody is mixed up with himself."""
    specs.sort(key=lambda spec: spec.id)
    if sum(spec.patient for spec in specs) == 1:
        for i, spec in enumerate(specs):
            if spec.annotator and spec.annotator.error == "subject":
                lone = replace(spec.annotator, error=NO_ERROR, other=0)
                specs[i] = replace(spec, annotator=lone)
    return Roster(tuple(specs), sites, readers)


def draw_numbered(
    number: int, patient: bool, site: Site, anatomies: tuple[str, ...], seed: int, law: LesionLaw
) -> SubjectSpec:
    """Draw patient ``sub-(2n-1)`` or control ``sub-(2n)``, from seed and number alone.

    Args:
        number: Number within its group, from 0.
        patient: Which group.
        site: Its scanner.
        anatomies: Names of the anatomies to draw from.
        seed: Seed of everything random.
        law: Laws of lesions and outlines, with the site's reader.
    """
    if law.mix == "dealt":
        law = replace(law, dealt=dealt_error(number, law.error_share, seed))
    name = f"sub-{2 * number + (1 if patient else 2):05d}"
    return draw_subject(name, patient, site, anatomies, (seed, int(not patient), number), law)


def draw_roster(
    patients: int, controls: int, sites: int, seed: int, anatomies: tuple[str, ...],
    law: LesionLaw, confounded: bool = False,
) -> Roster:  # fmt: skip
    """Draw patients and controls.

    A subject depends on seed and number alone: patient n is always ``sub-(2n-1)`` and control n
    ``sub-(2n)``, so a larger cohort begins with the same subjects.

    Args:
        patients: Number of patients.
        controls: Number of controls.
        sites: Number of scanners.
        seed: Seed of everything random.
        anatomies: Names of the anatomies to draw from.
        law: Laws of lesions and outlines; its reader is replaced by each site's own.
        confounded: All controls at the first site.
    """
    scanners = {n: draw_site(seed, n) for n in range(1, sites + 1)}
    readers = {n: draw_reader(seed, n, sites) for n in scanners}
    specs = []
    for patient, count in ((True, patients), (False, controls)):
        for number in range(count):
            site = 1 if confounded and not patient else number % sites + 1
            own = replace(law, reader=readers[site])
            specs.append(draw_numbered(number, patient, scanners[site], anatomies, seed, own))
    return closed(specs, scanners, readers)


def roster_like(
    people: Sequence[Person], seed: int, anatomies: tuple[str, ...], law: LesionLaw
) -> Roster:
    """One subject for each person: id, group, scanner, protocols, lobe, side and type are theirs.

    Args:
        people: The people, see `fcdsynth.phantom.like.people_like`.
        seed: Seed of everything else.
        anatomies: Names of the anatomies to draw from.
        law: Laws of lesions and outlines.
    """
    serials = Counter(str(p.t1w.facts.get("DeviceSerialNumber", "")) for p in people)
    numbers = {serial: n for n, (serial, _) in enumerate(serials.most_common(), start=1)}
    sites: dict[int, Site] = {}
    for serial, number in numbers.items():
        field_t = next(float(p.t1w.facts.get("MagneticFieldStrength", 3.0)) for p in people
                       if str(p.t1w.facts.get("DeviceSerialNumber", "")) == serial)  # fmt: skip
        drawn = draw_site(seed, number)
        sites[number] = replace(drawn, serial=serial or drawn.serial, field_t=field_t)
    readers = {n: draw_reader(seed, n, len(sites)) for n in sites}
    specs = []
    for place, person in enumerate(people):
        site = sites[numbers[str(person.t1w.facts.get("DeviceSerialNumber", ""))]]
        own = replace(law, reader=readers[site.number])
        key = (seed, 2, place)
        spec = draw_subject(person.id, person.patient, site, anatomies, key, own)
        scans = {
            "t1w": _scanned_as(spec.scans["t1w"], person.t1w),
            "flair": _scanned_as(spec.scans["flair"], person.flair),
        }
        spec = replace(spec, scans=scans, person=person)
        if spec.lesion is not None:
            lesion = _lesion_of(person, own, site.number, key)
            second = replace(spec.second, side=lesion.side) if spec.second else None
            spec = replace(spec, lesion=lesion, second=second)
        specs.append(spec)
    return closed(specs, sites, readers)


def _scanned_as(scan: ScanSpec, protocol: Protocol) -> ScanSpec:
    """A scan with the voxel size of a real protocol, times the spacing that was asked for."""
    thickness = float(protocol.facts.get("SliceThickness", protocol.slice_mm))
    if protocol.is_2d:
        gap = max(1.0, protocol.slice_mm / thickness)
        return replace(scan, slice_mm=thickness, gap=round(gap, 3))
    return replace(scan, voxel=thickness, slice_mm=0.0, gap=1.0)


def _lesion_of(
    person: Person, law: LesionLaw, site_number: int, key: tuple[int, int, int]
) -> LesionSpec:
    """A lesion that was read as the person's was, with the person's lobe, side and type."""
    rng = np.random.default_rng([*key, 6])
    diagnosis = person.row.get("mri_diagnosis", "n/a")
    overlooked = diagnosis not in ("suspicion", "n/a")
    lesion = draw_lesion(rng, law, site_number)
    for _ in range(_TRIES):
        if diagnosis == "n/a" or lesion.mri_negative == overlooked:
            break
        lesion = draw_lesion(rng, law, site_number)
    lobe, _, beside = person.row.get("lobe", "").partition(",")
    side, subtype = (_known(person, name) for name in ("hemisphere", "histopathology"))
    lesion = replace(lesion, side=side or lesion.side, subtype=subtype or lesion.subtype)
    if lobe not in ("", "n/a"):
        lesion = replace(lesion, lobe=lobe, beside=beside)
    return replace(lesion, tail=lesion.tail and lesion.subtype == "IIb")


def _known(person: Person, column: str) -> str:
    value = person.row.get(column) or "n/a"
    return "" if value == "n/a" else value
