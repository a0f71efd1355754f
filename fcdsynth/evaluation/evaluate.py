"""The verb evaluate: detections against reference masks, with every rule at once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detections
from fcdsynth.core.errors import CohortError, LeakageError, RunError, SettingsError
from fcdsynth.core.progress import map_items
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Subject
from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.plot import plot_froc
from fcdsynth.evaluation.reading import Scoring
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import rule_named
from fcdsynth.evaluation.scoring import score_subject
from fcdsynth.evaluation.tables import write_tables

_RECORDS = "records"


def evaluate(
    detections: str,
    cohort: str,
    out: str,
    rule: str = "overlap",
    bootstrap: int = 2000,
    chance_draws: int = 20,
    seed: int = 0,
    workers: int = 1,
) -> Path:
    """Score detections against the reference masks of a prepared cohort.

    Every subject that detect looked at is evaluated. The reference is the exact mask (truth)
    where a row has one, else the annotator's mask on the native T1w grid (lesion_t1w). All hit
    rules are computed in one pass: overlap (any shared voxel), iou (at least 0.1), centre
    (centres of mass within 10 mm), near (any voxel within 20 mm). OUT receives report.json, from
    which every number can be rebuilt, subjects.csv, lesions.csv, clusters.csv, figures.csv,
    froc.csv and froc.png.

    Args:
        detections: Output folder of detect.
        cohort: Prepared cohort that was detected on.
        out: Output folder.
        rule: Rule of the headline figures: overlap, iou, centre or near. All are reported.
        bootstrap: Bootstrap samples of subjects behind the intervals.
        chance_draws: Random cluster sets per patient behind the chance level of each rule;
            0 leaves chance out.
        seed: Seed of bootstrap and chance level.
        workers: Processes that score subjects.

    Returns:
        The output folder.

    Raises:
        SettingsError: If a setting is out of range.
        CohortError: If a detected subject is not in the cohort, a patient has no reference, or
            a map holds no probabilities.
        GeometryError: If map, clusters and reference do not lie on one grid.
        LeakageError: If the detector or its operating point has seen an evaluated subject.
        RunError: If the folder of detections is empty or damaged.
    """
    chosen = rule_named(rule)
    for key, value, least in (("bootstrap", bootstrap, 100), ("chance_draws", chance_draws, 0),
                              ("seed", seed, 0), ("workers", workers, 1)):  # fmt: skip
        if value < least:
            raise SettingsError(key, str(value), f"at least {least}", "Give a larger number.")
    found, table = Detections.read(detections), Cohort.read(cohort)
    subjects = _evaluated(found, table)
    check_unseen(subjects, found)
    tasks = [Scoring.of(s, table, found, chance_draws, seed) for s in subjects]
    settings = {"rule": rule, "bootstrap": bootstrap, "chance_draws": chance_draws}
    run = Run(out, "evaluate", settings, _inputs(found, table, tasks), seed)
    if run.complete:
        return run.out
    for task in tasks:
        task.check()
    with run:
        store = run.folder / _RECORDS
        store.mkdir(exist_ok=True)
        records = map_items(_Work(store), tasks, "evaluate", workers)
        report = Report(
            f"{table.name}, version {table.version}",
            chosen,
            found.operating_point.to_json(),
            len(found.trained_on),
            tuple(s.id for s in table.subjects if s.id not in set(found.subjects)),
            bootstrap,
            chance_draws,
            seed,
            tuple(records),
        ).derived()
        report.write(run.folder)
        write_tables(report, run.folder)
        plot_froc(report, run.folder / "froc.png")
        shutil.rmtree(store)
    return run.out


def check_unseen(subjects: Sequence[Subject], found: Detections) -> None:
    """Raise if the detector was trained or tuned on an evaluated subject or its parents.

    Args:
        subjects: The evaluated subjects.
        found: Detections with the ids behind models and operating point. Detect lists the
            parents of synthetic training subjects as well.

    Raises:
        LeakageError: Naming the first subject at fault.
    """
    for ids, what in ((set(found.trained_on), "trained"),
                      (set(found.operating_point.chosen_on), "tuned")):  # fmt: skip
        for subject in subjects:
            seen = {subject.id, *(parent.subject for parent in subject.parents)} & ids
            if seen:
                raise LeakageError(
                    subject.id, f"a detector {what} on {', '.join(sorted(seen))}",
                    "a detector that has not seen the evaluated subjects or their parents",
                    "Evaluate on held-out subjects, or detect out of fold.",
                )  # fmt: skip


def _evaluated(found: Detections, table: Cohort) -> list[Subject]:
    rows = {subject.id: subject for subject in table.subjects}
    if not found.subjects:
        raise RunError(str(found.folder), "no subjects", "at least one detected subject",
                       "Run fcdsynth detect on the subjects to evaluate.")  # fmt: skip
    repeated = sorted({s for s in found.subjects if found.subjects.count(s) > 1})
    if repeated:
        raise RunError(", ".join(repeated), "several rows in subjects.csv", "one each",
                       "Run fcdsynth detect again.")  # fmt: skip
    strangers = [s for s in found.subjects if s not in rows]
    if strangers:
        raise CohortError(
            ", ".join(strangers[:5]), f"detections of {len(strangers)} subjects without a row",
            f"subjects of {table.name}", "Give the cohort that was detected on.",
        )  # fmt: skip
    return [rows[s] for s in found.subjects]


def _inputs(found: Detections, table: Cohort, tasks: Sequence[Scoring]) -> list[Path]:
    # Not the whole cohort folder: hashing every volume would cost more than the evaluation.
    files = [path for task in tasks for key, path in task.files.items() if key != "t1w_native"]
    return [found.folder, *sorted(table.folder.glob("cohort.*")), *files]


@dataclass(frozen=True)
class _Work:
    store: Path

    def __call__(self, task: Scoring) -> SubjectRecord:
        path = self.store / f"{task.subject.id}.json"
        if path.is_file():
            return SubjectRecord.from_json(json.loads(path.read_text()))
        record = score_subject(task)
        scratch = path.with_suffix(".new")
        scratch.write_text(json.dumps(record.to_json(), allow_nan=False))
        os.replace(scratch, path)
        return record
