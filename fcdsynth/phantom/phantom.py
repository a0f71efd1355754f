"""The phantom verb: a BIDS folder of simulated patients and controls with known truth."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path
from typing import Literal

import numpy as np

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.progress import map_items
from fcdsynth.core.provenance import plain
from fcdsynth.core.run import Run, item_folder
from fcdsynth.phantom import bids
from fcdsynth.phantom.bank import fill_bank, take
from fcdsynth.phantom.difficulty import difficulty_of
from fcdsynth.phantom.lesionlaw import LesionLaw
from fcdsynth.phantom.like import people_like
from fcdsynth.phantom.parted import Part, draw_parts, require_parts
from fcdsynth.phantom.pose import head_matrix
from fcdsynth.phantom.prepared import RAW, write_cohort, write_subject
from fcdsynth.phantom.report import write_check, write_report
from fcdsynth.phantom.roster import Roster, draw_roster, roster_like
from fcdsynth.phantom.simulate import outline_of, simulate
from fcdsynth.phantom.sources import TEMPLATE, list_label_maps
from fcdsynth.phantom.spec import SubjectSpec
from fcdsynth.phantom.world import draw_world


def phantom(
    out: str,
    patients: int = 8,
    controls: int = 8,
    sites: int = 2,
    seed: int = 0,
    world: int | None = None,
    like: str | None = None,
    parts: list[Part] | None = None,
    anatomies: str | None = None,
    spacing: float = 1.0,
    workers: int = 1,
    difficulty: Literal["easy", "medium", "hard", "study"] = "study",
    contrast_sd: tuple[float, float] | None = None,
    errors: Literal["none", "realistic", "stress", "dealt"] = "realistic",
    error_share: float = 0.15,
    confounded: bool = False,
    split: bool = False,
    prepared: bool = False,
    report: bool = True,
) -> Path:
    """Write a BIDS folder of simulated patients with FCD and of controls, truth beside it.

    File names, tables and sidecars follow ds004199. The masks beside the images are what
    simulated annotators drew on FLAIR; exact lesions, true tissue and lobe labels on the T1w
    grid, and everything that was drawn at random, are under ``derivatives/truth``. A subject
    depends on seed and number alone: patient n is always ``sub-(2n-1)`` and control n
    ``sub-(2n)``, so a larger cohort begins with the same subjects.

    Args:
        out: Folder to write; new, empty, or left by the same call when it was stopped.
        patients: Number of patients.
        controls: Number of controls.
        sites: Number of scanners, each with its own contrast, noise, voxels and reader.
        seed: Seed of everything random.
        world: Seed of the hidden laws of nature (sizes, places, contrasts, shapes); that of
            ``seed`` when not given. Worlds 0, 1, 2 differ in the law of shapes.
        like: Make one subject for each person of a real data set, with its id, group, scanner,
            protocols, lobe, side and split: a BIDS folder of which participants.tsv and the
            sidecars are read, or ``ds004199``, whose table is at hand. Takes the place of
            patients, controls, sites, confounded and split.
        parts: Groups of subjects from anatomies of their own, each with its split, so that no
            anatomy is trained on and tested; takes the place of patients, controls, confounded
            and split; subjects of one anatomy are a family. Best given in a file: see
            ``configs/study/study-phantom.yaml``.
        anatomies: Folder of FreeSurfer-style label maps (``*.nii.gz``), one drawn per subject;
            the ICBM152 brain of nilearn when not given.
        spacing: Voxel size in mm, 0.8 to 4; scanners differ from it by up to a fifth, FLAIR
            voxels are a little larger.
        workers: Number of processes.
        difficulty: ``easy``, ``medium``, ``hard``, or ``study``, which is what the study is made
            on (between ``easy`` and ``medium``).
        contrast_sd: Lowest and highest FLAIR contrast in standard deviations of the healthy
            tissue around, in place of the difficulty's.
        errors: Which errors annotators make: ``none``, the ``realistic`` mix, or ``stress``,
            where all are equally frequent, or ``dealt``, where a fixed share of patients has
            them in turn, so that few patients have enough of each (not with like).
        error_share: Share of outlines with such an error, 0 to 1.
        confounded: All controls at the first site while patients come from every site, as in
            ds004199 where one scanner saw patients alone.
        split: Fill the split column: of every four patients and of every four controls, two
            train, one validates and one tests. Left empty otherwise.
        prepared: Write a prepared cohort in place of a BIDS folder, which then lies in its
            ``bids`` folder: true alignment, brain masks and tissue labels with the mistakes a
            program would make, in a fraction of the time of prepare.
        report: Check how hard the lesions are, and write ``derivatives/truth/report.html`` with
            what two trivial methods find of them and a picture of each.

    Returns:
        The BIDS folder, or the prepared cohort.

    Raises:
        SettingsError: If a setting is out of range or contradicts another one.
        CohortError: If a label map or the data set to imitate cannot be read.
        RunError: If ``out`` holds something else.
    """
    _require(like is None or parts is None, "parts", "parts and like", "one of them")
    _require(patients >= 0 and controls >= 0 and patients + controls > 0, "patients",
             f"{patients} patients and {controls} controls", "at least one subject")  # fmt: skip
    _require(sites >= 1, "sites", str(sites), "at least 1")
    _require(seed >= 0, "seed", str(seed), "0 or more")
    _require(0.8 <= spacing <= 4, "spacing", f"{spacing} mm", "0.8 to 4 mm")
    _require(workers >= 1, "workers", str(workers), "at least 1")
    _require(0 <= error_share <= 1, "error_share", str(error_share), "0 to 1")
    _require(not confounded or sites > 1, "confounded", "one site", "at least two sites")
    _require(like is None or errors != "dealt", "errors", "dealt with like", "realistic or stress")
    folder = Path(anatomies) if anatomies is not None else None
    names = tuple(p.name for p in list_label_maps(folder)) if folder else (TEMPLATE,)
    nature = draw_world(seed if world is None else world)
    law = LesionLaw(
        difficulty=difficulty_of(difficulty, contrast_sd),
        world=nature,
        error_share=error_share if errors != "none" else 0.0,
        mix=errors,
    )
    splits: bool | dict[str, str] = split and like is None
    if parts is not None:
        require_parts(parts, names)
        roster, splits = draw_parts(parts, sites, seed, law)
    elif like is None:
        roster = draw_roster(patients, controls, sites, seed, names, law, confounded)
    else:
        roster = roster_like(people_like(like), seed, names, law)
    settings = {
        "patients": patients, "controls": controls, "sites": sites, "seed": seed,
        "world": nature.seed, "like": like, "anatomies": anatomies, "spacing": spacing,
        "difficulty": plain(law.difficulty),
        "errors": errors, "error_share": error_share, "confounded": confounded, "split": split,
        "prepared": prepared, "report": report,
    } | ({"parts": plain(parts)} if parts else {})  # fmt: skip
    run = Run(out, "phantom", settings, [folder] if folder else [], seed)
    if run.complete:
        return run.out
    with run:
        todo = [spec for spec in roster.specs if not run.has(spec.id)]
        todo.sort(key=lambda spec: spec.anatomy)  # each anatomy is read once in a row
        bank = run.folder / ".anatomies"
        fill_bank(bank, _anatomies(roster, todo), folder, workers)
        raw = run.folder / RAW if prepared else run.folder
        work = functools.partial(_one, run.folder, raw, bank, spacing, roster, report)
        map_items(work, todo, "simulating subjects", workers)
        shutil.rmtree(bank)
        laws = {"world": plain(nature), "difficulty": plain(law.difficulty),
                "readers": [plain(reader) for reader in roster.readers.values()],
                "errors": errors, "error_share": error_share}  # fmt: skip
        bids.write_dataset(raw, roster.specs, splits, laws)
        if report:
            write_report(raw / bids.TRUTH, roster.specs)
        if prepared:
            write_cohort(run.folder, roster.specs, splits, run.out.name)
    return run.out


def _require(holds: bool, key: str, found: str, expected: str) -> None:
    if not holds:
        raise SettingsError(key, found, expected, f"Change {key}.")


def _anatomies(roster: Roster, todo: list[SubjectSpec]) -> list[str]:
    """Anatomies of the subjects to make and of those they are mixed up with."""
    others = [roster.mixed_up_with(spec) for spec in todo]
    return [spec.anatomy for spec in (*todo, *others) if spec is not None]


def _one(
    run: Path, raw: Path, bank: Path, spacing: float, roster: Roster, report: bool,
    spec: SubjectSpec,
) -> None:  # fmt: skip
    """Simulate and write one subject, truth first and last what marks it as done."""
    site = roster.sites[spec.site_number]
    other = roster.mixed_up_with(spec)
    outline = outline_of(other, spacing, bank) if other is not None else None
    made = simulate(spec, site, spacing, bank, outline)
    truth = raw / bids.TRUTH
    if not (truth / spec.id).exists():
        with item_folder(truth, spec.id) as scratch:
            bids.write_truth(scratch, spec, plain(spec), made)
            if report:
                write_check(scratch, spec, made)
    if not (raw / spec.id).exists():
        with item_folder(raw, spec.id) as scratch:
            bids.write_images(scratch, site, spec, made)
    if raw != run:
        scale = take(bank, spec.anatomy).scale
        to_mni = np.asarray(np.linalg.inv(head_matrix(spec.pose, scale)), np.float64)
        with item_folder(run, spec.id) as scratch:
            write_subject(scratch, spec, site, made, spacing, to_mni)
