"""Inputs: the queue of flag, a table of failures and a learning curve, read and checked."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.relabel.budget.belief import WORTH, Belief
from fcdsynth.relabel.tables import QUEUE, SUMMARY

_ASSUMED_WRONG = 0.2  # flag's own default


@dataclass(frozen=True, slots=True)
class Row:
    """One mask of the queue.

    Args:
        subject: Whose.
        p_err: Calibrated probability that it is wrong; None where flag gave none.
        cause: Why it was flagged.
        volume_ml: Volume of the region that the queue shows, ml; 0 where it is not known.
        rests: Why flag itself says that it is not to be asked about now; else empty.
    """

    subject: str
    p_err: float | None
    cause: str
    volume_ml: float
    rests: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A place where detectors failed so many times in a row."""

    subject: str
    kind: str
    times: int


def read_queue(folder: Path) -> tuple[Row, ...]:
    """Read queue.csv of an output folder of flag.

    Raises:
        CohortError: If it is absent or a cell cannot be read.
        SettingsError: If no mask has a calibrated probability.
    """
    path = folder / QUEUE
    rows = []
    columns = ("subject", "p_err", "cause", "volume_ml")
    for number, cells in enumerate(_cells(path, columns, ("rests",)), 2):
        p = _number(path, number, "p_err", cells["p_err"])
        if p is not None and not 0 <= p <= 1:
            raise _cell(path, number, "p_err", cells["p_err"], "a probability, 0 to 1")
        volume = _number(path, number, "volume_ml", cells["volume_ml"]) or 0.0
        rows.append(Row(cells["subject"], p, cells["cause"], volume, cells["rests"]))
    twice = sorted({r.subject for r in rows if sum(o.subject == r.subject for o in rows) > 1})
    if twice:
        raise CohortError(twice[0], f"two rows in {path.name}", "one row a subject",
                          "Run fcdsynth flag again.")  # fmt: skip
    if not any(row.p_err is not None for row in rows):
        raise SettingsError(
            f"{path} p_err", f"none in {len(rows)} rows",
            "calibrated probabilities that masks are wrong; scores that are not calibrated cannot "
            "be weighed against minutes",
            "Run fcdsynth flag again with --rule learned, which needs 12 masks or more.",
        )  # fmt: skip
    return tuple(rows)


def read_base(folder: Path) -> Belief:
    """Share of wrong masks that the queue's p_err rests on, and what it is worth.

    From flag.json; 0.2 where it does not say.
    """
    path = folder / SUMMARY
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    certainty = told.get("certainty") or {}
    rate = float(certainty.get("base_rate", _ASSUMED_WRONG))
    return Belief(min(max(rate, 0.001), 0.999), worth=WORTH)


def read_failures(path: Path) -> tuple[Failure, ...]:
    """Read a table ``subject,kind,times``.

    Raises:
        CohortError: If it is absent or a cell cannot be read.
    """
    found = []
    for number, cells in enumerate(_cells(path, ("subject", "kind", "times")), 2):
        times = _number(path, number, "times", cells["times"])
        if times is None or times < 1 or times != int(times):
            raise _cell(path, number, "times", cells["times"], "a whole number, 1 or more")
        found.append(Failure(cells["subject"], cells["kind"], int(times)))
    return tuple(found)


def read_curve(path: Path) -> list[tuple[float, float]]:
    """Read a table ``n,metric``: labelled patients, and a metric where more is better.

    Raises:
        CohortError: If it is absent or a cell cannot be read.
    """
    found = []
    for number, cells in enumerate(_cells(path, ("n", "metric")), 2):
        values = [_number(path, number, key, cells[key]) for key in ("n", "metric")]
        if values[0] is None or values[1] is None:
            raise _cell(path, number, "n, metric", "an empty cell", "two numbers")
        found.append((values[0], values[1]))
    return found


def _cells(
    path: Path, columns: Sequence[str], optional: Sequence[str] = ()
) -> list[dict[str, str]]:
    if not path.is_file():
        raise CohortError(str(path), "no such file", f"a table with {', '.join(columns)}",
                          "Check the path.")  # fmt: skip
    with path.open(newline="", encoding="utf-8-sig") as stream:
        reader = csv.DictReader(stream)
        missing = [c for c in columns if c not in (reader.fieldnames or ())]
        if missing:
            raise CohortError(
                str(path), f"no column {', '.join(missing)}", f"columns {', '.join(columns)}",
                "Mend the header line.",
            )  # fmt: skip
        wanted = (*columns, *optional)
        return [{c: (row.get(c) or "").strip() for c in wanted} for row in reader]


def _number(path: Path, row: int, key: str, text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _cell(path, row, key, text, "a number")
    return value


def _cell(path: Path, row: int, key: str, found: str, expected: str) -> CohortError:
    return CohortError(f"{path} line {row} {key}", found, expected, "Mend this cell.")
