"""Synthetic subjects as a BIDS derivative: names, sidecars, the description of the data set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fcdsynth import __version__
from fcdsynth.core.errors import CohortError
from fcdsynth.core.subject import Parent

# Ends of file names by cohort key, as in BIDS 1.10 (derivatives).
ENDS: Mapping[str, str] = {
    "t1w": "desc-synthetic_T1w",
    "flair": "desc-synthetic_FLAIR",
    "region": "desc-redrawn_mask",
    "tissue": "desc-thickened_dseg",
    "lesion": "label-lesion_mask",
    "soft": "label-lesion_probseg",
    "track": "label-track_mask",
    "drawn": "label-lesion_desc-drawn_mask",
}
# What is no BIDS file: the machine's doors and the records of the checks.
_IGNORED = ("cohort.csv", "cohort.json", "config.yaml", "provenance.json", "realism.csv",
            "refusals.json", "*_spec.json", "*_checks.json")  # fmt: skip
_IMAGES = ("t1w", "flair")
_WHAT: Mapping[str, str] = {
    "t1w": "T1w intensities, robustly scaled to [0, 1]; {} by a generator",
    "flair": "FLAIR intensities, robustly scaled to [0, 1]; {} by a generator",
    "region": "voxels that were redrawn",
    "tissue": "tissue labels that the images were drawn from, cortex thickened in the lesion",
    "lesion": "lesion mask, cut down to the voxels that the lesion label changed",
    "soft": "soft lesion map",
    "track": "part of the lesion that runs to a ventricle",
    "drawn": "lesion mask as it was drawn, before it was cut down",
}
_REGION, _WHOLE = "one region redrawn", "the whole brain drawn"


def bids_name(subject: str) -> str:
    """The ``sub-`` label of a subject: its letters and digits, as BIDS wants it."""
    label = "".join(letter for letter in subject.removeprefix("sub-") if letter.isalnum())
    return f"sub-{label}"


def bids_names(subjects: Iterable[str]) -> dict[str, str]:
    """The label of each subject.

    Raises:
        CohortError: If two ids, written without signs, are one.
    """
    names: dict[str, str] = {}
    taken: dict[str, str] = {}
    for subject in subjects:
        name = bids_name(subject)
        if name in taken:
            raise CohortError(
                subject, f"the BIDS label {name}, which {taken[name]} has too",
                "ids that differ in letters or digits", "Rename one of the subjects.",
            )  # fmt: skip
        taken[name] = subject
        names[subject] = name
    return names


def file_name(name: str, end: str) -> str:
    """Name of an image of a subject, in its ``anat`` folder."""
    return f"{name}_{end}.nii.gz"


def write_sidecars(
    folder: Path,
    name: str,
    keys: Sequence[str],
    parents: Iterable[Parent],
    host: str,
    made_by: Mapping[str, Any],
    whole: bool = False,
) -> None:
    """Write the JSON file beside each image of a subject.

    Args:
        folder: Folder of the subject.
        name: Its label.
        keys: Cohort keys of the images that were written.
        parents: The real subjects that it was made from.
        host: Id of the one whose images were redrawn.
        made_by: Mask spec, style source, checkpoint and other origins; beside the images alone.
        whole: Whether the whole brain was drawn.
    """
    drawn = _WHOLE if whole else _REGION
    people = [{"Subject": p.subject, "Role": p.role.value} for p in parents]
    records: dict[str, dict[str, Any]] = {
        ENDS[key]: {"Description": _WHAT[key].format(drawn), "Sources": [host]} for key in keys
    }
    for key in keys:
        if key in _IMAGES:
            records[ENDS[key]] |= {"SkullStripped": True, "Parents": people, **made_by}
        else:
            kind = "ROI" if key == "region" else "Lesion"
            records[ENDS[key]] |= {"Manual": False} if key == "tissue" else {"Type": kind}
    for end, record in records.items():
        path = folder / "anat" / f"{name}_{end}.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def write_description(folder: Path, whole: bool = False) -> None:
    """Write what describes the whole folder.

    Args:
        folder: Where to.
        whole: Whether whole brains were drawn.
    """
    made = (
        "Whole brains drawn by a generator from the labels of real controls, with a lesion or "
        "without." if whole else
        "Real controls with one region redrawn by a generator, with a lesion or without."
    )  # fmt: skip
    record = {
        "Name": "Synthetic focal cortical dysplasia",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{
            "Name": "fcdsynth synthesize",
            "Version": __version__,
            "Description": f"{made} Not scans of patients. Not for diagnosis.",
        }],
    }  # fmt: skip
    path = folder / "dataset_description.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (folder / ".bidsignore").write_text("\n".join(_IGNORED) + "\n", encoding="utf-8")
