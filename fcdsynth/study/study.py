"""The verb study: training arms through the whole chain, and one report that compares them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from fcdsynth.core import provenance
from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, RunError
from fcdsynth.core.run import write_provenance
from fcdsynth.core.subject import Split
from fcdsynth.study.chain import Step
from fcdsynth.study.choice import make_plan
from fcdsynth.study.jobs import Recipe, plan_jobs
from fcdsynth.study.kept import Shelf
from fcdsynth.study.launch import Timings, run_jobs, run_steps
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.plan import lock
from fcdsynth.study.settings import DEFAULT_ARMS, Arm, check_arms, find_config

_LOG = logging.getLogger(__name__)


def study(
    bids: str,
    out: str,
    arms: Sequence[Arm] = DEFAULT_ARMS,
    n: int | None = None,
    folds: int = 5,
    draws: int = 1,
    by: Literal["subject", "site"] = "subject",
    test_patients: int | None = None,
    test_controls: int | None = None,
    match_controls: bool = False,
    rule: str = "overlap",
    rate: float = 0.5,
    within_families: bool = False,
    spacing: float = 1.0,
    brain_mask: str = "auto",
    detector: str = "detector/base.yaml",
    synthesis: str = "synthesis/insert.yaml",
    machine: str = "machine/gpu.yaml",
    workers: int = 2,
    side_by_side: int = 1,
    seed: int = 0,
    refuse: bool = True,
    new_plan: bool = False,
    results: str | None = None,
) -> Path:
    """Compare training arms on a BIDS folder, from the raw scans to one report.

    Indexes and prepares the folder, chooses test and training subjects, locks a plan of all that
    is done and reported, and takes every arm through drawing, synthesis, detection and
    evaluation; then flags suspicious training masks and writes ``report.html`` with the same
    numbers as JSON and CSV. Prior, generator and synthetic subjects of a fold are made from that
    fold's training subjects only. Results are kept by draw and arm: a stopped study goes on
    where it was when the same words come again, and one with further draws or arms, under a new
    plan, trains only those.

    Args:
        bids: BIDS folder with T1w, FLAIR and lesion masks, named as in ds004199, or the folder
            of a prepared cohort.
        out: Folder of the study.
        arms: Training sets to compare, the first the baseline; each has a name, ``real``
            (multiple of n) and ``synthetic`` (synthetic subjects per real one, lesional and
            healthy alike), and may name masks, images, synthesis, pool, labels, contrasts.
        n: Real training patients (and controls) of an arm with ``real: 1``; as many as the
            largest arm allows when left out.
        folds: Patient-grouped folds within each arm; the detectors of all folds are averaged.
            1 trains one detector on all and validates on the table's subjects of split val.
        draws: Choices of training subjects; figures are means over them.
        by: ``site`` leaves one site out in each draw, which then tests; else ``subject``.
        test_patients: Test patients where the folder's split column names none; a third when
            left out.
        test_controls: Test controls, likewise.
        match_controls: Whether test controls that the folder does not name are those nearest to
            the test patients by sex and age class.
        rule: Hit rule of the primary endpoint: overlap, iou, centre or near.
        rate: False positives per subject at which its sensitivity is read off the FROC curve.
        within_families: Whether intervals draw subjects within families, as with simulated
            patients of a few anatomies, and not whole families.
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
        new_plan: Lock a further plan in a folder that has one: with other arms or draws, say.
            The report then says how many plans were opened.
        results: Folder in which every arm's results are kept as one small file, and looked for
            before anything is trained: shared or carried between machines, it lets a study go on
            elsewhere. Only results of the same subjects, masks, arm and settings are taken up.

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
    # Jobs side by side share the processes.
    recipe = Recipe(
        find_config(detector), find_config(synthesis), find_config(machine), seed,
        max(1, workers // side_by_side), refuse,
    )  # fmt: skip
    folder = StudyFolder(Path(out))
    settings = {"bids": bids, "spacing": spacing, "brain_mask": brain_mask, "seed": seed}
    key = provenance.run_key("study", settings, {}, seed)
    with _claimed(folder, key):
        _prepare(folder, bids, spacing, brain_mask, workers)
    prepared = Cohort.read(folder.prepared)
    plan = make_plan(
        prepared, arms, n, folds, draws, by, test_patients, test_controls, match_controls, seed,
        rule, rate, within_families, recipe.texts(),
    )  # fmt: skip
    file = lock(plan, folder.plans, new_plan)
    for draw in plan.draws:
        test = prepared.with_splits(dict.fromkeys(draw.test, Split.TEST))
        test.write(folder.test_cohort(draw))

    if results is not None:
        shelf = Shelf(Path(results), folder, plan)
        shelf.lay_down(file)
        for name in shelf.put_back():
            _LOG.info("%s: results taken from %s", name, results)
    kept = None if results is None else Path(results)
    run_jobs(folder, plan_jobs(folder.root, plan, file, recipe, kept), side_by_side)

    from fcdsynth.study.report import write_report

    write_report(folder, plan, file)
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

    given = Path(bids)
    if (given / TABLE).is_file():
        table = Cohort.read(given)
        unready = [s.id for s in table.subjects if not (s.has("tissue") and s.has("t1w_native"))]
        if unready:
            raise CohortError(unready[0], "a subject that is not prepared",
                              "a BIDS folder, or a cohort that prepare wrote",
                              "Run fcdsynth prepare, or give the BIDS folder.")  # fmt: skip
        if not (folder.prepared / TABLE).is_file():
            table.write(folder.prepared)
        return

    def read() -> None:
        index(bids, str(folder.cohort))

    def make() -> None:
        prepare(
            str(folder.cohort), str(folder.prepared), spacing=spacing, workers=workers,
            brain_mask=brain_mask, strict=True,
        )  # fmt: skip

    steps = [Step("index", "cohort", read), Step("prepare", "cohort", make)]
    run_steps(steps, Timings(folder.timings))
