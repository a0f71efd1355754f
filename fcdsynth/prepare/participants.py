"""participants.tsv: rows as typed values, whatever the release calls its columns."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fcdsynth.core.errors import CohortError, FcdsynthError
from fcdsynth.core.subject import Group, Split

NAME = "participants.tsv"
_GROUPS = {
    **dict.fromkeys(("fcd", "patient", "patients", "pat", "case"), Group.PATIENT),
    **dict.fromkeys(("hc", "control", "controls", "healthy", "con"), Group.CONTROL),
}
_SPLITS = {
    "train": Split.TRAIN, "training": Split.TRAIN, "test": Split.TEST, "val": Split.VAL,
    "validation": Split.VAL, "none": Split.NONE, "": Split.NONE,
}  # fmt: skip
_SEX = {"m": "M", "male": "M", "f": "F", "female": "F"}
_SIDES = {"l": "L", "left": "L", "r": "R", "right": "R"}
_MISSING = {"n/a", "na", "nan", ""}


@dataclass(frozen=True, slots=True)
class Participant:
    """One row of participants.tsv, ``n/a`` as an empty string.

    Args:
        id: With its ``sub-``.
        group: Patient or control.
        split: The data set's own split, ``none`` where there is no such column.
        sex: ``M``, ``F`` or empty.
        age_code: As written: ds004199 has class codes there, not years.
        subtype: Histology.
        side: ``L``, ``R`` or empty.
        lobe: Code or comma separated codes.
        mri_negative: ``yes`` when the radiologist saw nothing, ``no``, or empty.
        family: What relatives share, or empty.
    """

    id: str
    group: Group
    split: Split = Split.NONE
    sex: str = ""
    age_code: str = ""
    subtype: str = ""
    side: str = ""
    lobe: str = ""
    mri_negative: str = ""
    family: str = ""


def read_participants(bids: Path) -> tuple[list[Participant], list[FcdsynthError]]:
    """Read the table of a BIDS folder.

    The byte-order mark of ds004199 v1.0.6 and the blank in the column ``mri _diagnosis`` of
    v1.0.0 are read over; commas in a cell (``TL,PL``) are kept.

    Returns:
        One participant per id, and all faults of the table.

    Raises:
        CohortError: If the table is absent or lacks the id or the group column.
    """
    path = bids / NAME
    if not path.is_file():
        raise CohortError(
            str(bids), f"no {NAME}", "the root of a BIDS data set",
            f"Give the folder that holds {NAME} and the sub-* folders.",
        )  # fmt: skip
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, delimiter="\t")
            header = [_column(name) for name in reader.fieldnames or ()]
            reader.fieldnames = header
            rows = [{k: _value(v) for k, v in row.items() if k} for row in reader]
    except UnicodeDecodeError as error:
        raise CohortError(
            NAME, f"bytes that are not UTF-8 ({error.reason})", "a UTF-8 table",
            "Save the table as UTF-8, tab separated.",
        ) from error  # fmt: skip
    absent = [name for name in ("participant_id", "group") if name not in header]
    if absent:
        raise CohortError(
            NAME, f"no column {' and '.join(absent)} among {', '.join(header)}",
            "tab separated columns participant_id and group", "Mend the header line.",
        )  # fmt: skip
    return _participants([row for row in rows if any(row.values())])


def _column(name: str) -> str:
    return name.strip().lower().replace(" ", "")


def _value(text: str | None) -> str:
    text = (text or "").strip()
    return "" if text.lower() in _MISSING else text


def _participants(
    rows: list[dict[str, str]],
) -> tuple[list[Participant], list[FcdsynthError]]:
    faults: list[FcdsynthError] = []
    found: dict[str, Participant] = {}
    ids = [_id(row) for row in rows]
    for name, count in Counter(ids).items():
        if count > 1:
            faults.append(CohortError(name or NAME, f"{count} rows with this id", "one row",
                                      f"Remove the others from {NAME}."))  # fmt: skip
    for name, row in zip(ids, rows, strict=True):
        group = _GROUPS.get(row["group"].lower())
        if group is None:
            faults.append(CohortError(name, f"group {row['group']!r}", "fcd or hc (patient or "
                                      "control)", f"Mend the group cell in {NAME}."))  # fmt: skip
            group = Group.CONTROL
        split = _SPLITS.get(row.get("split", "").lower())
        if split is None:
            faults.append(CohortError(name, f"split {row['split']!r}", "train, val, test or n/a",
                                      f"Mend the split cell in {NAME}."))  # fmt: skip
            split = Split.NONE
        found.setdefault(name, _participant(name, group, split, row))
    return list(found.values()), faults


def _id(row: Mapping[str, str]) -> str:
    name = row["participant_id"]
    return name if name.startswith("sub-") or not name else f"sub-{name}"


def _participant(name: str, group: Group, split: Split, row: Mapping[str, str]) -> Participant:
    diagnosis = row.get("mri_diagnosis", "").lower()
    negative = "" if not diagnosis else ("yes" if diagnosis in ("none", "negative") else "no")
    return Participant(
        name,
        group,
        split,
        sex=_SEX.get(row.get("sex", "").lower(), ""),
        age_code=row.get("age_scan", row.get("age", "")),
        subtype=row.get("histopathology", row.get("histology", "")),
        side=_SIDES.get(row.get("hemisphere", row.get("side", "")).lower(), ""),
        lobe=row.get("lobe", ""),
        mri_negative=negative if group is Group.PATIENT else "",
        family=row.get("family", row.get("family_id", "")),
    )
