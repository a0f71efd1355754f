"""Write what prepare would write, from the truth: no search, no waiting, mistakes on purpose."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.subject import ON_PREPARED_GRID, Group, Origin, Split, Subject
from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.measure.hull import depth_below_hull
from fcdsynth.measure.intensity import normalise
from fcdsynth.measure.mirror import Midplane
from fcdsynth.measure.mirror_map import mirror_difference, mirror_warp
from fcdsynth.measure.ribbon import ribbon_depth
from fcdsynth.phantom import bids
from fcdsynth.phantom.contrast import Site, bias_field
from fcdsynth.phantom.mistakes import mistaken_brain, mistaken_tissue
from fcdsynth.phantom.simulate import Simulated
from fcdsynth.phantom.spec import SubjectSpec

RAW = "bids"
_MARGIN_MM, _MULTIPLE = 8.0, 8  # of the prepared grid, as prepare has them
_BIAS_LEFT = 0.15  # share of the bias field that correction leaves


def _grid_around(brain: Volume, spacing_mm: float) -> Grid:
    points = brain.grid.to_mm(np.argwhere(brain.array))
    half = max(brain.grid.spacing_mm) / 2 + _MARGIN_MM
    return Grid.covering(points.min(0) - half, points.max(0) + half, spacing_mm, _MULTIPLE)


def _even(
    volume: Volume, grid: Grid, to_source: NDArray[np.float64] | None, made: Simulated,
    site: Site, spec: SubjectSpec, contrast: str,
) -> Volume:  # fmt: skip
    """A scan on the prepared grid, its true bias field taken off but for a rest."""
    moved = resample(volume, grid, 3, to_source).array
    field = bias_field(site, spec.contrast, contrast, made.head, on=grid)
    return Volume(np.maximum(moved, 0) / field ** np.float32(1 - _BIAS_LEFT), grid)


def write_subject(
    folder: Path, spec: SubjectSpec, site: Site, made: Simulated, spacing_mm: float,
    t1w_to_mni: NDArray[np.float64],
) -> None:  # fmt: skip
    """Write one subject's prepared files.

    Alignment is the true one; brain mask and tissue labels have mistakes, see
    `fcdsynth.phantom.mistakes`; the lesion mask is the annotator's.

    Args:
        folder: The subject's folder.
        spec: The subject.
        site: Its scanner.
        made: Its scans and truth.
        spacing_mm: Voxel size of the prepared grid.
        t1w_to_mni: 4 x 4 matrix from the T1w world to MNI space, RAS+ mm.
    """

    def write(key: str, array: NDArray[Any], grid: Grid) -> None:
        write_volume(folder / f"{spec.id}_{key}.nii.gz", Volume(array, grid))

    true_brain = Volume(made.tissue.array > 0, made.tissue.grid)
    grid = _grid_around(true_brain, spacing_mm)
    brain = mistaken_brain(resample_mask(true_brain, grid), (spec.pose.seed, 31))
    to_flair = np.asarray(np.linalg.inv(made.flair_to_t1w), np.float64)
    even = {
        "t1w": _even(made.t1w, grid, None, made, site, spec, "t1w"),
        "flair": _even(made.flair, grid, to_flair, made, site, spec, "flair"),
    }
    tissue = mistaken_tissue(resample(made.tissue, grid, 0), even["t1w"], brain)
    images = {
        key: Volume(normalise(volume, brain, f"{spec.id} {key}"), grid)
        for key, volume in even.items()
    }
    plane = Midplane.from_mni(t1w_to_mni)
    warp = mirror_warp(images["t1w"], plane)
    for key, image in images.items():
        write(key, image.array, grid)
        write(f"{key}_mirror", mirror_difference(image, brain, tissue, plane, warp), grid)
    write("brain", brain.array, grid)
    write("tissue", tissue.array, grid)
    write("depth", depth_below_hull(brain), grid)
    write("ribbon", ribbon_depth(tissue), grid)
    write("lobes", resample(made.lobes, grid, 0).array, grid)
    if made.roi is not None:
        write("lesion", resample_mask(made.roi, grid, to_flair).array, grid)
        write("lesion_t1w", resample_mask(made.roi, made.t1w.grid, to_flair).array, made.t1w.grid)
    transforms = {
        "flair_to_t1w": np.round(made.flair_to_t1w, 8).tolist(),
        "t1w_to_mni": np.round(t1w_to_mni, 8).tolist(),
    }
    text = json.dumps(transforms, indent=2) + "\n"
    (folder / f"{spec.id}_transforms.json").write_text(text, encoding="utf-8")


def write_cohort(
    folder: Path, specs: Sequence[SubjectSpec], split: bool | Mapping[str, str], name: str
) -> Cohort:
    """Write the table of a prepared phantom; scans and truth lie in its ``bids`` folder.

    Args:
        folder: The prepared cohort.
        specs: The subjects.
        split: Each subject's split by id, or whether splits are dealt in turn.
        name: Name of the cohort.
    """
    rows = bids.participant_rows(specs, split)
    subjects = tuple(_row(folder, spec, row) for spec, row in zip(specs, rows, strict=True))
    cohort = Cohort(folder, subjects, name)
    cohort.write()
    return cohort


def _row(folder: Path, spec: SubjectSpec, row: dict[str, str]) -> Subject:
    names = bids.scan_names(spec)
    known = {key: "" if value == bids.MISSING else value for key, value in row.items()}
    files = {
        "t1w_native": f"{RAW}/{spec.id}/anat/{names['t1w']}.nii.gz",
        "flair_native": f"{RAW}/{spec.id}/anat/{names['flair']}.nii.gz",
    }
    patient = known["group"] == "fcd"
    if patient:
        mask = bids.truth_mask_name(spec.id)
        files["truth"] = f"{RAW}/{bids.TRUTH}/{spec.id}/anat/{mask}"
    for key in (*ON_PREPARED_GRID, "lesion_t1w"):
        file = f"{spec.id}/{spec.id}_{key}.nii.gz"
        if (folder / file).is_file():
            files[key] = file
    files["transforms"] = f"{spec.id}/{spec.id}_transforms.json"
    facts = json.loads((folder / RAW / spec.id / "anat" / f"{names['t1w']}.json").read_text())
    diagnosis = known["mri_diagnosis"]
    return Subject(
        spec.id,
        Group.PATIENT if patient else Group.CONTROL,
        Origin.PHANTOM,
        site=facts["InstitutionName"],
        scanner=facts["DeviceSerialNumber"],
        split=Split(known["split"] or "none"),
        sex=known["sex"],
        age_code=known["age_scan"],
        subtype=known["histopathology"],
        side=known["hemisphere"],
        lobe=known["lobe"],
        mri_negative="" if not diagnosis else "yes" if diagnosis == "none" else "no",
        family=known.get("family", ""),
        files=files,
    )
