"""The verb evaluate: detections against reference masks, with every rule at once."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Subject
from fcdsynth.evaluation.admission import admit, relatives
from fcdsynth.evaluation.blind.locked import AnalysisPlan
from fcdsynth.evaluation.blind.openings import account_of, note_opened, settle
from fcdsynth.evaluation.blind.planned import PlannedRun
from fcdsynth.evaluation.reading import Scoring
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import rule_named
from fcdsynth.evaluation.scored import Task, score_all
from fcdsynth.evaluation.source import Source, read_sources
from fcdsynth.evaluation.together import Together
from fcdsynth.evaluation.whereabouts import synthetic_lesions

_RECORDS = "_records"


def evaluate(
    detections: list[str],
    cohort: str,
    out: str,
    rule: str = "overlap",
    compare: tuple[str, str] | None = None,
    blind: bool = False,
    plan: str | None = None,
    endpoint: str = "subject_sensitivity",
    maps: str = "probability",
    threshold: float = 0.5,
    min_volume_ml: float = 0.1,
    pattern: str = "*",
    synthetic: str | None = None,
    pictures: int = 24,
    bootstrap: int = 2000,
    chance_draws: int = 20,
    seed: int = 0,
    workers: int = 1,
) -> Path:
    """Score detections, of fcdsynth or of any other tool, against reference masks.

    Every subject that has a map is evaluated. The reference is the exact mask (truth) where a row
    has one, else the annotator's mask on the native T1w grid (lesion_t1w). All hit rules are
    computed in one pass: overlap (any shared voxel), iou (at least 0.1), centre (centres of mass
    within 10 mm), near (any voxel within 20 mm). OUT receives report.html, report.json, from
    which every number can be rebuilt, and subjects, lesions, clusters, figures, froc and failures
    as CSV. With several runs these lie in OUT/NAME, and OUT holds the report that compares them.

    Args:
        detections: Folders of maps, each FOLDER or NAME=FOLDER. The folder is the output of
            detect, or holds one NIfTI map a subject, found by its id. Folders of one NAME are
            merged (folds, left-out sites); ARM/SEED names make seeds of one arm.
        cohort: Cohort with the reference masks: prepared, or any table with the columns id,
            group, origin and lesion_t1w.
        out: Output folder.
        rule: Rule of the headline figures: overlap, iou, centre or near. All are reported.
        compare: Two runs or arms, the first without and the second with what is on trial.
            Without it, every later run is compared with the first.
        blind: Hide the test set until a plan is locked. The first call writes the plan and
            scores nothing; the same call again opens the test set.
        plan: File of the locked plan, for blind.
        endpoint: The figure that the conclusion rests on, named in the plan.
        maps: What the maps of another tool hold: probability, binary or labels.
        threshold: Where probability maps of another tool are cut.
        min_volume_ml: Clusters of another tool below this volume are dropped.
        pattern: Narrows the file names of another tool's maps, such as '*prediction*'.
        synthetic: Synthetic cohort that trained the second of the compared arms, to ask whether
            new false positives lie where synthetic lesions lay.
        pictures: Most pictures of failures in the report.
        bootstrap: Bootstrap samples of subjects behind the intervals.
        chance_draws: Random cluster sets per patient behind the chance level of each rule;
            0 leaves chance out.
        seed: Seed of bootstrap and chance level.
        workers: Processes that score subjects.

    Returns:
        The output folder; the plan's file where the call locked one.

    Raises:
        SettingsError: If a setting is out of range, or differs from the locked plan.
        CohortError: If a subject is missing, unknown, synthetic or without a reference, or a
            map does not hold what it should.
        GeometryError: If map, clusters and reference do not lie on one grid.
        LeakageError: If the detector or its operating point has seen an evaluated subject.
        RunError: If a folder of detections is empty or damaged, or the plan was edited.
    """
    chosen = rule_named(rule)
    for key, value, least in (("bootstrap", bootstrap, 100), ("chance_draws", chance_draws, 0),
                              ("pictures", pictures, 0), ("seed", seed, 0),
                              ("workers", workers, 1)):  # fmt: skip
        if value < least:
            raise SettingsError(key, str(value), f"at least {least}", "Give a larger number.")
    if blind and plan is None:
        raise SettingsError("plan", "none", "the file of the plan", "Give --plan plan.yaml.")
    if plan is not None and not blind:
        raise SettingsError("blind", "a plan, and blind false", "--blind true with a plan",
                            "Give --blind true, or leave --plan out.")  # fmt: skip
    table = Cohort.read(cohort)
    if not table.subjects:
        raise CohortError(cohort, "a table without rows", "at least one subject", "Fill it.")
    cutting = {"kind": maps, "threshold": threshold, "min_volume_ml": min_volume_ml,
               "pattern": pattern}  # fmt: skip
    sources = read_sources(detections, table, **cutting)
    subjects = {source.name: admit(source, table, blind) for source in sources}
    pair = None if compare is None else (compare[0], compare[1])
    together = Together(tuple(source.name for source in sources), pair)
    together.check({name: [s.id for s in mine] for name, mine in subjects.items()})
    if blind and pair is None and together.contrasts() is not None:
        raise SettingsError("compare", "none", "the two runs or arms that the plan compares",
                            "Give --compare A B: a plan says what is compared.")  # fmt: skip
    traced = None if synthetic is None else synthetic_lesions(Cohort.read(synthetic))
    settings: dict[str, Any] = {
        "rule": rule, "compare": list(pair or ()), "blind": blind,
        "maps": maps, "threshold": threshold, "min_volume_ml": min_volume_ml,
        "pictures": pictures, "bootstrap": bootstrap, "chance_draws": chance_draws,
        "runs": {source.name: source.fingerprint() for source in sources},
        "pattern": pattern,
    }  # fmt: skip
    if plan is not None:
        now = AnalysisPlan.of(
            table, [PlannedRun.of(s.name, s.kind, s.operating_point) for s in sources], rule,
            endpoint, pair or (), bootstrap, chance_draws, seed,
        )  # fmt: skip
        locked, opens = settle(plan, now)
        if not opens:
            return Path(plan)
        settings["plan_sha256"] = locked.sha256
    tasks = [
        (source.name, Scoring.of(s, table, source.maps[s.id], source.seen_site(s, table),
                                 chance_draws, seed))
        for source in sources for s in subjects[source.name]
    ]  # fmt: skip
    run = Run(out, "evaluate", settings, _inputs(sources, cohort, table, tasks, synthetic), seed)
    if run.complete:
        return run.out
    for _, task in tasks:
        task.check()
    with run:
        if plan is not None:
            note_opened(plan, [source.name for source in sources])
        records = score_all(run.folder / _RECORDS, tasks, workers)
        account = None if plan is None else account_of(plan)
        reports = {
            source.name: Report(
                cohort=f"{table.name}, version {table.version}",
                rule=chosen,
                maps=source.kind,
                operating_point=source.operating_point,
                n_trained_on=source.n_trained_on,
                not_evaluated=_others(table, subjects[source.name]),
                unknown=source.strangers,
                plan=account,
                relatives=relatives(source, table, subjects[source.name]),
                bootstrap=bootstrap,
                chance_draws=chance_draws,
                seed=seed,
                subjects=tuple(records[source.name]),
            ).derived()
            for source in sources
        }
        together.write(run.folder, reports, {s.name: s for s in sources}, table, traced, pictures)
        shutil.rmtree(run.folder / _RECORDS)
    return run.out


def _others(table: Cohort, subjects: Sequence[Subject]) -> tuple[str, ...]:
    evaluated = {subject.id for subject in subjects}
    return tuple(subject.id for subject in table.subjects if subject.id not in evaluated)


def _inputs(
    sources: Sequence[Source],
    cohort: str,
    table: Cohort,
    tasks: Sequence[Task],
    synthetic: str | None,
) -> list[Path]:
    # Not the whole cohort folder: hashing every volume would cost more than the evaluation.
    files = [path for _, task in tasks for key, path in task.files.items() if key != "t1w_native"]
    inputs = [folder for source in sources for folder in source.folders]
    inputs += [Path(cohort)] if Path(cohort).is_file() else sorted(table.folder.glob("cohort.*"))
    inputs += [Path(synthetic)] if synthetic is not None else []
    return list(dict.fromkeys([*inputs, *files]))
