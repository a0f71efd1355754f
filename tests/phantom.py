"""Tiny simulated heads made in code: 24 voxels, any orientation, one lesion, known contrast.

They share nothing with fcdsynth.phantom: tests need a second, much simpler nature.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from scipy import ndimage

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.grid import Grid
from fcdsynth.core.subject import Group, Origin, Split, Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, write_volume

SPACING_MM = 6.0
ORIENTATIONS = ("RAS", "LAS", "oblique")


def tiny_grid(orientation: str = "RAS", size: int = 24, spacing_mm: float = SPACING_MM) -> Grid:
    """A grid centred on the world's origin."""
    linear = np.eye(3) * spacing_mm
    if orientation == "LAS":
        linear[:, 0] *= -1
    elif orientation == "oblique":
        a, b = np.deg2rad(12), np.deg2rad(-9)
        yaw = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
        roll = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        linear = yaw @ roll @ linear
    elif orientation != "RAS":
        raise ValueError(orientation)
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = -linear @ (np.full(3, size - 1) / 2)
    return Grid.of((size, size, size), affine)


def tiny_head(
    grid: Grid,
    seed: int = 0,
    lesion_centre_mm: tuple[float, float, float] | None = None,
    lesion_radius_mm: float = 13.0,
) -> dict[str, np.ndarray]:
    """Arrays of a head that is an ellipsoid with a ribbon, white matter and ventricles.

    Keys: t1w, flair (prepared intensities, 0 outside the brain), brain, tissue, depth, lesion.
    The lesion, where asked for, is a ball in ribbon and white matter, bright on FLAIR and a
    little dark on T1w. World distances, so every orientation shows one head.
    """
    rng = np.random.default_rng(seed)
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    mm = grid.to_mm(index)
    axes = np.array([55.0, 64.0, 53.0])
    radius = np.linalg.norm(mm / axes, axis=-1)
    folds = 0.06 * np.sin(mm[..., 0] / 9 + seed) * np.cos(mm[..., 1] / 8)
    brain = radius < 1
    tissue = np.zeros(grid.shape, dtype=np.uint8)
    tissue[brain] = Tissue.CSF
    tissue[radius < 0.93 + folds] = Tissue.CORTEX
    tissue[radius < 0.74 + folds] = Tissue.WHITE_MATTER
    tissue[np.linalg.norm((mm - [0, 5, -5]) / [26, 20, 12], axis=-1) < 1] = Tissue.DEEP_GREY
    tissue[np.linalg.norm((mm - [0, 0, 8]) / [10, 22, 8], axis=-1) < 1] = Tissue.VENTRICLE
    tissue[(mm[..., 2] < -26) & (mm[..., 1] < -8) & brain] = Tissue.INFRATENTORIAL
    tissue[~brain] = Tissue.BACKGROUND
    t1w = np.choose(tissue, [0.0, 0.18, 0.48, 0.66, 0.54, 0.15, 0.55])
    flair = np.choose(tissue, [0.0, 0.12, 0.60, 0.50, 0.58, 0.10, 0.55])
    lesion = np.zeros(grid.shape, dtype=bool)
    if lesion_centre_mm is not None:
        ball = np.linalg.norm(mm - np.asarray(lesion_centre_mm), axis=-1) < lesion_radius_mm
        lesion = ball & np.isin(tissue, [Tissue.CORTEX, Tissue.WHITE_MATTER])
        flair = flair + 0.25 * lesion
        t1w = t1w - 0.06 * lesion
    noise = rng.normal(0, 0.015, (2, *grid.shape))
    depth = ndimage.distance_transform_edt(brain, sampling=grid.spacing_mm)
    return {
        "t1w": np.where(brain, np.clip(t1w + noise[0], 0.01, 1), 0).astype(np.float32),
        "flair": np.where(brain, np.clip(flair + noise[1], 0.01, 1), 0).astype(np.float32),
        "brain": brain,
        "tissue": tissue,
        "depth": depth.astype(np.float32),
        "lesion": lesion,
    }


LESION_CENTRES_MM = ((34.0, 20.0, 12.0), (-34.0, 18.0, 14.0), (30.0, -22.0, 20.0),
                     (-32.0, -20.0, 18.0))  # fmt: skip


def prepared_cohort(
    folder: Path,
    patients: int = 4,
    controls: int = 4,
    sites: int = 2,
    splits: dict[str, Split] | None = None,
) -> Cohort:
    """Write a prepared cohort of tiny heads, all keys filled; RAS grids of 24 voxels of 6 mm.

    Native volumes are the prepared ones: one grid, identity transforms.
    """
    grid = tiny_grid()
    subjects = []
    for number in range(patients + controls):
        patient = number < patients
        name = f"sub-{number + 1:05d}"
        centre = LESION_CENTRES_MM[number % 4] if patient else None
        arrays = tiny_head(grid, number, centre)
        files = {}
        for key, array in arrays.items():
            if key == "lesion" and not patient:
                continue
            path = folder / name / f"{name}_{key}.nii.gz"
            write_volume(path, Volume(array, grid))
            files[key] = f"{name}/{path.name}"
        files |= {"t1w_native": files["t1w"], "flair_native": files["flair"]}
        if patient:
            files |= {"truth": files["lesion"], "lesion_t1w": files["lesion"]}
        eye = np.eye(4).tolist()
        transforms = folder / name / f"{name}_transforms.json"
        transforms.write_text(json.dumps({"flair_to_t1w": eye, "t1w_to_mni": eye}))
        files["transforms"] = f"{name}/{transforms.name}"
        subjects.append(
            Subject(
                name,
                Group.PATIENT if patient else Group.CONTROL,
                Origin.PHANTOM,
                site=f"site-{number % sites + 1}",
                scanner=f"scanner-{number % sites + 1}",
                split=(splits or {}).get(name, Split.NONE),
                side=("R" if centre[0] > 0 else "L") if centre else "",
                lobe="FL" if patient else "",
                files=files,
            )
        )
    cohort = Cohort(folder, tuple(subjects), "tiny")
    cohort.write()
    return cohort


