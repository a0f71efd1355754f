"""The phantom verb: a BIDS folder of simulated patients and controls with known truth."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Literal

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.progress import map_items
from fcdsynth.core.provenance import plain
from fcdsynth.core.run import Run, item_folder
from fcdsynth.phantom import bids
from fcdsynth.phantom.contrast import draw_site
from fcdsynth.phantom.simulate import simulate
from fcdsynth.phantom.sources import TEMPLATE, list_label_maps
from fcdsynth.phantom.spec import LesionLaw, SubjectSpec, draw_subject

CONTRAST_SD = {"study": (0.5, 3.0), "easy": (2.5, 4.0)}


def phantom(
    out: str,
    patients: int = 8,
    controls: int = 8,
    sites: int = 2,
    seed: int = 0,
    anatomies: str | None = None,
    spacing: float = 1.0,
    workers: int = 1,
    difficulty: Literal["study", "easy"] = "study",
    contrast_sd: tuple[float, float] | None = None,
    annotator_sd_mm: float = 1.2,
    shift_share: float = 0.15,
    confounded: bool = False,
    split: bool = False,
) -> Path:
    """Write a BIDS folder of simulated patients with FCD and of controls, truth beside it.

    File names, tables and sidecars follow ds004199. The masks beside the images are what a
    simulated annotator drew on FLAIR; exact lesions and true tissue labels on the T1w grid,
    and everything that was drawn at random, are under ``derivatives/truth``. A subject depends
    on seed and number alone: patient n is always ``sub-(2n-1)`` and control n ``sub-(2n)``, so
    a larger cohort begins with the same subjects.

    Args:
        out: Folder to write; new, empty, or left by the same call when it was stopped.
        patients: Number of patients.
        controls: Number of controls.
        sites: Number of scanners, each with its own contrast, noise and voxel order.
        seed: Seed of everything random.
        anatomies: Folder of FreeSurfer-style label maps (``*.nii.gz``), one drawn per subject;
            the ICBM152 brain of nilearn when not given.
        spacing: Voxel size of T1w in mm, 0.8 to 4; FLAIR voxels are 1.1 times as long.
        workers: Number of processes.
        difficulty: ``study`` for FLAIR contrasts of 0.5 to 3 standard deviations of the
            surrounding tissue, ``easy`` for 2.5 to 4.
        contrast_sd: Lowest and highest FLAIR contrast, in place of the difficulty's.
        annotator_sd_mm: Spread of the error of the annotator's border in mm, 0 to 4.
        shift_share: Share of outlines that are shifted by 2 to 4 mm on top.
        confounded: All controls at the first site while patients come from every site, as in
            ds004199 where one scanner saw patients alone.
        split: Fill the split column: of every four patients and of every four controls, two
            train, one validates and one tests. Left empty otherwise.

    Returns:
        The BIDS folder.

    Raises:
        SettingsError: If a setting is out of range or contradicts another one.
        CohortError: If a label map cannot be read.
        RunError: If ``out`` holds something else.
    """
    low, high = contrast_sd if contrast_sd is not None else CONTRAST_SD[difficulty]
    _require(patients >= 0 and controls >= 0 and patients + controls > 0, "patients",
             f"{patients} patients and {controls} controls", "at least one subject")  # fmt: skip
    _require(sites >= 1, "sites", str(sites), "at least 1")
    _require(seed >= 0, "seed", str(seed), "0 or more")
    _require(0.8 <= spacing <= 4, "spacing", f"{spacing} mm", "0.8 to 4 mm")
    _require(workers >= 1, "workers", str(workers), "at least 1")
    _require(0 < low <= high <= 10, "contrast_sd", f"{low} to {high}", "0 < low <= high <= 10")
    _require(0 <= annotator_sd_mm <= 4, "annotator_sd_mm", f"{annotator_sd_mm} mm", "0 to 4 mm")
    _require(0 <= shift_share <= 1, "shift_share", str(shift_share), "0 to 1")
    _require(not confounded or sites > 1, "confounded", "one site", "at least two sites")
    folder = Path(anatomies) if anatomies is not None else None
    names = tuple(p.name for p in list_label_maps(folder)) if folder else (TEMPLATE,)

    law = LesionLaw((low, high), annotator_sd_mm, shift_share)
    specs = []
    for patient, number in [(True, n) for n in range(patients)] + [
        (False, n) for n in range(controls)
    ]:
        site = 1 if confounded and not patient else number % sites + 1
        name = f"sub-{2 * number + (1 if patient else 2):05d}"
        specs.append(draw_subject(name, patient, site, names, (seed, int(not patient), number),
                                  law))  # fmt: skip
    specs.sort(key=lambda spec: spec.id)
    settings = {
        "patients": patients, "controls": controls, "sites": sites, "seed": seed,
        "anatomies": anatomies, "spacing": spacing, "difficulty": difficulty,
        "contrast_sd": [low, high], "annotator_sd_mm": annotator_sd_mm,
        "shift_share": shift_share, "confounded": confounded, "split": split,
    }  # fmt: skip
    run = Run(out, "phantom", settings, [folder] if folder else [], seed)
    if run.complete:
        return run.out
    with run:
        todo = [spec for spec in specs if not run.has(spec.id)]
        todo.sort(key=lambda spec: spec.anatomy)  # each label map is read once in a row
        work = functools.partial(_one, run.folder, folder, spacing, seed)
        map_items(work, todo, "simulating subjects", workers)
        bids.write_dataset(run.folder, specs, split)
    return run.out


def _require(holds: bool, key: str, found: str, expected: str) -> None:
    if not holds:
        raise SettingsError(key, found, expected, f"Change {key}.")


def _one(run: Path, folder: Path | None, spacing: float, seed: int, spec: SubjectSpec) -> None:
    """Simulate and write one subject, the truth first: images are what marks it as done."""
    site = draw_site(seed, spec.site_number)
    made = simulate(spec, site, spacing, folder)
    truth = run / bids.TRUTH
    if not (truth / spec.id).exists():
        with item_folder(truth, spec.id) as scratch:
            bids.write_truth(scratch, spec, plain(spec), made)
    with item_folder(run, spec.id) as scratch:
        bids.write_images(scratch, site, spec, made)
