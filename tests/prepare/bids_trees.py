"""Miniature BIDS folders like ds004199, with the real metadata where it is given."""

import json
import shutil
from pathlib import Path

import numpy as np
from phantom import tiny_grid

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume, write_volume

HEADER = (
    "participant_id", "group", "sex", "age_scan", "mri_diagnosis", "histopathology",
    "hemisphere", "lobe", "split",
)  # fmt: skip


def image(grid, seed=0):
    return Volume(np.random.default_rng(seed).uniform(50, 900, grid.shape).round(), grid)


def mask(grid, low=2, high=5):
    array = np.zeros(grid.shape, bool)
    array[low:high, low:high, low:high] = True
    return Volume(array, grid)


T1W = tiny_grid("LAS", size=10, spacing_mm=4.0)
FLAIR = tiny_grid("oblique", size=9, spacing_mm=4.5)
THICK = Grid.of((12, 12, 5), np.diag([2.0, 2.0, 4.8, 1.0]))


def add_subject(root, name, patient=True, scanner="35083", flair="acq-T2sel_FLAIR",
                t1w="acq-iso08_T1w", roi=None, flair_grid=FLAIR):  # fmt: skip
    """One subject's anat folder."""
    anat = root / name / "anat"
    seed = int(name[-3:])
    write_volume(anat / f"{name}_{t1w}.nii.gz", image(T1W, seed))
    write_volume(anat / f"{name}_{flair}.nii.gz", image(flair_grid, seed + 1))
    sidecar = {"InstitutionName": "Bonn", "DeviceSerialNumber": scanner}
    (anat / f"{name}_{t1w}.json").write_text(json.dumps(sidecar))
    if patient:
        write_volume(anat / f"{name}_{roi or flair + '_roi'}.nii.gz", mask(flair_grid))
    return anat


def write_rows(root, rows, header=HEADER, start="\ufeff"):
    lines = ["\t".join(header)] + ["\t".join(row) for row in rows]
    (root / "participants.tsv").write_bytes((start + "\r\n".join(lines) + "\r\n").encode())


def patient_row(name, lobe="FL", diagnosis="suspicion", split="train"):
    return (name, "fcd", "M", "7", diagnosis, "IIb", "L", lobe, split)


def control_row(name, split="train"):
    return (name, "hc", "F", "4", "n/a", "n/a", "n/a", "n/a", split)


def small_tree(root: Path):
    """Two patients and two controls on two scanners, no fault."""
    root.mkdir(parents=True)
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.6.0"}')
    for number in (1, 2, 3, 4):
        add_subject(root, f"sub-0000{number}", number < 3, scanner=str(number % 2))
    write_rows(root, [patient_row("sub-00001"), patient_row("sub-00002"),
                      control_row("sub-00003"), control_row("sub-00004")])  # fmt: skip
    return root


def ds004199_tree(root: Path, real: Path, names):
    """The real metadata of some subjects, with made images under the real names."""
    root.mkdir(parents=True)
    shutil.copy(real / "dataset_description.json", root)
    lines = (real / "participants.tsv").read_bytes().split(b"\r\n")
    kept = [lines[0]] + [row for row in lines if row.split(b"\t")[0].decode() in names]
    (root / "participants.tsv").write_bytes(b"\r\n".join(kept) + b"\r\n")
    patients = {row.split(b"\t")[0].decode() for row in kept if row.split(b"\t")[1] == b"fcd"}
    for name in names:
        anat = root / name / "anat"
        anat.mkdir(parents=True)
        for sidecar in sorted((real / name / "anat").glob("*.json")):
            (anat / sidecar.name).write_bytes(sidecar.read_bytes())
            stem = sidecar.name.removesuffix(".json")
            two_d = json.loads(sidecar.read_text()).get("MRAcquisitionType") == "2D"
            grid = T1W if stem.endswith("T1w") else (THICK if two_d else FLAIR)
            write_volume(anat / f"{stem}.nii.gz", image(grid))
            if stem.endswith("FLAIR") and name in patients:
                if name == "sub-00048":  # named after a FLAIR that is not there
                    stem = "sub-00048_acq-32ch10_FLAIR"
                write_volume(anat / f"{stem}_roi.nii.gz", mask(grid, 1, 3))
    return root