# Labels of FreeSurfer by tissue, left and right.
FREESURFER = {
    Tissue.CSF: (24, 24), Tissue.CORTEX: (3, 42), Tissue.WHITE_MATTER: (2, 41),
    Tissue.DEEP_GREY: (11, 50), Tissue.VENTRICLE: (4, 43), Tissue.INFRATENTORIAL: (8, 47),
}  # fmt: skip


def freesurfer_labels(tissue: np.ndarray, grid: Grid) -> np.ndarray:
    """The label map that FreeSurfer would make of a tiny head."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    right = grid.to_mm(index)[..., 0] > 0
    labels = np.zeros(tissue.shape, np.int16)
    for kind, pair in FREESURFER.items():
        labels[tissue == kind] = np.where(right, pair[1], pair[0])[tissue == kind]
    return labels


def bids_folder(
    folder: Path, patients: int = 6, controls: int = 6, sites: int = 2, labels: bool = False
) -> Path:
    """Write raw tiny heads as a BIDS folder named as in ds004199, with brain masks.

    These heads are no brains: where their tissue matters, it comes as given label maps.

    T1w grids go round RAS, LAS and oblique. FLAIR has a grid of its own, turned and shifted
    against the T1w. The annotator's mask lies on the FLAIR grid, the exact one on the T1w grid.
    """
    columns = ("participant_id", "group", "sex", "age_scan", "mri_diagnosis", "histopathology",
               "hemisphere", "lobe", "split")  # fmt: skip
    rows = ["\t".join(columns)]
    description = {"Name": "tiny heads", "BIDSVersion": "1.6.0",
                   "GeneratedBy": [{"Name": "fcdsynth phantom"}]}  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "dataset_description.json").write_text(json.dumps(description))
    turn, rigid = np.deg2rad(4), np.eye(4)
    rigid[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    rigid[:3, 3] = [4, -3, 5]
    for number in range(patients + controls):
        patient = number < patients
        name = f"sub-{number + 1:05d}"
        centre = LESION_CENTRES_MM[number % 4] if patient else None
        anat = folder / name / "anat"
        t1w_grid = tiny_grid(ORIENTATIONS[number % 3])
        flair_grid = tiny_grid(("oblique", "RAS", "LAS")[number % 3])
        on_t1w = tiny_head(t1w_grid, number, centre)
        on_flair = tiny_head(flair_grid, number, centre)
        moved = Grid.of(flair_grid.shape, rigid @ flair_grid.matrix)
        t1w, flair = anat / f"{name}_acq-iso08_T1w", anat / f"{name}_acq-T2sel_FLAIR"
        write_volume(f"{t1w}.nii.gz", Volume((on_t1w["t1w"] * 900).astype(np.int16), t1w_grid))
        write_volume(f"{flair}.nii.gz", Volume((on_flair["flair"] * 700).astype(np.int16), moved))
        site = number % sites + 1
        sidecar = {"InstitutionName": f"site-{site}", "DeviceSerialNumber": f"{20000 + site}"}
        Path(f"{t1w}.json").write_text(json.dumps(sidecar))
        Path(f"{flair}.json").write_text(json.dumps(sidecar))
        mask = folder / "derivatives" / "masks" / name / "anat" / f"{name}_desc-brain_mask.nii.gz"
        write_volume(mask, Volume(on_t1w["brain"], t1w_grid))
        if labels:
            aseg = folder / "derivatives" / "freesurfer" / name / "mri" / "aseg.nii.gz"
            write_volume(aseg, Volume(freesurfer_labels(on_t1w["tissue"], t1w_grid), t1w_grid))
        if patient:
            write_volume(f"{flair}_roi.nii.gz", Volume(on_flair["lesion"], moved))
            exact = folder / "derivatives" / "truth" / name / "anat"
            write_volume(
                exact / f"{name}_space-T1w_label-lesion_mask.nii.gz",
                Volume(on_t1w["lesion"], t1w_grid),
            )
        cells = ["fcd", "M", "7", "suspicion", "IIb", "R" if centre[0] > 0 else "L", "FL", "n/a"] \
            if patient else ["hc", "F", "6", "n/a", "n/a", "n/a", "n/a", "n/a"]  # fmt: skip
        rows.append("\t".join([name, *cells]))
    (folder / "participants.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8-sig")
    return folder
