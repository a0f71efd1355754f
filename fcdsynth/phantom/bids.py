"""Names, tables and sidecars as in the open Bonn data set ds004199 (Schuch et al. 2023)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fcdsynth.core.provenance import plain
from fcdsynth.core.volume import write_volume
from fcdsynth.phantom.annotator import MISSED_WHOLE
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
    "participant_id", "lesion", "type", "subtle", "law", "variant", "lobes", "side", "volume_ml",
    "contrast_sd", "flair_change_sd", "flair_cortex_sd", "flair_below_sd", "flair_ring_z",
    "t1w_change_sd", "t1w_ring_z", "visibility", "difficulty", "centre_mm", "tail", "at_bottom",
    "mri_negative", "drawn_ml", "reader", "error", "error_amount",
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


def scan_names(spec: SubjectSpec) -> dict[str, str]:
    """File names of a subject's scans and mask without their endings, by ``t1w, flair, roi``."""
    if spec.person is None:
        flair = f"{spec.id}_acq-T2sel_FLAIR"
        return {"t1w": f"{spec.id}_acq-iso08_T1w", "flair": flair, "roi": f"{flair}_roi"}
    person = spec.person
    drawn_on = replace(person.flair, label=person.roi_label)
    return {
        "t1w": person.t1w.stem(spec.id, "T1w"),
        "flair": person.flair.stem(spec.id, "FLAIR"),
        "roi": drawn_on.stem(spec.id, "FLAIR_roi"),
    }


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def sidecar(site: Site, spec: SubjectSpec, contrast: str, made: Simulated) -> dict[str, Any]:
    """Acquisition facts of one volume."""
    volume = made.t1w if contrast == "t1w" else made.flair
    protocol = made.protocols[contrast]
    directions = volume.grid.matrix[:3, :3] / np.asarray(volume.grid.spacing_mm)
    dicom = np.diag([-1, -1, 1]) @ directions
    known = _PROTOCOL[contrast]
    if spec.person is not None:
        facts = (spec.person.t1w if contrast == "t1w" else spec.person.flair).facts
        known = known | {k: v for k, v in facts.items() if not k.startswith("S") or "Desc" in k}
    return {
        "Modality": "MR",
        "Manufacturer": site.manufacturer,
        "MagneticFieldStrength": site.field_t,
        "DeviceSerialNumber": site.serial,
        **known,
        "ManufacturersModelName": "Phantom",
        "InstitutionName": site.name,
        "StationName": f"MRC{site.serial}",
        "PatientPosition": "HFS",
        "MRAcquisitionType": protocol.dimensions,
        "ProtocolName": known["SeriesDescription"],
        "SliceThickness": round(protocol.slice_mm, 4),
        "SpacingBetweenSlices": round(protocol.pitch_mm, 4),
        "ImageOrientationPatientDICOM": [round(float(v), 6) for v in (*dicom[:, 0], *dicom[:, 1])],
        "ConversionSoftware": "fcdsynth phantom",
    }


def write_images(folder: Path, site: Site, spec: SubjectSpec, made: Simulated) -> None:
    """Write a subject's ``anat`` folder."""
    anat, names = folder / "anat", scan_names(spec)
    for contrast, volume in (("t1w", made.t1w), ("flair", made.flair)):
        write_volume(anat / f"{names[contrast]}.nii.gz", volume)
        _json(anat / f"{names[contrast]}.json", sidecar(site, spec, contrast, made))
    if made.roi:
        write_volume(anat / f"{names['roi']}.nii.gz", made.roi)


def write_truth(folder: Path, spec: SubjectSpec, spec_json: Any, made: Simulated) -> None:
    """Write a subject's folder under ``derivatives/truth``."""
    anat = folder / "anat"
    for name, volume in (("dseg", made.tissue), ("desc-lobes_dseg", made.lobes),
                         ("desc-mimics_dseg", made.mimics)):  # fmt: skip
        write_volume(anat / f"{spec.id}_space-T1w_{name}.nii.gz", volume)
    if made.truth:
        write_volume(anat / truth_mask_name(spec.id), made.truth)
    record = {
        "spec": spec_json,
        "flair_to_t1w": np.round(made.flair_to_t1w, 8).tolist(),
        "mirror": np.round(made.mirror, 8).tolist(),
        "jacobian_min": round(made.jacobian_min, 4),
        "centre_mm": [round(v, 3) for v in made.centre_mm],
        "measures": {name: round(value, 4) for name, value in made.measures.items()},
        "lesions": [plain(lesion) for lesion in made.lesions],
    }
    _json(folder / f"{spec.id}_truth.json", record)


def truth_mask_name(subject: str) -> str:
    """File name of a subject's exact lesion mask, in the ``anat`` folder of its truth."""
    return f"{subject}_space-T1w_label-lesion_mask.nii.gz"


