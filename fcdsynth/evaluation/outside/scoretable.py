"""Scores of another tool's clusters, from a table that lies beside its label maps."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcdsynth.core.errors import RunError
from fcdsynth.evaluation.outside.mapfiles import PREFIX

TABLES = ("clusters.csv", "clusters.json")
_COLUMNS = ("subject", "cluster", "score")


@dataclass(frozen=True)
class ScoreTable(Mapping[str, Mapping[int, float]]):
    """Score of each cluster by subject id, with or without ``sub-``, and label.

    A subject without a row has no scored cluster: an empty mapping, never an absent one.

    Args:
        rows: By subject id without ``sub-``.
    """

    rows: Mapping[str, Mapping[int, float]]

    def __getitem__(self, subject_id: str) -> Mapping[int, float]:
        return self.rows.get(subject_id.removeprefix(PREFIX), {})

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)


def read_scores(folder: Path) -> ScoreTable | None:
    """Read ``clusters.csv``, or ``clusters.json`` with the same records in a list.

    Columns ``subject``, ``cluster`` (its value in the label map) and ``score`` in [0, 1]; others
    are ignored.

    Args:
        folder: Folder of the maps.

    Returns:
        None where there is no table.

    Raises:
        RunError: If there are two tables, or a row cannot be used.
    """
    present = [folder / name for name in TABLES if (folder / name).is_file()]
    if not present:
        return None
    if len(present) > 1:
        raise RunError(str(folder), " and ".join(TABLES), "one of them",
                       "Remove the one that is out of date.")  # fmt: skip
    rows: dict[str, dict[int, float]] = {}
    for number, row in enumerate(_records(present[0]), start=1):
        place = f"{present[0]}, record {number}"
        cluster, score = _values(row, place)
        subject = str(row["subject"]).strip().removeprefix(PREFIX)
        if cluster in rows.setdefault(subject, {}):
            raise RunError(place, f"cluster {cluster} of {subject} for the second time",
                           "one score per cluster", "Remove one of the rows.")  # fmt: skip
        rows[subject][cluster] = score
    return ScoreTable(rows)


def _records(path: Path) -> list[Mapping[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix == ".json":
            records = json.loads(text)
            headers = [set(r) if isinstance(r, dict) else set() for r in records]
        else:
            reader = csv.DictReader(text.splitlines())
            records, headers = list(reader), [set(reader.fieldnames or ())]
        usable = isinstance(records, list) and all(set(_COLUMNS) <= names for names in headers)
    except (ValueError, TypeError):
        usable = False
    if not usable:
        raise RunError(
            str(path), "something else", f"records with {', '.join(_COLUMNS)}",
            "Write one record per cluster, or remove the file to score every cluster alike.",
        )  # fmt: skip
    return list(records)


def _values(row: Mapping[str, Any], place: str) -> tuple[int, float]:
    try:
        cluster, score = float(row["cluster"]), float(row["score"])
        usable = cluster >= 1 and cluster == int(cluster)
    except (TypeError, ValueError, OverflowError):
        usable = False
    if not usable:
        raise RunError(
            place, f"cluster {row['cluster']!r} with score {row['score']!r}",
            "the cluster's value in the label map, from 1, and a number", "Mend the row.",
        )  # fmt: skip
    if not 0 <= score <= 1:
        raise RunError(
            place, f"score {row['score']!r}", "a score in [0, 1], comparable between subjects",
            "Divide percentages by 100.",
        )  # fmt: skip
    return int(cluster), score
