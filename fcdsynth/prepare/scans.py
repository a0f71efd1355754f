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
from fcdsynth.prepare.given import objection
from fcdsynth.prepare.handedness import header_dispute
from fcdsynth.prepare.integrity import check_whole
from fcdsynth.prepare.participants import Participant

_VOXELS_MM = (0.2, 12.0)


@dataclass
class Scans:
    """What a subject's files turned out to be.

    Args:
        files: Absolute path by file key (t1w, flair, lesion, truth, brain, labels).
        faults: All that is wrong.
        notes: What is unusual and read over.
        grids: Grid of each file that could be read, by file key.
    """

    files: dict[str, Path] = field(default_factory=dict)
    faults: list[FcdsynthError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    grids: dict[str, Grid] = field(default_factory=dict)


def check_scans(layout: Layout, person: Participant, flair_optional: bool) -> Scans:
    """Read headers, lengths and mask voxels of a subject's files and collect every fault.

    Args:
        layout: The files.
        person: The subject's row of participants.tsv.
        flair_optional: Whether a subject may have no FLAIR.
    """
    scans = Scans(faults=list(layout.faults), notes=list(layout.notes))

    def fault(found: str, expected: str, remedy: str) -> None:
        scans.faults.append(CohortError(layout.id, found, expected, remedy))

    if layout.t1w is None:
        fault("no T1w image", "anat/sub-ID_*_T1w.nii.gz", "Add it or remove the subject.")
    if layout.flair is None and not flair_optional:
        fault("no FLAIR image", "anat/sub-ID_*_FLAIR.nii.gz",
              "Add it, remove the subject, or index with --flair optional.")  # fmt: skip
    patient = person.group is Group.PATIENT
    if patient and layout.roi is None:
        fault("a patient without a lesion mask", "anat/sub-ID_*_roi.nii.gz",
              "Add the mask or remove the subject.")  # fmt: skip
    if not patient and layout.roi is not None:
        fault(f"a control with a lesion mask ({layout.roi.name})", "no mask",
              "Mend the group in participants.tsv or remove the mask.")  # fmt: skip
    grids = scans.grids
    found = {"t1w": layout.t1w, "flair": layout.flair, "lesion": layout.roi,
             "truth": layout.truth, "brain": layout.brain}  # fmt: skip
    for key, path in found.items():
        if path is None:
            continue
        scans.files[key] = path
        try:
            grids[key] = check_whole(path, layout.id)
            _check_spacing(path, grids[key], layout.id)
        except FcdsynthError as error:
            scans.faults.append(error)
            continue
        if dispute := header_dispute(path, grids[key]):
            scans.notes.append(f"{path.name}: {dispute}; the sform is used")
    _choose_labels(scans, layout)
    for key, homes in (("lesion", ("flair", "t1w")), ("truth", ("t1w",)), ("brain", ("t1w",))):
        if key in grids:
            _check_home(scans, key, homes, grids, layout.id)
            _check_mask(scans, key, layout.id)
    if layout.flair is not None and "flair" in grids:
        sidecar = read_json(sidecar_of(layout.flair))
        spacing = grids["flair"].spacing_mm
        if grids["flair"].thick_slices or sidecar.get("MRAcquisitionType") == "2D":
            size = " x ".join(f"{mm:.2g}" for mm in spacing)
            scans.notes.append(f"two-dimensional FLAIR, voxels of {size} mm")
    return scans


def _check_spacing(path: Path, grid: Grid, subject: str) -> None:
    """No scan of a whole head has voxels like a microscope's, or like a finger."""
    low, high = _VOXELS_MM
    if min(grid.spacing_mm) < low or max(grid.spacing_mm) > high:
        size = " x ".join(f"{mm:.3g}" for mm in grid.spacing_mm)
        raise CohortError(
            subject, f"{path.name}: voxels of {size} mm", f"{low} to {high:.0f} mm",
            "Mend the header or resample the image; its unit may be wrong.",
        )  # fmt: skip


def _choose_labels(scans: Scans, layout: Layout) -> None:
    """Take the first label map that nothing speaks against; say why others are passed over."""
    for path in layout.labels:
        reason = objection(path)
        if reason is None:
            scans.files["labels"] = path
            return
        scans.notes.append(f"label map {path.name} not used: {reason}")


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