def participant(spec: SubjectSpec) -> dict[str, str]:
    """A row of participants.tsv.

    A patient whose lesion the annotator missed altogether is listed as a control.
    """
    person, found = spec.demographics, spec.lesion
    row = dict.fromkeys(COLUMNS, MISSING)
    if spec.person is not None:
        row |= {k: v for k, v in spec.person.row.items() if k in row}
    else:
        row |= {
            "participant_id": spec.id,
            "group": "fcd" if spec.patient else "hc",
            "sex": person.sex,
            "age_scan": str(person.age_code),
            "op": "1" if person.operated else "0",
        }
    if found and spec.person is None:
        row |= dict.fromkeys(("map", "spect", "pet", "invasive_EEG"), "0")
        row |= {
            "age_epilepsyonset": str(person.onset_code),
            "mri_diagnosis": "none" if found.mri_negative else "suspicion",
            "hemisphere": found.side,
            "lobe": found.lobe,
        }
        if person.operated:  # histology is known of those alone who were operated
            row |= {"age_op": str(person.age_code), "histopathology": found.subtype}
    if spec.annotator is not None and spec.annotator.error == MISSED_WHOLE:
        unseen = ("age_epilepsyonset", "mri_diagnosis", "map", "spect", "pet", "invasive_EEG",
                  "age_op", "histopathology", "1year_outcome", "latest_outcome",
                  "time_follow-up", "hemisphere", "lobe")  # fmt: skip
        row |= dict.fromkeys(unseen, MISSING) | {"group": "hc", "op": "0"}
    return row


def participant_rows(
    specs: Sequence[SubjectSpec], split: bool | Mapping[str, str]
) -> list[dict[str, str]]:
    """Rows of participants.tsv, the split column filled where asked for.

    Args:
        specs: The subjects.
        split: Each subject's split by id, where parts share no anatomy: then the anatomy is the
            family too; or whether to deal splits in turn.
    """
    people = [participant(spec) for spec in specs]
    if isinstance(split, Mapping):
        for row, spec in zip(people, specs, strict=True):
            row |= {"split": split[spec.id], "family": spec.anatomy.partition(".")[0]}
    elif split:
        for group in ("fcd", "hc"):
            members = [row for row in people if row["group"] == group]
            for place, row in enumerate(members):
                row["split"] = _SPLITS[place % len(_SPLITS)]
    return people


def truth_rows(record: dict[str, Any]) -> list[dict[str, str]]:
    """Rows of truth.tsv from a subject's truth record, one a lesion; none for a control."""
    spec, drawn_ml = record["spec"], record["measures"].get("drawn_ml", 0.0)
    rows = []
    for number, lesion in enumerate(record["lesions"], start=1):
        row = {name: f"{value:.3f}" for name, value in lesion.items() if isinstance(value, float)}
        row |= {name: "yes" if value else "no" for name, value in lesion.items()
                if isinstance(value, bool)}  # fmt: skip
        row |= {
            "participant_id": spec["id"],
            "lesion": str(number),
            "type": lesion["subtype"],
            "lobes": ",".join(lesion["lobes"]),
            "centre_mm": " ".join(f"{v:.1f}" for v in lesion["centre_mm"]),
            "drawn_ml": f"{drawn_ml:.3f}",
            "reader": spec["annotator"]["reader"],
            "error": spec["annotator"]["error"],
            "error_amount": f"{spec['annotator']['amount']:.2f}",
        }
        row |= {name: lesion[name] for name in ("law", "variant", "side", "difficulty")}
        rows.append({name: row[name] for name in TRUTH_COLUMNS})
    return rows


def _table(columns: Sequence[str], rows: Sequence[dict[str, str]], end: str) -> str:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, columns, delimiter="\t", lineterminator=end)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def write_dataset(
    folder: Path,
    specs: Sequence[SubjectSpec],
    split: bool | Mapping[str, str],
    laws: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write what describes the whole folder; the subjects' own folders are there already.

    Args:
        folder: The BIDS folder.
        specs: The subjects.
        split: Each subject's split by id, or whether to deal splits in turn.
        laws: What is true of the whole phantom and hidden from all methods, as plain data.
    """
    people = participant_rows(specs, split)
    # ds004199 has a byte-order mark and Windows line ends; readers must cope with both.
    columns = (*COLUMNS, "family") if isinstance(split, Mapping) else COLUMNS
    table = _table(columns, people, "\r\n")
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
    _json(truth / "world.json", laws)
    records = (truth / spec.id / f"{spec.id}_truth.json" for spec in specs)
    rows = [
        row for path in records for row in truth_rows(json.loads(path.read_text(encoding="utf-8")))
    ]
    (truth / "truth.tsv").write_text(_table(TRUTH_COLUMNS, rows, "\n"), encoding="utf-8")
