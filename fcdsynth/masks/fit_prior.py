"""The verb fit-prior: what draw draws from, fitted on training masks and written as a file."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from fcdsynth.core import provenance
from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.run import write_provenance
from fcdsynth.masks.laws.fit import measure_patients, prior_from
from fcdsynth.masks.laws.growths import TRIALS
from fcdsynth.masks.laws.prior import LesionPrior, map_beside
from fcdsynth.masks.prior_page import prior_page
from fcdsynth.masks.settings import check_trials
from fcdsynth.masks.training import anatomy_files, training_patients


def fit_prior(
    cohort: str,
    out: str,
    fwhm_mm: float | None = None,
    lobe_weight: float | None = None,
    mirror: float | None = None,
    growth_trials: int = TRIALS,
    seed: int = 0,
    workers: int = 1,
) -> Path:
    """Fit the laws of lesions on the training patients' masks: size, site, depth, shape, growth.

    Writes prior.json (the numbers, each with its n, and how they were chosen), and beside it
    prior_site.nii.gz (the density of lesions in MNI space), prior.html (the fit against the
    masks) and prior_provenance.json. fcdsynth draw --prior reads the first two.

    Args:
        cohort: A prepared cohort. Training patients are those of split train, or everyone
            when no subject has a split.
        out: The file to write, ending in .json; the others are named after it.
        fwhm_mm: Bandwidth of the site law in mm; chosen by likelihood by default.
        lobe_weight: Weight in [0, 1] of the lobe shares in the site law; chosen by likelihood
            by default.
        mirror: Share of each lesion's density that goes to the other side; chosen by
            likelihood by default.
        growth_trials: Growths tried at the place of each lesion, at least 2; 0 leaves growth at
            its defaults.
        seed: Seed of everything random.
        workers: Number of processes.

    Returns:
        The file.

    Raises:
        CohortError: If there is no training patient, or a patient's files cannot be used.
        RunError: If files of these names were made otherwise.
        SettingsError: If a setting is out of range.
    """
    path = Path(out)
    if path.suffix != ".json":
        raise SettingsError("out", str(out), "the name of a file that ends in .json",
                            "Give one, such as prior.json.")  # fmt: skip
    check_trials(growth_trials)
    table = Cohort.read(cohort)
    patients = training_patients(table)
    if not patients:
        raise CohortError(
            table.name, "no training patient with a lesion mask", "at least one",
            "Mend the splits, or draw with --prior published, which needs no masks.",
        )  # fmt: skip
    read = anatomy_files(table, patients, "lesion")
    inputs = {str(p): provenance.hash_path(p) for p in [table.folder / TABLE, *read]}
    settings: dict[str, Any] = {"fwhm_mm": fwhm_mm, "lobe_weight": lobe_weight, "mirror": mirror,
                                "growth_trials": growth_trials}  # fmt: skip
    key = provenance.run_key("draw fit-prior", settings, inputs, seed)
    if _is_whole(path, key):
        return path
    start = time.monotonic()
    measured = measure_patients(table, patients, seed, workers, growth_trials=growth_trials)
    prior = prior_from(measured, fwhm_mm, lobe_weight, mirror, seed, table.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".scratch-", dir=path.parent) as name:
        scratch = Path(name)
        prior.write(scratch / path.name)
        page = scratch / path.with_suffix(".html").name
        page.write_text(prior_page(prior, measured), encoding="utf-8")
        wall = time.monotonic() - start
        write_provenance(scratch, "draw fit-prior", key, inputs, seed, wall)
        os.replace(scratch / provenance.FILE, scratch / _record_of(path).name)
        # The record first, so that a stopped run may be repeated; the prior itself last.
        for target in (_record_of(path), map_beside(path), path.with_suffix(".html"), path):
            if (scratch / target.name).exists():
                os.replace(scratch / target.name, target)
    return path


def _record_of(path: Path) -> Path:
    return path.with_name(f"{path.stem}_provenance.json")


def _is_whole(path: Path, key: str) -> bool:
    """Whether the same fit lies there, whole.

    Raises:
        RunError: If something else does.
        SettingsError: If its map was lost or changed.
    """
    record = _record_of(path)
    if record.is_file() and json.loads(record.read_text(encoding="utf-8")).get("key") == key:
        if not path.exists():
            return False
        LesionPrior.read(path)
        return True
    for taken in (path, map_beside(path), path.with_suffix(".html"), record):
        if taken.exists():
            raise RunError(
                str(taken), "a file made from other inputs, settings or version",
                "a new name, or the same fit again", "Give another name, or remove this file.",
            )  # fmt: skip
    return False
