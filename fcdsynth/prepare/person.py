"""One subject's way from raw scans to prepared files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.errors import CohortError, FcdsynthError
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.run import item_folder
from fcdsynth.core.volume import (
    Volume,
    read_grid,
    read_labels,
    read_mask,
    read_volume,
    write_volume,
)
from fcdsynth.measure.hull import depth_below_hull
from fcdsynth.measure.intensity import normalise
from fcdsynth.measure.mirror import Midplane
from fcdsynth.measure.mirror_map import mirror_difference, mirror_warp
from fcdsynth.measure.ribbon import ribbon_depth
from fcdsynth.prepare import brain as brains
from fcdsynth.prepare.bias import correct_bias
from fcdsynth.prepare.labelling import adopt_labels, label_brain
from fcdsynth.prepare.plausible import cover
from fcdsynth.prepare.registration import register
from fcdsynth.prepare.template import place

MARGIN_MM = 8.0
MULTIPLE = 8
_NEAR_MM = 8.0
_DIGITS = 8


@dataclass(frozen=True)
class Job:
    """What one subject's preparation needs; small enough to be sent to another process.

    Args:
        subject: Subject id.
        folder: Folder of the prepared cohort that is being written.
        sources: Absolute path of each raw file by key (t1w, flair, lesion, brain, labels).
        spacing_mm: Voxel size of the prepared grid.
        brain_mask: ``auto``, ``given`` or ``foreground``.
    """

    subject: str
    folder: Path
    sources: dict[str, Path]
    spacing_mm: float
    brain_mask: str


def _find_brain(job: Job, t1w: Volume) -> tuple[Volume, str]:
    """Brain mask on the T1w's grid, and how it was found."""
    if "brain" in job.sources and job.brain_mask != "foreground":
        mask = read_mask(job.sources["brain"])
        t1w.grid.require_same(
            mask.grid, f"{job.subject} brain", "Resample the brain mask to the T1w's grid."
        )
        return mask, "given"
    if job.brain_mask == "given":
        raise CohortError(
            job.subject, "no brain mask", "one, because of --brain_mask given",
            "Add derivatives/**/sub-ID_desc-brain_mask.nii.gz and index again, or use auto.",
        )  # fmt: skip
    if job.brain_mask == "foreground":
        return brains.foreground(t1w), "foreground"
    mask = brains.deep_brain(t1w, job.subject)
    if not brains.is_stripped(t1w):
        return mask, "deepbet"
    # What another tool cut away is black, and no part of this brain.
    return Volume(mask.array & brains.foreground(t1w).array, t1w.grid), "deepbet, stripped image"


def _prepared_grid(mask: Volume, spacing_mm: float) -> Grid:
    """Upright grid around the brain, its world the native T1w's."""
    index = np.argwhere(mask.array)
    corners = np.stack(np.meshgrid(*zip(index.min(0) - 0.5, index.max(0) + 0.5, strict=True)), -1)
    points = mask.grid.to_mm(corners.reshape(-1, 3))
    return Grid.covering(
        points.min(axis=0) - MARGIN_MM, points.max(axis=0) + MARGIN_MM, spacing_mm, MULTIPLE
    )


def _moved(volume: Volume, grid: Grid, to_source: NDArray[np.float64] | None = None) -> Volume:
    """Cubic resampling (linear would blur each scanner's images by another amount)."""
    moved = resample(volume, grid, 3, to_source)
    return Volume(np.maximum(moved.array, 0).astype(np.float32), grid)


def near_brain(mask: Volume) -> Volume:
    """The mask grown by `_NEAR_MM`, so that registration sees the brain's edge."""
    outside = ndimage.distance_transform_edt(~mask.array, sampling=mask.grid.spacing_mm)
    return Volume(outside <= _NEAR_MM, mask.grid)


def _rounded(matrix: NDArray[Any] | None) -> list[list[float]] | None:
    return None if matrix is None else np.round(matrix, _DIGITS).tolist()


def prepare_one(job: Job) -> dict[str, Any]:
    """Prepare one subject into its item folder.

    Returns:
        What was measured on the way, as it stands in ``sub-x_quality.json``.

    Raises:
        CohortError: Naming the subject, for whatever goes wrong with its images.
    """
    try:
        with item_folder(job.folder, job.subject) as folder:
            return _prepare(job, folder)
    except FcdsynthError as error:
        named = error.subject if job.subject in error.subject else f"{job.subject} {error.subject}"
        raise CohortError(named, error.found, error.expected, error.remedy) from error
    except (RuntimeError, ValueError, np.linalg.LinAlgError) as error:
        raise CohortError(
            job.subject, f"{type(error).__name__}: {error}", "images that can be prepared",
            "Look at the subject's images, or leave the subject out of the cohort table.",
        ) from error  # fmt: skip


