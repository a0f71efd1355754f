"""A large cohort at 1 mm with the maps of a simulated detector, to time the evaluator on.

One brain (ICBM152, 192 x 224 x 192 voxels) with its ribbon and lobes serves every subject; lesion,
probability map and cluster map are each subject's own.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detection, Detections, OperatingPoint
from fcdsynth.core.grid import Grid
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Group, Origin, Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume, read_mask, read_volume, write_volume
from fcdsynth.measure.clusters import find_clusters
from fcdsynth.measure.lobes import RIGHT, lobe_index
from fcdsynth.measure.ribbon import ribbon_depth

SHAPE = (192, 224, 192)
POINT = OperatingPoint(threshold=0.4, min_volume_ml=0.05)
_FIELDS = 8


def big_cohort(folder: Path, n: int, sites: int = 5, workers: int = 2) -> tuple[Path, Path]:
    """Write a cohort of n subjects, half of them patients, and a folder of detections; once.

    Returns:
        Folder of the cohort and folder of the detections.
    """
    cohort, found = folder / "cohort", folder / "found"
    _brain(cohort)
    ids = [f"sub-{number + 1:05d}" for number in range(n)]
    made = map_items(partial(_subject, cohort, found), list(enumerate(ids)), "subjects", workers)
    subjects, clusters = [], []
    for number, (name, mine) in enumerate(zip(ids, made, strict=True)):
        patient = number % 2 == 0
        files = {key: f"brain/{key}.nii.gz" for key in ("brain", "ribbon", "lobes", "t1w")}
        files |= {"t1w_native": files["t1w"], "transforms": "brain/transforms.json"}
        if patient:
            files["truth"] = f"{name}/{name}_truth.nii.gz"
        site = f"site-{number // 2 % sites + 1}"
        subjects.append(
            Subject(name, Group.PATIENT if patient else Group.CONTROL, Origin.PHANTOM, site,
                    f"{site}-scanner-{number // 2 // sites % 2 + 1}", files=files)
        )  # fmt: skip
        clusters += [Detection.from_json(record) for record in mine]
    Cohort(cohort, tuple(subjects), "big").write()
    Detections(found, tuple(ids), tuple(clusters), POINT).write_tables()
    return cohort, found


def _brain(cohort: Path) -> None:
    home = cohort / "brain"
    if (home / "transforms.json").is_file():
        return
    from nilearn import datasets

    names = {"t1w": datasets.load_mni152_template, "grey": datasets.load_mni152_gm_template,
             "white": datasets.load_mni152_wm_template}  # fmt: skip
    images = {name: load(resolution=1) for name, load in names.items()}
    affine = np.asarray(images["t1w"].affine)
    source = {name: np.asarray(image.dataobj, dtype=np.float32) for name, image in images.items()}
    start = (np.array(source["t1w"].shape) - SHAPE) // 2
    matrix = affine.copy()
    matrix[:3, 3] += affine[:3, :3] @ start
    grid = Grid.of(SHAPE, matrix)
    arrays = {}
    for name, array in source.items():
        out = np.zeros(SHAPE, np.float32)
        low, high = np.maximum(start, 0), np.minimum(start + SHAPE, array.shape)
        to = tuple(slice(a, b) for a, b in zip(low - start, high - start, strict=True))
        out[to] = array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        arrays[name] = out
    brain = ndimage.binary_fill_holes(arrays["grey"] + arrays["white"] > 0.3)
    tissue = np.zeros(SHAPE, np.uint8)
    tissue[brain] = Tissue.CSF
    tissue[arrays["grey"] > 0.4] = Tissue.CORTEX
    tissue[arrays["white"] > 0.5] = Tissue.WHITE_MATTER
    ribbon = ribbon_depth(Volume(tissue, grid))
    at = np.argwhere(brain)
    mm = grid.to_mm(at)
    lobes = np.zeros(SHAPE, np.int16)
    lobes[tuple(at.T)] = lobe_index(mm) + 1 + RIGHT * (mm[:, 0] > 0)
    for name, array in (("t1w", arrays["t1w"] * brain), ("brain", brain), ("ribbon", ribbon),
                        ("lobes", lobes), ("tissue", tissue)):  # fmt: skip
        write_volume(home / f"{name}.nii.gz", Volume(array, grid))
    rng = np.random.default_rng(0)
    for number in range(_FIELDS):
        noise = ndimage.gaussian_filter(rng.standard_normal(SHAPE).astype(np.float32), 3)
        np.save(home / f"field-{number}.npy", (noise / noise.std()).astype(np.float32))
    (home / "transforms.json").write_text(json.dumps({"t1w_to_mni": np.eye(4).tolist()}))


def _subject(cohort: Path, found: Path, task: tuple[int, str]) -> list[dict]:
    number, name = task
    record = found / name / "clusters.json"
    if record.is_file():
        return json.loads(record.read_text())
    home = cohort / "brain"
    brain = read_mask(home / "brain.nii.gz")
    ribbon = read_volume(home / "ribbon.nii.gz").array > 0
    rng = np.random.default_rng([7, number])
    field = np.load(home / f"field-{number % _FIELDS}.npy")
    logit = -6 + np.roll(field, tuple(rng.integers(0, 60, 3)), (0, 1, 2))
    cortex = np.argwhere(ribbon)
    if number % 2 == 0:
        volume_ml = float(np.clip(np.exp(rng.normal(np.log(2.8), 1.25)), 0.12, 60))
        lesion = np.zeros(SHAPE, bool)
        _ball(lesion, cortex[rng.integers(len(cortex))], (volume_ml * 238.7) ** (1 / 3))
        lesion &= brain.array
        write_volume(cohort / name / f"{name}_truth.nii.gz", Volume(lesion, brain.grid))
        moved = np.roll(lesion, tuple(rng.integers(-2, 3, 3)), (0, 1, 2))
        logit[moved] += rng.choice([8.0, 3.0], p=[0.6, 0.4])
    for _ in range(rng.poisson(0.8)):
        spot = np.zeros(SHAPE, bool)
        _ball(spot, cortex[rng.integers(len(cortex))], rng.uniform(3, 8))
        logit[spot] += rng.uniform(5.5, 8)
    probability = np.where(brain.array, 1 / (1 + np.exp(-logit)), 0).astype(np.float32)
    volume = Volume(probability, brain.grid)
    labels, clusters = find_clusters(name, volume, POINT, np.eye(4))
    here = Detections(found, (), (), POINT)
    write_volume(here.probability_path(name), volume)
    write_volume(here.clusters_path(name), labels)
    rows = [asdict(cluster) for cluster in clusters]
    partial_record = record.with_suffix(".new")
    partial_record.write_text(json.dumps(rows))
    os.replace(partial_record, record)
    return rows


def _ball(mask: np.ndarray, at: np.ndarray, radius: float) -> None:
    half = int(np.ceil(radius))
    low, high = np.maximum(at - half, 0), np.minimum(at + half + 1, mask.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    index = np.stack(np.meshgrid(*[np.arange(a, b) for a, b in zip(low, high, strict=True)],
                                 indexing="ij"), -1)  # fmt: skip
    mask[box] |= ((index - at) ** 2).sum(-1) <= radius**2
