"""Names, tables and sidecars as in the open Bonn data set ds004199 (Schuch et al. 2023)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fcdsynth.core.volume import Volume, write_volume
from fcdsynth.phantom.contrast import Site
from fcdsynth.phantom.simulate import Simulated
from fcdsynth.phantom.spec import SubjectSpec

TRUTH = "derivatives/truth"
MISSING = "n/a"
COLUMNS = (
    "participant_id", "group", "sex", "age_epilepsyonset", "age_scan", "mri_diagnosis", "map",
    "spect", "pet", "invasive_EEG", "op", "age_op", "histopathology", "1year_outcome",
    "latest_outcome", "time_follow-up", "hemisphere", "lobe", "split",
)  # fmt: skip
# In turn within a group; neighbours lie at different sites, so the order mixes two sites.
_SPLITS = ("train", "train", "test", "val", "train", "train", "val", "test")
TRUTH_COLUMNS = (
    "participant_id", "type", "lobe", "side", "volume_ml", "drawn_ml", "contrast_sd",
    "flair_change_sd", "flair_ring_z", "t1w_change_sd", "t1w_ring_z", "centre_mm", "tail",
    "mri_negative",
)  # fmt: skip
_PROTOCOL: dict[str, dict[str, Any]] = {
    "t1w": {
        "SeriesDescription": "t1_mpr_iso", "ScanningSequence": "GR\\IR", "SequenceVariant":
        "SP\\MP", "RepetitionTime": 1.66, "EchoTime": 0.00254, "InversionTime": 0.85,
        "FlipAngle": 9,
    },
    "flair": {
        "SeriesDescription": "flair_iso_T2sel", "ScanningSequence": "SE\\IR", "SequenceVariant":
        "SK\\SP\\MP", "RepetitionTime": 5, "EchoTime": 0.388, "InversionTime": 1.8,
        "FlipAngle": 120,
    },
}  # fmt: skip
_README = """Simulated patients with focal cortical dysplasia, and simulated controls.

Written by fcdsynth phantom. No person was scanned: anatomy comes from the ICBM152 maps or from
label maps that the user named, and contrast, lesions and outlines were drawn at random. File
names, columns and sidecars follow the open data set ds004199, so that the same code reads both.

The masks *_FLAIR_roi.nii.gz are what a simulated annotator drew, with errors, on the FLAIR
grid. The exact lesions are under derivatives/truth and are for scoring alone.
"""


def t1w_name(subject: str) -> str:
    """File name of the T1w volume without its ending."""
    return f"{subject}_acq-iso08_T1w"


def flair_name(subject: str) -> str:
    """File name of the FLAIR volume without its ending."""
    return f"{subject}_acq-T2sel_FLAIR"


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def sidecar(site: Site, contrast: str, volume: Volume) -> dict[str, Any]:
    """Acquisition facts of one volume."""
    spacing = volume.grid.spacing_mm
    directions = volume.grid.matrix[:3, :3] / np.asarray(spacing)
    dicom = np.diag([-1, -1, 1]) @ directions
    return {
        "Modality": "MR",
        "MagneticFieldStrength": site.field_t,
        "Manufacturer": site.manufacturer,
        "ManufacturersModelName": "Phantom",
        "InstitutionName": site.name,
        "DeviceSerialNumber": site.serial,
        "StationName": f"MRC{site.serial}",
        "PatientPosition": "HFS",
        "MRAcquisitionType": "3D",
        **_PROTOCOL[contrast],
        "ProtocolName": _PROTOCOL[contrast]["SeriesDescription"],
        "SliceThickness": round(spacing[2], 4),
        "SpacingBetweenSlices": round(spacing[2], 4),
        "ImageOrientationPatientDICOM": [round(float(v), 6) for v in (*dicom[:, 0], *dicom[:, 1])],
        "ConversionSoftware": "fcdsynth phantom",
    }


def write_images(folder: Path, site: Site, spec: SubjectSpec, made: Simulated) -> None:
    """Write a subject's ``anat`` folder."""
    anat = folder / "anat"
    for name, contrast, volume in (
        (t1w_name(spec.id), "t1w", made.t1w),
        (flair_name(spec.id), "flair", made.flair),
    ):
        write_volume(anat / f"{name}.nii.gz", volume)
        _json(anat / f"{name}.json", sidecar(site, contrast, volume))
    if made.roi:
        write_volume(anat / f"{flair_name(spec.id)}_roi.nii.gz", made.roi)


def write_truth(folder: Path, spec: SubjectSpec, spec_json: Any, made: Simulated) -> None:
    """Write a subject's folder under ``derivatives/truth``."""
    anat = folder / "anat"
    write_volume(anat / f"{spec.id}_space-T1w_dseg.nii.gz", made.tissue)
    if made.truth:
        write_volume(anat / f"{spec.id}_space-T1w_label-lesion_mask.nii.gz", made.truth)
    record = {
        "spec": spec_json,
        "flair_to_t1w": np.round(made.flair_to_t1w, 8).tolist(),
        "jacobian_min": round(made.jacobian_min, 4),
        "centre_mm": [round(v, 3) for v in made.centre_mm],
        "measures": {name: round(value, 4) for name, value in made.measures.items()},
    }
    _json(folder / f"{spec.id}_truth.json", record)


