"""All subjects of all runs, scored on several processes; a stopped evaluation goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fcdsynth.core.progress import map_items
from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.reading import Scoring
from fcdsynth.evaluation.scoring import score_subject

Task = tuple[str, Scoring]
"""Name of the run, and what is needed to score one subject."""


def score_all(store: Path, tasks: Sequence[Task], workers: int) -> dict[str, list[SubjectRecord]]:
    """Score every subject of every run, keeping each record as soon as it is made.

    Args:
        store: Folder of the records; those that lie there are not measured again.
        tasks: What to score.
        workers: Number of processes.

    Returns:
        Records by run, in the order of the tasks.
    """
    records = map_items(_Work(store), tasks, "evaluate", workers)
    found: dict[str, list[SubjectRecord]] = {}
    for (name, _), record in zip(tasks, records, strict=True):
        found.setdefault(name, []).append(record)
    return found


@dataclass(frozen=True)
class _Work:
    store: Path

    def __call__(self, task: Task) -> SubjectRecord:
        name, scoring = task
        path = self.store / name / f"{scoring.subject.id}.json"
        if path.is_file():
            return SubjectRecord.from_json(json.loads(path.read_text()))
        record = score_subject(scoring)
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(".new")
        scratch.write_text(json.dumps(record.to_json(), allow_nan=False))
        os.replace(scratch, path)
        return record
