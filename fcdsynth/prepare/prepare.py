"""prepare: bring every subject's scans onto one grid, with masks, labels and transforms."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.progress import map_items
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Origin, Subject
from fcdsynth.prepare.person import Job, prepare_one

_LOG = logging.getLogger(__name__)
_ONE_GRID = ("t1w", "flair", "lesion", "brain", "tissue", "depth")
_MADE = (*_ONE_GRID, "lesion_t1w")
_RAW = ("t1w", "flair", "lesion", "brain")
_MODES = ("auto", "given", "foreground")
_LEAST_COVER = 0.95


def prepare(
    cohort: str,
    out: str,
    spacing: float = 1.0,
    workers: int = 1,
    brain_mask: str = "auto",
) -> Path:
    """Bring every subject's scans onto one upright grid, with brain mask, tissue and depth.

    Per subject: the brain mask is found on the T1w; FLAIR is registered to T1w rigidly; both are
    resampled to an upright grid around the brain whose world is the native T1w's; N4 takes the
    bias field off; intensities become v = 0.5 + 0.1 z with z the robust z-score of the brain;
    tissue labels, depth below the hull, the lesion mask and the transforms are written beside.

    Args:
        cohort: Folder or table that index wrote.
        out: Folder to write the prepared cohort into.
        spacing: Voxel size of the prepared grids in mm.
        workers: Number of processes; each takes one subject at a time.
        brain_mask: ``auto``: a given mask where the subject has one, else deepbet; ``given``:
            only given masks; ``foreground``: the images are skull-stripped, take what is
            above zero.

    Returns:
        The output folder, holding cohort.csv and one folder per subject.

    Raises:
        SettingsError: If an argument is out of range.
        CohortError: Naming the subject whose images cannot be prepared.
    """
    if brain_mask not in _MODES:
        raise SettingsError("brain_mask", repr(brain_mask), " or ".join(_MODES),
                            "Choose one of them.")  # fmt: skip
    if not 0.3 <= spacing <= 8:
        raise SettingsError("spacing", f"{spacing} mm", "0.3 to 8 mm", "Use 1.0, or 2.0 for speed.")
    if workers < 1:
        raise SettingsError("workers", str(workers), "at least 1", "Give a number of processes.")
    raw = Cohort.read(cohort)
    _require_raw(raw)
    settings = {"cohort": cohort, "spacing": spacing, "brain_mask": brain_mask}
    files = [raw.path(s, key) for s in raw.subjects for key in _RAW if s.has(key)]
    run = Run(out, "prepare", settings, [raw.folder / TABLE, *files])
    if run.complete:
        return run.out
    with run:
        jobs = [
            Job(s.id, run.folder.resolve(), {k: raw.path(s, k) for k in _RAW if s.has(k)},
                spacing, brain_mask)
            for s in raw.subjects if not run.has(s.id)
        ]  # fmt: skip
        map_items(prepare_one, jobs, "preparing", workers)
        placed = raw.moved(run.folder)
        rows = tuple(_prepared(subject, run.folder) for subject in placed.subjects)
        done = replace(placed, subjects=rows)
        done.write()
        faults = done.check(one_grid=_ONE_GRID)
        if faults:
            raise faults[0]
        for subject in rows:
            _warn(subject.id, run.folder)
    return run.out


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
    faults = [*cohort.check()]
    faults += [
        CohortError(s.id, "no t1w file", "a T1w volume", "Fill the t1w column of the table.")
        for s in cohort.subjects if not s.has("t1w")
    ]  # fmt: skip
    if faults:
        first = faults[0]
        more = f" (and {len(faults) - 1} more faults)" if len(faults) > 1 else ""
        raise CohortError(first.subject, first.found, first.expected, first.remedy + more)


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


def _warn(subject: str, folder: Path) -> None:
    text = (folder / subject / f"{subject}_quality.json").read_text(encoding="utf-8")
    quality: dict[str, Any] = json.loads(text)
    if not quality["mni_registration_trusted"]:
        _LOG.warning("%s: no trustworthy way into MNI space; deep grey matter, ventricles and "
                     "hindbrain are placed by the brain's bounding box", subject)  # fmt: skip
    if quality.get("flair_cover", 1.0) < _LEAST_COVER:
        _LOG.warning("%s: only %.0f %% of the brain lies inside the FLAIR's field of view",
                     subject, 100 * quality["flair_cover"])  # fmt: skip
