"""The verb study: training arms through the whole chain, and one report that compares them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from fcdsynth.core import provenance
from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import RunError
from fcdsynth.core.run import write_provenance
from fcdsynth.core.subject import Split
from fcdsynth.study.chain import Recipe, Step, plan_jobs
from fcdsynth.study.launch import Timings, run_jobs, run_steps
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.plan import make_plan
from fcdsynth.study.settings import DEFAULT_ARMS, Arm, check_arms, find_config


def study(
    bids: str,
    out: str,
    arms: Sequence[Arm] = DEFAULT_ARMS,
    n: int | None = None,
    folds: int = 5,
    test_patients: int | None = None,
    test_controls: int | None = None,
    rule: str = "overlap",
    spacing: float = 1.0,
    brain_mask: str = "auto",
    detector: str = "detector/base.yaml",
    synthesis: str = "synthesis/insert.yaml",
    machine: str = "machine/gpu.yaml",
    workers: int = 2,
    side_by_side: int = 1,
    seed: int = 0,
    refuse: bool = True,
) -> Path:
    """Compare training arms on a BIDS folder, from the raw scans to one report.

    Indexes and prepares the folder, chooses and locks test and training subjects, and takes
    every arm through drawing, synthesis, detection and evaluation; then flags suspicious
    training masks and writes ``report.html`` with the same numbers as JSON and CSV. Prior,
    generator and synthetic subjects of a fold are made from that fold's training subjects
    only. A stopped study goes on where it was when the same words come again.

    Args:
        bids: BIDS folder with T1w, FLAIR and lesion masks, named as in ds004199.
        out: Folder of the study.
        arms: Training sets to compare; each has a name, ``real`` (multiple of n) and
            ``synthetic`` (synthetic subjects per real one, lesional and healthy alike).
        n: Real training patients (and controls) of an arm with ``real: 1``; as many as the
            largest arm allows when left out.
        folds: Patient-grouped folds within each arm; the detectors of all folds are averaged.
        test_patients: Test patients where the folder's split column names none; a third when
            left out.
        test_controls: Test controls, likewise.
        rule: Hit rule of the primary endpoint: overlap, iou, centre or near.
        spacing: Voxel size of the prepared grid in mm.
        brain_mask: Where brain masks come from: auto, given or foreground.
        detector: Config of the detector, a path or a shipped name.
        synthesis: Config of the generator, a path or a shipped name.
        machine: Config with the trainer section for this machine, a path or a shipped name.
        workers: Processes for per-subject work.
        side_by_side: Trainings at a time, each a process on one core (or sharing the GPU).
        seed: Seed of the choice of subjects and of all training.
        refuse: Whether synthetic pairs that fail their tests are left out of the arms. False is
            for a generator too small to pass them, to see that the chain runs.

    Returns:
        Path of ``report.html``.

    Raises:
        SettingsError: If arms or configs are not usable.
        CohortError: If the folder has faults or too few subjects.
        RunError: If ``out`` holds another study.
        LeakageError: If anything trained would descend from a held-out subject.
    """
    start = time.monotonic()
    check_arms(arms)
    recipe = Recipe(
        find_config(detector), find_config(synthesis), find_config(machine), seed, workers, refuse
    )
    folder = StudyFolder(Path(out))
    settings = {
        "arms": list(arms), "n": n, "folds": folds, "test_patients": test_patients,
        "test_controls": test_controls, "rule": rule, "spacing": spacing,
        "brain_mask": brain_mask, "seed": seed, "refuse": refuse,
        "detector": recipe.detector.read_text(), "synthesis": recipe.synthesis.read_text(),
    }  # fmt: skip
    key = provenance.run_key("study", settings, {}, seed)
    with _claimed(folder, key):
        _prepare(folder, bids, spacing, brain_mask, workers)
    prepared = Cohort.read(folder.prepared)
    plan = make_plan(prepared, arms, n, folds, test_patients, test_controls, seed, rule)
    plan.lock(folder.plan)
    prepared.with_splits(dict.fromkeys(plan.test, Split.TEST)).write(folder.test_cohort)

    run_jobs(folder, plan_jobs(folder.root, plan, recipe, arms), side_by_side)

    from fcdsynth.study.report import write_report

    write_report(folder, plan, arms)
    inputs = {str(bids): "see cohort/provenance.json"}
    write_provenance(folder.root, "study", key, inputs, seed, time.monotonic() - start)
    return folder.report


@contextmanager
def _claimed(folder: StudyFolder, key: str) -> Iterator[None]:
    """Mark a new or own folder and refuse anybody else's; a failed start leaves no trace."""
    mark = folder.root / ".study"
    if not (mark.is_file() and mark.read_text() == key):
        if folder.root.exists() and any(folder.root.iterdir()):
            raise RunError(
                str(folder.root), "a folder of another study, or of something else",
                "a new or empty folder, or the same study again",
                "Give another output folder, or remove this one.",
            )  # fmt: skip
        folder.root.mkdir(parents=True, exist_ok=True)
        mark.write_text(key)
    try:
        yield
    except BaseException:
        if [path.name for path in folder.root.iterdir()] == [mark.name]:
            mark.unlink()
            folder.root.rmdir()
        raise


def _prepare(folder: StudyFolder, bids: str, spacing: float, brain_mask: str, workers: int) -> None:
    from fcdsynth.prepare.index import index
    from fcdsynth.prepare.prepare import prepare

    def read() -> None:
        index(bids, str(folder.cohort))

    def make() -> None:
        prepare(
            str(folder.cohort), str(folder.prepared), spacing=spacing, workers=workers,
            brain_mask=brain_mask, strict=True,
        )  # fmt: skip

    steps = [Step("index", "cohort", read), Step("prepare", "cohort", make)]
    run_steps(steps, Timings(folder.timings))
