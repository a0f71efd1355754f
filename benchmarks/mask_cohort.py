"""Prepared cohorts of simulated patients without images: what drawing and checking masks reads.

Heads, lesions and outlines are those of `fcdsynth phantom`; scans are not painted, which takes
most of its time. Tissue labels are the true ones on the prepared grid, lesions are what the
annotators outlined on FLAIR (no planted errors).
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.grid import Grid
from fcdsynth.core.progress import map_items
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.run import item_folder
from fcdsynth.core.subject import Group, Origin, Split, Subject
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.measure.hull import depth_below_hull
from fcdsynth.phantom import acquisition
from fcdsynth.phantom.bank import fill_bank, take
from fcdsynth.phantom.difficulty import difficulty_of
from fcdsynth.phantom.head import make_head
from fcdsynth.phantom.illness import fall_ill
from fcdsynth.phantom.lesionlaw import LesionLaw
from fcdsynth.phantom.mistakes import mistaken_brain
from fcdsynth.phantom.pose import head_matrix
from fcdsynth.phantom.roster import Roster, draw_roster
from fcdsynth.phantom.scans import protocol_of
from fcdsynth.phantom.simulate import tissue_on
from fcdsynth.phantom.sources import TEMPLATE, list_label_maps
from fcdsynth.phantom.spec import SubjectSpec
from fcdsynth.phantom.world import draw_world

KEYS = ("brain", "tissue", "depth", "lesion")
SITES = 3
_MARGIN_MM = 12.0


def mask_cohort(
    folder: Path, anatomies: Path | None, world: int, train: int, held_out: int, controls: int,
    spacing_mm: float = 1.0, seed: int = 0, workers: int = 2,
) -> Cohort:  # fmt: skip
    """Write a cohort, or go on with a stopped one.

    Args:
        folder: Where it goes; its anatomies are kept beside it.
        anatomies: Folder of FreeSurfer-style label maps; ICBM152 when None.
        world: Seed of the hidden laws of nature.
        train: Number of training patients.
        held_out: Number of patients of split test.
        controls: Number of training controls.
        spacing_mm: Voxel size.
        seed: Seed of everything else.
        workers: Number of processes.
    """
    names = tuple(p.name for p in list_label_maps(anatomies)) if anatomies else (TEMPLATE,)
    law = LesionLaw(difficulty=difficulty_of("study", None), world=draw_world(world))
    roster = draw_roster(train + held_out, controls, SITES, seed, names, law)
    specs = sorted(roster.specs, key=lambda spec: spec.anatomy)
    folder.mkdir(parents=True, exist_ok=True)
    bank = folder.parent / "anatomies"
    todo = [spec for spec in specs if not (folder / spec.id).is_dir()]
    fill_bank(bank, sorted({spec.anatomy for spec in todo}), anatomies, workers)
    map_items(partial(_one, folder, bank, spacing_mm, roster), todo, "simulating heads", workers)
    patients = [spec.id for spec in roster.specs if spec.lesion is not None]
    test = set(patients[train:])
    cohort = Cohort(
        folder, tuple(_row(spec, roster, spec.id in test) for spec in roster.specs), folder.name
    )
    cohort.write()
    return cohort


def _one(folder: Path, bank: Path, spacing_mm: float, roster: Roster, spec: SubjectSpec) -> None:
    anatomy = take(bank, spec.anatomy)
    made = make_head(spec.pose, spec.shell, anatomy, spacing_mm)
    ill = fall_ill(spec.id, spec.lesions, spec.annotator, made, None)
    site = roster.sites[spec.site_number]
    grids = {
        contrast: acquisition.scan_grid(
            spec.scans[contrast], made.grid,
            protocol_of(spec.scans[contrast], spacing_mm, site.axes[contrast]),
        )
        for contrast in ("t1w", "flair")
    }  # fmt: skip
    to_t1w = acquisition.motion_matrix(spec.scans["flair"], made.grid)
    ill.thicken(made.parts)
    fine = tissue_on(made.parts, made.grid, grids["t1w"])
    true_brain = Volume(fine.array > 0, fine.grid)
    points = fine.grid.to_mm(np.argwhere(true_brain.array))
    grid = Grid.covering(
        points.min(0) - _MARGIN_MM, points.max(0) + _MARGIN_MM, spacing_mm, 8
    )  # fmt: skip
    brain = mistaken_brain(resample_mask(true_brain, grid), (spec.pose.seed, 31))
    tissue = np.where(brain.array, resample(fine, grid, 0).array, 0).astype(np.uint8)
    arrays = {"brain": brain.array, "tissue": tissue, "depth": depth_below_hull(brain)}
    if ill.lesions:
        roi = ill.outlined_on(grids["flair"], to_t1w)
        if roi is None:
            raise RuntimeError(f"{spec.id} was not outlined")
        arrays["lesion"] = resample_mask(roi, grid, np.linalg.inv(to_t1w)).array
    to_mni = np.linalg.inv(head_matrix(spec.pose, anatomy.scale))
    with item_folder(folder, spec.id) as scratch:
        for key, array in arrays.items():
            write_volume(scratch / f"{spec.id}_{key}.nii.gz", Volume(array, grid))
        text = json.dumps({"flair_to_t1w": to_t1w.tolist(), "t1w_to_mni": to_mni.tolist()})
        (scratch / f"{spec.id}_transforms.json").write_text(text, encoding="utf-8")


def _row(spec: SubjectSpec, roster: Roster, is_test: bool) -> Subject:
    patient = spec.lesion is not None
    files = {key: f"{spec.id}/{spec.id}_{key}.nii.gz" for key in KEYS if patient or key != "lesion"}
    site = roster.sites[spec.site_number]
    return Subject(
        spec.id,
        Group.PATIENT if patient else Group.CONTROL,
        Origin.PHANTOM,
        site=f"site-{site.number}",
        scanner=site.serial,
        split=Split.TEST if is_test else Split.TRAIN,
        subtype=spec.lesion.subtype if spec.lesion is not None else "",
        family=spec.anatomy,
        files=files | {"transforms": f"{spec.id}/{spec.id}_transforms.json"},
    )
