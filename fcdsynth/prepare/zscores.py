"""z-scores of every subject against the cohort's own controls, and the record of who they are."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Origin, Split
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.core.whole import write_whole
from fcdsynth.prepare.controls import (
    CONTRASTS,
    POOLED,
    Controls,
    Look,
    PlaceOf,
    affine_place,
    gather,
)
from fcdsynth.prepare.reference import FWHM_MM, SD_FLOOR, Sums

LEAST_CONTROLS = 8
RECORD = "zscores.json"
_SCRATCH = ".scratch-zscores"  # Run clears away what is named so


@dataclass(frozen=True)
class _Judge:
    """One subject's z-scores: the file of the sums by contrast, and where it has a share."""

    look: Look
    folder: Path
    sums: dict[str, Path]
    shares: frozenset[str]

    def file(self, contrast: str) -> Path:
        subject = self.look.subject.id
        return self.folder / subject / f"{subject}_{contrast}_z.nii.gz"

    @property
    def done(self) -> bool:
        return all(self.file(key).is_file() for key in self.sums)


def write_zscores(
    cohort: Cohort,
    folder: Path,
    workers: int = 1,
    least: int = LEAST_CONTROLS,
    place: PlaceOf = affine_place,
) -> dict[str, Any]:
    """Write maps of z-scores of T1w and FLAIR against the cohort's own controls.

    Each subject is compared, place by place in MNI space and tissue by tissue, with the controls
    of its scanner where there are enough, else with all controls where those are enough,
    else not at all. A control is compared with the others. Controls of the splits ``val`` and
    ``test``, and synthetic ones, are judged but never compared with. Call it again after a
    stop: subjects that have their maps are passed over, unless the controls are others now.

    Args:
        cohort: Prepared subjects, their files in place.
        folder: Folder of the prepared cohort; maps go to ``sub-x/sub-x_flair_z.nii.gz``, the
            record to ``zscores.json``.
        workers: Number of processes.
        least: Least number of controls that make a reference.
        place: Gives a subject's way from its T1w world into MNI space (points in mm, shape
            (n, 3)), or None; a module-level function where ``workers > 1``.

    Returns:
        The record: which controls, how many, by scanner; which reference each subject met and
        why some met none.

    Raises:
        SettingsError: If ``least`` is below 3.
        CohortError: If a file of a subject cannot be read.
    """
    if least < 3:
        raise SettingsError("least", str(least), "at least 3 controls", "Give a larger number.")
    gathered = gather(cohort, place, workers, least)
    lost = set(gathered.placeless)
    _begin(folder, _record(cohort, gathered, lost))
    scratch = folder / _SCRATCH
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        files = {}
        for number, key in enumerate(sorted(gathered.sums)):
            files[key] = scratch / f"{number}.npz"
            gathered.sums.pop(key).save(files[key])
        jobs = [_judge(Look.of(cohort, s, place), folder, gathered, files) for s in cohort.subjects]
        jobs = [job for job in jobs if not job.done]
        placed = map_items(_write, jobs, "comparing with controls", workers)
    finally:
        shutil.rmtree(scratch)
    lost |= {job.look.subject.id for job, found in zip(jobs, placed, strict=True) if not found}
    return _save(folder, _record(cohort, gathered, lost))


def _begin(folder: Path, record: dict[str, Any]) -> None:
    """Write down the controls; maps left by an earlier call with others go."""
    path = folder / RECORD
    before = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if any(before.get(key) != record[key] for key in ("controls", "least_controls")):
        for stale in folder.glob("*/*_z.nii.gz"):
            stale.unlink()
    _save(folder, record)


def _save(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    write_whole(folder / RECORD, json.dumps(record, indent=2) + "\n")
    return record


def _judge(
    look: Look, folder: Path, gathered: Controls, files: dict[tuple[str, str], Path]
) -> _Judge:
    subject = look.subject
    chosen = {key: gathered.choose(key, subject.scanner) for key in look.contrasts}
    met = [(key, name) for key, name in chosen.items() if name is not None]
    shares = {key for key, name in met if subject.id in gathered.names[key, name]}
    return _Judge(look, folder, {key: files[key, name] for key, name in met}, frozenset(shares))


def _write(judge: _Judge) -> bool:
    """Write the maps of one subject, its own share taken out of the sums.

    Returns:
        Whether it has a way into MNI space; without one nothing is written.
    """
    face = judge.look.face()
    if face is None:
        return False
    for key, path in judge.sums.items():
        image = judge.look.image(key)
        maps = face.averages(image.array)
        sums = Sums.load(path)
        if key in judge.shares:
            sums = sums.plus(maps, -1)
        z = face.spread(sums.z_scores(maps), image.grid.shape)
        write_volume(judge.file(key), Volume(z, image.grid))
    return True


def _record(cohort: Cohort, gathered: Controls, lost: set[str]) -> dict[str, Any]:
    """Which controls, how many, by scanner, and what each subject was compared with."""
    scanner = {s.id: s.scanner for s in cohort.subjects}
    least, controls, notes = gathered.least, [s for s in cohort.subjects if not s.is_patient], []
    met = {
        s.id: {
            key: None if s.id in lost else gathered.choose(key, s.scanner)
            for key in CONTRASTS if s.has(key)
        }
        for s in cohort.subjects
    }  # fmt: skip
    by_scanner: dict[str, dict[str, list[str]]] = {key: {} for key in CONTRASTS}
    for key in CONTRASTS:
        names = gathered.names.get((key, POOLED), [])
        for name in names:
            by_scanner[key].setdefault(scanner[name] or "unknown", []).append(name)
        if len(names) < least:
            notes.append(f"{key}: no z-scores; {len(names)} controls to compare with, "
                         f"{least} are needed")  # fmt: skip
        pooled = sum(found.get(key) == POOLED for found in met.values())
        if pooled:
            notes.append(f"{key}: {pooled} subjects are compared with the controls of all "
                         f"scanners, their own having fewer than {least}")  # fmt: skip
    if lost:
        notes.append(f"{len(lost)} subjects have no z-scores for want of a way into MNI space")
    return {
        "least_controls": least,
        "smoothing_fwhm_mm": FWHM_MM,
        "sd_floor": SD_FLOOR,
        "controls": by_scanner,
        "controls_held_out": [s.id for s in controls if s.split in (Split.VAL, Split.TEST)],
        "controls_synthetic": [s.id for s in controls if s.origin is Origin.SYNTHETIC],
        "without_way_into_mni": sorted(lost),
        "compared_with": met,
        "notes": notes,
    }
