"""People and protocols of a real BIDS data set, to simulate one subject for each of them."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from fcdsynth.core.errors import CohortError

KNOWN = ("ds004199",)
# Facts of a sidecar that travel with a protocol; all else in it belongs to a real scan.
FACTS = (
    "DeviceSerialNumber", "MagneticFieldStrength", "MRAcquisitionType", "SeriesDescription",
    "RepetitionTime", "EchoTime", "InversionTime", "FlipAngle", "SliceThickness",
    "SpacingBetweenSlices",
)  # fmt: skip
_TEXT = {"DeviceSerialNumber", "MRAcquisitionType", "SeriesDescription"}
_MISSING = "n/a"


@dataclass(frozen=True)
class Protocol:
    """How one contrast of one person was acquired.

    Args:
        label: The ``acq`` entity, empty when the name has none.
        facts: Sidecar values by their BIDS names (`FACTS`), times in seconds, sizes in mm.
    """

    label: str
    facts: Mapping[str, str | float]

    @property
    def slice_mm(self) -> float:
        """Distance between slices (or their thickness where it is not given), mm; 1 by default."""
        value = self.facts.get("SpacingBetweenSlices", self.facts.get("SliceThickness", 1.0))
        return float(value)

    @property
    def is_2d(self) -> bool:
        """Whether slices were acquired one by one."""
        return self.facts.get("MRAcquisitionType") == "2D"

    def stem(self, subject: str, suffix: str) -> str:
        """File name without its ending, such as ``sub-00001_acq-iso08_T1w``."""
        middle = f"_acq-{self.label}" if self.label else ""
        return f"{subject}{middle}_{suffix}"


@dataclass(frozen=True)
class Person:
    """One subject of the data set that is imitated.

    Args:
        row: Row of participants.tsv by column, ``n/a`` kept.
        t1w: Protocol of the T1w scan.
        flair: Protocol of the FLAIR scan.
        roi_label: ``acq`` entity in the lesion mask's name (in ds004199 one differs from the
            FLAIR's).
    """

    row: Mapping[str, str]
    t1w: Protocol
    flair: Protocol
    roi_label: str

    @property
    def id(self) -> str:
        """Subject id."""
        return self.row["participant_id"]

    @property
    def patient(self) -> bool:
        """Whether the subject is a patient."""
        return self.row["group"] in ("fcd", "patient")


def people_like(source: str) -> tuple[Person, ...]:
    """People of a BIDS folder, or of a data set whose table the package holds.

    Args:
        source: A BIDS folder (participants.tsv and sidecars; images are not read), or
            ``ds004199`` for the open Bonn data set v1.0.6 (CC0, Schuch et al. 2023).

    Raises:
        CohortError: If there is neither, or a subject has no sidecars.
    """
    folder = Path(source)
    if folder.is_dir():
        return read_people(folder)
    if source in KNOWN:
        text = resources.files("fcdsynth.phantom").joinpath(f"{source}.tsv").read_text("utf-8")
        return _from_table(text)
    raise CohortError(
        source, "no such folder", f"a BIDS folder, or {' or '.join(KNOWN)}",
        "Give the path of a folder with participants.tsv and sidecars.",
    )  # fmt: skip


def read_people(folder: Path) -> tuple[Person, ...]:
    """People of a BIDS folder, in order of their ids.

    Raises:
        CohortError: If participants.tsv or a subject's sidecar is absent.
    """
    table = folder / "participants.tsv"
    if not table.is_file():
        raise CohortError(str(folder), "no participants.tsv", "the root of a BIDS data set",
                          "Give its root folder.")  # fmt: skip
    with table.open(newline="", encoding="utf-8-sig") as stream:
        rows = [dict(row) for row in csv.DictReader(stream, delimiter="\t")]
    people = []
    for row in sorted(rows, key=lambda r: r["participant_id"]):
        anat = folder / row["participant_id"] / "anat"
        protocols = {}
        for suffix in ("T1w", "FLAIR"):
            sidecars = sorted(anat.glob(f"*_{suffix}.json"))
            if len(sidecars) != 1:
                raise CohortError(
                    row["participant_id"], f"{len(sidecars)} {suffix} sidecars in {anat}",
                    "one", "Leave the subject out of participants.tsv, or add the sidecar.",
                )  # fmt: skip
            protocols[suffix] = _protocol(sidecars[0])
        masks = sorted(anat.glob("*_FLAIR_roi.nii.gz"))
        label = _label(masks[0]) if masks else protocols["FLAIR"].label
        people.append(Person(row, protocols["T1w"], protocols["FLAIR"], label))
    return tuple(people)


def _label(path: Path) -> str:
    parts = [part[4:] for part in path.name.split("_") if part.startswith("acq-")]
    return parts[0] if parts else ""


def _protocol(sidecar: Path) -> Protocol:
    content = json.loads(sidecar.read_text(encoding="utf-8-sig"))
    facts = {name: content[name] for name in FACTS if name in content}
    return Protocol(
        _label(sidecar), {n: str(v) if n in _TEXT else float(v) for n, v in facts.items()}
    )


def _columns(suffix: str) -> tuple[str, ...]:
    return tuple(f"{suffix}:{name}" for name in ("acq", *FACTS))


def to_table(people: Sequence[Person]) -> str:
    """Everything about the people as one tab separated table, as the package holds it."""
    columns = [*people[0].row, *_columns("T1w"), *_columns("FLAIR"), "roi:acq"]
    lines = ["\t".join(columns)]
    for person in people:
        cells = dict(person.row)
        for suffix, protocol in (("T1w", person.t1w), ("FLAIR", person.flair)):
            cells[f"{suffix}:acq"] = protocol.label
            cells |= {f"{suffix}:{name}": f"{value:g}" if isinstance(value, float) else value
                      for name, value in protocol.facts.items()}  # fmt: skip
        cells["roi:acq"] = person.roi_label
        lines.append("\t".join(cells.get(name, _MISSING) for name in columns))
    return "\n".join(lines) + "\n"


def _from_table(text: str) -> tuple[Person, ...]:
    people = []
    for cells in csv.DictReader(text.splitlines(), delimiter="\t"):
        protocols = []
        for suffix in ("T1w", "FLAIR"):
            known = {n: cells[f"{suffix}:{n}"] for n in FACTS
                     if cells[f"{suffix}:{n}"] != _MISSING}  # fmt: skip
            facts = {n: v if n in _TEXT else float(v) for n, v in known.items()}
            protocols.append(Protocol(cells[f"{suffix}:acq"], facts))
        row = {name: value for name, value in cells.items() if ":" not in name}
        people.append(Person(row, protocols[0], protocols[1], cells["roi:acq"]))
    return tuple(people)