def participant(spec: SubjectSpec) -> dict[str, str]:
    """A row of participants.tsv."""
    person, found = spec.demographics, spec.lesion
    row = dict.fromkeys(COLUMNS, MISSING)
    row |= {
        "participant_id": spec.id,
        "group": "fcd" if spec.patient else "hc",
        "sex": person.sex,
        "age_scan": str(person.age_code),
        "op": "1" if person.operated else "0",
    }
    if found:
        row |= dict.fromkeys(("map", "spect", "pet", "invasive_EEG"), "0")
        row |= {
            "age_epilepsyonset": str(person.onset_code),
            "mri_diagnosis": "none" if found.mri_negative else "suspicion",
            "hemisphere": found.side,
            "lobe": found.lobe,
        }
    if found and person.operated:  # histology is known of those alone who were operated
        row |= {"age_op": str(person.age_code), "histopathology": found.subtype}
    return row


def truth_row(record: dict[str, Any]) -> dict[str, str] | None:
    """A row of truth.tsv from a subject's truth record; None for a control."""
    lesion = record["spec"]["lesion"]
    if lesion is None:
        return None
    row = {name: f"{value:.3f}" for name, value in record["measures"].items()}
    return row | {
        "participant_id": record["spec"]["id"],
        "type": lesion["subtype"],
        "lobe": lesion["lobe"],
        "side": lesion["side"],
        "contrast_sd": f"{lesion['contrast_sd']:.3f}",
        "centre_mm": " ".join(f"{v:.1f}" for v in record["centre_mm"]),
        "tail": "yes" if lesion["tail"] else "no",
        "mri_negative": "yes" if lesion["mri_negative"] else "no",
    }


def _table(columns: Sequence[str], rows: Sequence[dict[str, str]], end: str) -> str:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, delimiter="\t", lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def write_dataset(folder: Path, specs: Sequence[SubjectSpec], split: bool) -> None:
    """Write what describes the whole folder; the subjects' own folders are there already."""
    people = [participant(spec) for spec in specs]
    if split:
        for group in ("fcd", "hc"):
            members = [row for row in people if row["group"] == group]
            for place, row in enumerate(members):
                row["split"] = _SPLITS[place % len(_SPLITS)]
    # ds004199 has a byte-order mark and Windows line ends; readers must cope with both.
    table = _table(COLUMNS, people, "\r\n")
    (folder / "participants.tsv").write_bytes(table.encode("utf-8-sig"))
    ages = {str(n): f"{max(1, 5 * n - 4) if n > 1 else 0}-{5 * n} years" for n in range(1, 14)}
    _json(
        folder / "participants.json",
        {
            "group": {"Levels": {"fcd": "simulated patient with an FCD", "hc": "control"}},
            "sex": {"Levels": {"M": "male", "F": "female"}},
            **{
                key: {"Description": f"{what}, five-year class", "Levels": ages}
                for key, what in (("age_epilepsyonset", "age at the first seizure"),
                                  ("age_scan", "age at the scan"), ("age_op", "age at surgery"))
            },
            "mri_diagnosis": {"Levels": {"suspicion": "FCD suspected on MRI",
                                         "none": "nothing found on MRI"}},
            "histopathology": {"Levels": {"IIa": "Type IIa", "IIb": "Type IIb"}},
            "hemisphere": {"Levels": {"L": "left", "R": "right"}},
            "lobe": {"Levels": {"FL": "frontal", "TL": "temporal", "PL": "parietal",
                                "OL": "occipital", "IL": "insular"}},
        },
    )  # fmt: skip
    generated = {"GeneratedBy": [{"Name": "fcdsynth phantom"}]}
    _json(
        folder / "dataset_description.json",
        {"Name": "Simulated focal cortical dysplasia", "BIDSVersion": "1.6.0", **generated},
    )
    (folder / "README").write_text(_README, encoding="utf-8")
    ignored = "*_roi.nii.gz\nconfig.yaml\nprovenance.json\n"
    (folder / ".bidsignore").write_text(ignored, encoding="utf-8")
    truth = folder / TRUTH
    _json(
        truth / "dataset_description.json",
        {"Name": "Truth of the simulated subjects", "BIDSVersion": "1.6.0",
         "DatasetType": "derivative", **generated},
    )  # fmt: skip
    records = (truth / spec.id / f"{spec.id}_truth.json" for spec in specs)
    every = (truth_row(json.loads(path.read_text(encoding="utf-8"))) for path in records)
    rows = [row for row in every if row]
    (truth / "truth.tsv").write_text(_table(TRUTH_COLUMNS, rows, "\n"), encoding="utf-8")
