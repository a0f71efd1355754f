"""The sheets that readers return."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fcdsynth.core.errors import CohortError
from fcdsynth.synthesis.kit.choice import REAL, SYNTHETIC, Item

COLUMNS = ("contrast", "case", "answer", "confidence", "cue")
CONFIDENCES = ("1", "2", "3", "4", "5")
_FILL = "Fill in the row and score again."


@dataclass(frozen=True)
class Read:
    """One answer.

    Args:
        item: The image and the truth.
        synthetic: Whether the reader called it synthetic.
        confidence: 1 to 5, None where not given.
        cue: What the reader went by, may be empty.
    """

    item: Item
    synthetic: bool
    confidence: int | None
    cue: str

    @property
    def correct(self) -> bool:
        """Whether the answer is right."""
        return self.synthetic == (self.item.kind == SYNTHETIC)


@dataclass(frozen=True)
class Sheet:
    """All answers of one reader, in the order of the key.

    Args:
        reader: Name of the file, without ``answers-`` and ending.
        reads: One for each image of the kit.
    """

    reader: str
    reads: tuple[Read, ...]


def read_sheet(path: Path, key: Sequence[Item]) -> Sheet:
    """Read one sheet against the key.

    Args:
        path: CSV file with the columns of `COLUMNS`, separated by commas or, as some
            spreadsheets save it, by semicolons.
        key: The kit's images.

    Raises:
        CohortError: If the file is absent, or an answer is missing or malformed; its row, its
            contrast and its case are named.
    """
    if not path.is_file():
        raise CohortError(str(path), "no such file", "an answer sheet", "Check the path.")
    text = path.read_text(encoding="utf-8-sig")
    comma = text.partition("\n")[0].count(",") >= text.partition("\n")[0].count(";")
    rows = csv.DictReader(text.splitlines(), delimiter="," if comma else ";")
    missing = [c for c in COLUMNS[:3] if c not in (rows.fieldnames or ())]
    if missing:
        raise CohortError(path.name, f"no column {', '.join(missing)}",
                          f"columns {', '.join(COLUMNS)}", "Use the kit's own sheet.")  # fmt: skip
    wanted = {(item.contrast, item.case): item for item in key}
    found: dict[tuple[str, str], Read] = {}
    for number, row in enumerate(rows, start=2):
        cells = {c: (row.get(c) or "").strip() for c in COLUMNS}
        place = (cells["contrast"].lower(), cells["case"].lower())
        where = f"{path.name} row {number} ({' '.join(place)})"
        if place not in wanted:
            raise CohortError(where, "an image that is not in the key", "the kit's own rows",
                              "Use the sheet and the key of one kit.")  # fmt: skip
        if place in found:
            raise CohortError(where, "a second answer", "one row an image", "Remove one.")
        found[place] = _read(where, cells, wanted[place])
    absent = [place for place in wanted if place not in found]
    if absent:
        raise CohortError(f"{path.name} ({' '.join(absent[0])})",
                          f"no row for {len(absent)} of {len(wanted)} images", "every image",
                          "Restore the row.")  # fmt: skip
    name = path.stem.removeprefix("answers-")
    return Sheet(name, tuple(found[place] for place in wanted))


def _read(where: str, cells: Mapping[str, str], item: Item) -> Read:
    answer, confidence = cells["answer"].lower(), cells["confidence"]
    if answer not in (REAL, SYNTHETIC):
        raise CohortError(where, "no answer" if not answer else f"answer {cells['answer']!r}",
                          "real or synthetic", _FILL)  # fmt: skip
    if confidence and confidence not in CONFIDENCES:
        raise CohortError(where, f"confidence {confidence!r}", "1 to 5, or nothing", _FILL)
    level = int(confidence) if confidence else None
    return Read(item, answer == SYNTHETIC, level, cells["cue"])


def read_sheets(paths: Sequence[Path], key: Sequence[Item]) -> tuple[Sheet, ...]:
    """Read all sheets.

    Raises:
        CohortError: As `read_sheet`, or if two sheets have one reader's name.
    """
    sheets = tuple(read_sheet(path, key) for path in paths)
    names = [sheet.reader for sheet in sheets]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise CohortError(twice[0], "two sheets of this name", "one sheet a reader",
                          "Rename the files after their readers.")  # fmt: skip
    return sheets
