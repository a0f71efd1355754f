"""One subject's files against what they should be, and against each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fcdsynth.core.errors import CohortError, FcdsynthError
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group
from fcdsynth.core.volume import read_volume
from fcdsynth.prepare.bids import Layout, read_json, sidecar_of
from fcdsynth.prepare.integrity import check_whole
from fcdsynth.prepare.participants import Participant

_THICK_MM = 2.5


@dataclass
class Scans:
    """What a subject's files turned out to be.

    Args:
        files: Absolute path by file key (t1w, flair, lesion, truth, brain).
        faults: All that is wrong.
        notes: What is unusual and read over.
    """

    files: dict[str, Path] = field(default_factory=dict)
    faults: list[FcdsynthError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_scans(layout: Layout, person: Participant, allow_missing_flair: bool) -> Scans:
    """Read headers, lengths and mask voxels of a subject's files and collect every fault.

    Args:
        layout: The files.
        person: The subject's row of participants.tsv.
        allow_missing_flair: Whether a subject may have no FLAIR.
    """
    scans = Scans(faults=list(layout.faults), notes=list(layout.notes))

    def fault(found: str, expected: str, remedy: str) -> None:
        scans.faults.append(CohortError(layout.id, found, expected, remedy))

    if layout.t1w is None:
        fault("no T1w image", "anat/sub-ID_*_T1w.nii.gz", "Add it or remove the subject.")
    if layout.flair is None and not allow_missing_flair:
        fault("no FLAIR image", "anat/sub-ID_*_FLAIR.nii.gz",
              "Add it, remove the subject, or index with --allow_missing_flair true.")  # fmt: skip
    patient = person.group is Group.PATIENT
    if patient and layout.roi is None:
        fault("a patient without a lesion mask", "anat/sub-ID_*_roi.nii.gz",
              "Add the mask or remove the subject.")  # fmt: skip
    if not patient and layout.roi is not None:
        fault(f"a control with a lesion mask ({layout.roi.name})", "no mask",
              "Mend the group in participants.tsv or remove the mask.")  # fmt: skip
    grids: dict[str, Grid] = {}
    found = {"t1w": layout.t1w, "flair": layout.flair, "lesion": layout.roi,
             "truth": layout.truth, "brain": layout.brain}  # fmt: skip
    for key, path in found.items():
        if path is None:
            continue
        scans.files[key] = path
        try:
            grids[key] = check_whole(path, layout.id)
        except FcdsynthError as error:
            scans.faults.append(error)
    for key, homes in (("lesion", ("flair", "t1w")), ("truth", ("t1w",)), ("brain", ("t1w",))):
        if key in grids:
            _check_home(scans, key, homes, grids, layout.id)
            _check_mask(scans, key, layout.id)
    if layout.flair is not None and "flair" in grids:
        sidecar = read_json(sidecar_of(layout.flair))
        spacing = grids["flair"].spacing_mm
        thick = max(spacing) > _THICK_MM and max(spacing) > 1.5 * min(spacing)
        if thick or sidecar.get("MRAcquisitionType") == "2D":
            size = " x ".join(f"{mm:.2g}" for mm in spacing)
            scans.notes.append(f"two-dimensional FLAIR, voxels of {size} mm")
    return scans


def _check_home(
    scans: Scans, key: str, homes: tuple[str, ...], grids: dict[str, Grid], subject: str
) -> None:
    """A mask must lie on the grid of a scan it can have been drawn on."""
    known = [home for home in homes if home in grids]
    fits = [home for home in known if grids[home].close_to(grids[key])]
    if known and not fits:
        wanted = "; or ".join(f"the {home}'s {grids[home].describe()}" for home in known)
        scans.faults.append(
            CohortError(subject, f"{scans.files[key].name} on another grid: "
                        f"{grids[key].describe()}", wanted,
                        "Resample the mask with nearest neighbours, or restore its scan.")
        )  # fmt: skip
    elif key == "lesion" and fits == ["t1w"] and "flair" in grids:
        scans.notes.append("the lesion mask lies on the T1w's grid, not on the FLAIR's")


def _check_mask(scans: Scans, key: str, subject: str) -> None:
    """A mask must hold two values, some voxels and some background."""
    name = scans.files[key].name
    try:
        values = read_volume(scans.files[key]).array
    except FcdsynthError as error:
        scans.faults.append(CohortError(subject, f"{name}: {error.found}", error.expected,
                                        error.remedy))  # fmt: skip
        return
    levels = np.unique(values)
    remedy = "Export the mask again as 0 and 1."
    if levels.size == 1 and levels[0] == 0:
        found = f"{name} is empty"
    elif levels.size == 1:
        found = f"{name} covers the whole image"
    elif levels.size > 2:
        found = f"{name} holds {levels.size} different values, as an image would"
    elif levels[0] != 0:
        found = f"{name} has no background (values {levels[0]:g} and {levels[1]:g})"
    else:
        return
    scans.faults.append(CohortError(subject, found, "a mask of 0 and one other value", remedy))