def _prepare(job: Job, folder: Path) -> dict[str, Any]:
    subject = job.subject

    def write(key: str, array: NDArray[Any], grid: Grid) -> None:
        write_volume(folder / f"{subject}_{key}.nii.gz", Volume(array, grid))

    t1w = read_volume(job.sources["t1w"])
    native_brain, how = _find_brain(job, t1w)
    own_mask = not how.startswith("deepbet")
    brains.check_brain(native_brain, subject, how != "deepbet")
    grid = _prepared_grid(native_brain, job.spacing_mm)
    first = resample_mask(native_brain, grid)
    t1w_even = correct_bias(_moved(t1w, grid), first)
    placement = place(t1w_even, first, subject)
    if "labels" in job.sources:
        path = job.sources["labels"]
        labelled = adopt_labels(read_labels(path), path.name, t1w_even, first, placement, subject,
                                own_mask)  # fmt: skip
    else:
        labelled = label_brain(t1w_even, first, placement, subject, own_mask)
    brain = labelled.brain
    prepared = {"t1w": Volume(normalise(t1w_even, brain, f"{subject} T1w"), grid)}
    write("t1w", prepared["t1w"].array, grid)
    write("brain", brain.array, grid)
    write("depth", depth_below_hull(brain), grid)
    write("tissue", labelled.tissue.array, grid)
    write("ribbon", ribbon_depth(labelled.tissue), grid)
    if labelled.lobes is not None:
        write("lobes", labelled.lobes, grid)
    quality: dict[str, Any] = {
        "brain_mask": how,
        "brain_ml": round(float(brain.array.sum()) * grid.voxel_ml, 1),
        "mni_registration_trusted": placement.trusted,
        "mni_brain_dice": round(placement.dice, 4),
        **labelled.quality(),
    }
    to_flair = None
    if "flair" in job.sources:
        flair = read_volume(job.sources["flair"])
        match = register(t1w, flair, near_brain(native_brain), subject=subject)
        to_flair = match.matrix
        flair_even = correct_bias(_moved(flair, grid, to_flair), brain)
        prepared["flair"] = Volume(normalise(flair_even, brain, f"{subject} FLAIR"), grid)
        write("flair", prepared["flair"].array, grid)
        quality |= {
            "flair_information_nats": round(match.information, 4),
            "flair_cover": round(cover(brain, flair.grid, to_flair), 4),
        }
    plane = (Midplane.from_mni(placement.t1w_to_mni) if placement.trusted
             else Midplane.fitted(brain))  # fmt: skip
    mirrored = mirror_warp(prepared["t1w"], plane)
    for key, volume in prepared.items():
        difference = mirror_difference(volume, brain, labelled.tissue, plane, mirrored)
        write(f"{key}_mirror", difference, grid)
    if "lesion" in job.sources:
        quality |= _carry_lesion(job, t1w.grid, grid, to_flair, write)
    transforms = {
        "flair_to_t1w": _rounded(None if to_flair is None else np.linalg.inv(to_flair)),
        "t1w_to_mni": _rounded(placement.t1w_to_mni if placement.trusted else None),
    }
    for name, record in (("transforms", transforms), ("quality", quality)):
        text = json.dumps(record, indent=2) + "\n"
        (folder / f"{subject}_{name}.json").write_text(text, encoding="utf-8")
    return quality


def _carry_lesion(job: Job, t1w: Grid, grid: Grid, to_flair: NDArray[np.float64] | None,
                  write: Any) -> dict[str, Any]:  # fmt: skip
    """Carry the annotator's mask, drawn on FLAIR or on T1w, to both other grids."""
    lesion = read_mask(job.sources["lesion"])
    on_flair = to_flair is not None and _on_flair(job, lesion)
    if not on_flair:
        t1w.require_same(lesion.grid, f"{job.subject} lesion",
                         "Resample the mask to the FLAIR's or the T1w's grid.")  # fmt: skip
    way = to_flair if on_flair else None
    prepared = resample_mask(lesion, grid, way)
    native = lesion if not on_flair else resample_mask(lesion, t1w, way)
    for where, mask in (("prepared grid", prepared), ("T1w", native)):
        if not mask.array.any():
            raise CohortError(
                f"{job.subject} lesion", f"a mask that lies outside the {where}",
                "a mask on the head", "Look at the mask and the registration of FLAIR to T1w.",
            )  # fmt: skip
    write("lesion", prepared.array, grid)
    write("lesion_t1w", native.array, t1w)
    return {
        "lesion_drawn_on": "flair" if on_flair else "t1w",
        "lesion_ml": round(float(lesion.array.sum()) * lesion.grid.voxel_ml, 3),
        "lesion_prepared_ml": round(float(prepared.array.sum()) * grid.voxel_ml, 3),
    }


def _on_flair(job: Job, lesion: Volume) -> bool:
    return read_grid(job.sources["flair"]).close_to(lesion.grid)
