"""prepare: bring every subject's scans onto one grid, with masks, labels and transforms."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, FcdsynthError, SettingsError
from fcdsynth.core.memory import affordable, cores, free_gib
from fcdsynth.core.progress import try_items
from fcdsynth.core.run import Run
from fcdsynth.core.subject import ON_PREPARED_GRID, Origin, Subject
from fcdsynth.core.volume import read_grid
from fcdsynth.prepare.attempt import Attempt, attempt, gib_needed
from fcdsynth.prepare.audit import CONFOUND
from fcdsynth.prepare.cohort_page import read_quality, write_cohort_page
from fcdsynth.prepare.failures import (
    Failure,
    raise_failures,
    read_failures,
    some,
    write_failures,
)
from fcdsynth.prepare.faults import show_faults
from fcdsynth.prepare.person import Job
from fcdsynth.prepare.zscores import write_zscores

_LOG = logging.getLogger(__name__)
_MADE = (*ON_PREPARED_GRID, "lesion_t1w")
_RAW = ("t1w", "flair", "lesion", "brain", "labels")
_MODES = ("auto", "given", "foreground")


def prepare(
    cohort: str,
    out: str,
    spacing: float = 1.0,
    workers: int = 1,
    brain_mask: str = "auto",
    strict: bool = False,
) -> Path:
    """Bring every subject's scans onto one upright grid, with brain mask, tissue and depth.

    Per subject: the brain mask is found on the T1w; FLAIR is registered to T1w rigidly, or left
    where its header puts it when that is no worse; both are resampled to an upright grid around
    the brain whose world is the native T1w's; N4 takes the bias field off; intensities become
    v = 0.5 + 0.1 z with z the robust z-score of the brain; tissue labels, depth below the hull,
    the lesion mask, the transforms and a quality page (``sub-x_quality.html``) are written
    beside. Over all subjects: z-scores against the cohort's controls, and ``quality.html`` with
    outliers first and the audit of acquisition against group.

    A subject that cannot be prepared does not stop the others: it has no folder and no row, and
    stands with its reason in ``failures.json`` and on top of ``quality.html``. Such a run counts
    as whole. To try a failed subject again mend its images, which makes another run.

    Args:
        cohort: Folder or table that index wrote.
        out: Folder to write the prepared cohort into.
        spacing: Voxel size of the prepared grids in mm.
        workers: Number of processes, each with one subject at a time; fewer are used where the
            memory is short; 0: as many as cores and memory allow.
        brain_mask: ``auto``: a given mask where the subject has one, else deepbet; ``given``:
            only given masks; ``foreground``: the images are skull-stripped, take what is
            above zero.
        strict: Fail, once all others are prepared, if any subject failed.

    Returns:
        The output folder, holding cohort.csv, quality.html and one folder per subject.

    Raises:
        SettingsError: If an argument is out of range.
        CohortError: If no subject can be prepared, or with ``strict`` one cannot; all failures
            are listed.
    """
    _check_settings(spacing, workers, brain_mask)
    raw = Cohort.read(cohort)
    _require_raw(raw)
    settings = {"cohort": cohort, "spacing": spacing, "brain_mask": brain_mask}
    table = raw.folder / TABLE
    confound = raw.folder / CONFOUND
    files = [raw.path(s, key) for s in raw.subjects for key in _RAW if s.has(key)]
    files = [path for path in (confound, *files) if path.exists()]
    run = Run(out, "prepare", settings, [table, *files])
    if run.complete:
        _judge(read_failures(run.out), raw, strict)
        return run.out
    with run:
        failures = _prepare_all(raw, run, spacing, workers, brain_mask)
        if failures and (strict or len(failures) == len(raw)):
            raise_failures(failures, cohort, len(raw))
        done = _written(raw, run.folder, {failure.subject for failure in failures})
        write_zscores(done, run.folder, workers=workers or cores())
        done = _written(raw, run.folder, {failure.subject for failure in failures})
        if faults := done.check(one_grid=ON_PREPARED_GRID):
            raise faults[0]
        write_failures(run.folder, failures)
        audit = json.loads(confound.read_text("utf-8")) if confound.is_file() else None
        write_cohort_page(done, failures, audit)
    for subject in done.subjects:
        for concern in read_quality(run.out, subject.id)["warnings"]:
            _LOG.warning("%s: %s", subject.id, concern["text"])
    for text in (audit or {}).get("warnings", []):
        _LOG.warning("CONFOUND: %s", text)
    _judge(failures, raw, strict)
    return run.out


def _check_settings(spacing: float, workers: int, brain_mask: str) -> None:
    if brain_mask not in _MODES:
        raise SettingsError("brain_mask", repr(brain_mask), " or ".join(_MODES),
                            "Choose one of them.")  # fmt: skip
    if not 0.3 <= spacing <= 8:
        raise SettingsError("spacing", f"{spacing} mm", "0.3 to 8 mm", "Use 1.0, or 2.0 for speed.")
    if workers < 0:
        raise SettingsError("workers", str(workers), "0 or more", "Give a number of processes, "
                            "or 0 for as many as cores and memory allow.")  # fmt: skip


def _judge(failures: list[Failure], raw: Cohort, strict: bool) -> None:
    """Say loudly who is missing."""
    if not failures:
        return
    if strict:
        raise_failures(failures, raw.name, len(raw))
    show_faults([failure.error() for failure in failures], raw.name)
    _LOG.warning("%d of %d subjects could not be prepared and are NOT in the prepared cohort: %s",
                 len(failures), len(raw), some(failures))  # fmt: skip


def _prepare_all(
    raw: Cohort, run: Run, spacing: float, workers: int, brain_mask: str
) -> list[Failure]:
    """Prepare who is not prepared yet; return who cannot be."""
    tasks, gib, failures = [], [], []
    for subject in raw.subjects:
        if run.has(subject.id):
            continue
        if fault := _fault(raw, subject):
            failures.append(Failure.of(subject.id, fault))
            continue
        sources = {k: raw.path(subject, k) for k in _RAW if subject.has(k)}
        job = Job(subject.id, run.folder.resolve(), sources, spacing, brain_mask)
        tasks.append(Attempt(job, subject))
        gib.append(gib_needed([read_grid(p) for k, p in sources.items() if k != "lesion"], spacing))
    if tasks:
        crew = affordable(workers, max(gib), free_gib())
        if crew.limit:
            _LOG.warning("%s", crew.limit)
        outcomes = try_items(attempt, tasks, "preparing", min(crew.number, len(tasks)))
        failures += [Failure.of(task.job.subject, outcome)
                     for task, outcome in zip(tasks, outcomes, strict=True)
                     if isinstance(outcome, Exception)]  # fmt: skip
    order = [subject.id for subject in raw.subjects]
    return sorted(failures, key=lambda failure: order.index(failure.subject))


def _fault(raw: Cohort, subject: Subject) -> FcdsynthError | None:
    """What headers tell of a subject that cannot be prepared."""
    if not subject.has("t1w"):
        return CohortError(subject.id, "no t1w file", "a T1w volume",
                           "Fill the t1w column of the table.")  # fmt: skip
    return next(iter(replace(raw, subjects=(subject,)).check()), None)


def _written(raw: Cohort, folder: Path, failed: set[str]) -> Cohort:
    """Write the table of the prepared subjects with the files that are there."""
    placed = raw.moved(folder)
    rows = tuple(_prepared(s, folder) for s in placed.subjects if s.id not in failed)
    done = replace(placed, subjects=rows)
    done.write()
    return done


def _require_raw(cohort: Cohort) -> None:
    """Refuse what cannot be prepared before any compute."""
    if not len(cohort):
        raise CohortError(cohort.name, "no subject", "at least one", "Index a BIDS folder first.")
    for subject in cohort.subjects:
        if subject.origin is Origin.SYNTHETIC or subject.has("tissue"):
            raise CohortError(
                subject.id, "a subject that is prepared already", "a cohort that index wrote",
                "Give the folder that fcdsynth index made.",
            )  # fmt: skip


def _prepared(subject: Subject, folder: Path) -> Subject:
    """The subject's row with its prepared files in place of the raw ones."""
    files = {"t1w_native": subject.files["t1w"]}
    if subject.has("flair"):
        files["flair_native"] = subject.files["flair"]
    if subject.has("truth"):
        files["truth"] = subject.files["truth"]
    for key in _MADE:
        name = f"{subject.id}/{subject.id}_{key}.nii.gz"
        if (folder / name).is_file():
            files[key] = name
    files["transforms"] = f"{subject.id}/{subject.id}_transforms.json"
    return replace(subject, files=files)
