"""Where the files of one subject lie in a BIDS folder like ds004199."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fcdsynth.core.errors import CohortError, FcdsynthError
from fcdsynth.prepare.given import find_labels

DESCRIPTION = "dataset_description.json"
_PHANTOM = "fcdsynth phantom"
_ENDINGS = (".nii.gz", ".nii")


@dataclass
class Layout:
    """The files of one subject, and what is wrong with their number.

    Args:
        id: With its ``sub-``.
        t1w: T1w image, or None.
        flair: FLAIR image, or None.
        roi: Lesion mask, or None.
        brain: A brain mask the user put into derivatives, or None.
        labels: Label maps of other tools in derivatives, best first.
        truth: Exact lesion mask of a phantom, or None.
        faults: Scans that occur twice.
        notes: Peculiarities that are read over.
    """

    id: str
    t1w: Path | None = None
    flair: Path | None = None
    roi: Path | None = None
    brain: Path | None = None
    labels: list[Path] = field(default_factory=list)
    truth: Path | None = None
    faults: list[FcdsynthError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def t1w_sidecar(self) -> dict[str, Any]:
        """Content of the T1w's JSON sidecar; empty when there is none or it is unreadable."""
        return read_json(sidecar_of(self.t1w)) if self.t1w else {}


def stem(path: Path) -> str:
    """File name without its image ending."""
    for ending in _ENDINGS:
        if path.name.endswith(ending):
            return path.name[: -len(ending)]
    return path.name


def entity(path: Path, name: str) -> str:
    """Value of a BIDS entity in a file name, such as ``acq``; empty when absent."""
    for part in stem(path).split("_"):
        key, dash, value = part.partition("-")
        if dash and key == name:
            return value
    return ""


def sidecar_of(image: Path) -> Path:
    """The JSON file beside an image."""
    return image.with_name(f"{stem(image)}.json")


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object, or an empty one when the file is absent or is not one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_phantom(bids: Path) -> bool:
    """Whether the folder says that it was made by ``fcdsynth phantom``."""
    makers = read_json(bids / DESCRIPTION).get("GeneratedBy", [])
    makers = makers if isinstance(makers, list) else [makers]
    return any(isinstance(m, dict) and m.get("Name") == _PHANTOM for m in makers)


def subject_folders(bids: Path) -> list[str]:
    """Names of the ``sub-*`` folders, in order."""
    return sorted(p.name for p in bids.glob("sub-*") if p.is_dir())


def _images(folder: Path, subject: str, ending: str) -> list[Path]:
    """Images of a subject's anat folders (with or without sessions) that end so."""
    found: list[Path] = []
    for place in ("anat", "ses-*/anat"):
        for suffix in _ENDINGS:
            found += folder.glob(f"{place}/{subject}_*{ending}{suffix}")
            found += folder.glob(f"{place}/{subject}{ending}{suffix}")
    return sorted(set(found))


def find_files(bids: Path, subject: str) -> Layout:
    """Look up a subject's files.

    The lesion mask is matched by subject (``*_roi.nii.gz``), not by the FLAIR's name: in
    ds004199 the mask of sub-00048 is named after a FLAIR that is not there.
    """
    layout = Layout(subject)
    folder = bids / subject
    layout.t1w = _one(layout, "T1w", _images(folder, subject, "_T1w"), bids)
    layout.flair = _one(layout, "FLAIR", _images(folder, subject, "_FLAIR"), bids)
    layout.roi = _one(layout, "ROI", _images(folder, subject, "_roi"), bids)
    derivatives = bids / "derivatives"
    masks = [
        p
        for p in sorted(derivatives.glob(f"**/{subject}_*desc-brain_mask.nii*"))
        if entity(p, "space") in ("", "T1w")
    ]
    layout.brain = _one(layout, "brain mask", masks, bids)
    layout.labels = find_labels(derivatives, subject)
    truth = derivatives / "truth" / subject / "anat"
    truth = truth / f"{subject}_space-T1w_label-lesion_mask.nii.gz"
    layout.truth = truth if truth.is_file() else None
    if layout.roi is not None:
        named_after = stem(layout.roi).removesuffix("_roi")
        namesakes = {stem(p) for p in (layout.t1w, layout.flair) if p is not None}
        if named_after not in namesakes:
            layout.notes.append(
                f"{layout.roi.name} is named after a scan that is not there; matched by subject"
            )
    return layout


def _one(layout: Layout, what: str, paths: Iterable[Path], bids: Path) -> Path | None:
    paths = list(paths)
    if len(paths) > 1:
        names = " and ".join(str(p.relative_to(bids)) for p in paths)
        layout.faults.append(
            CohortError(layout.id, f"{len(paths)} {what} images: {names}", f"one {what}",
                        "Move the ones not to be used out of the folder.")
        )  # fmt: skip
    return paths[0] if paths else None
