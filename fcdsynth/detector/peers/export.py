"""The verb export nnunet: a prepared cohort as nnU-Net's raw data set, our folds with it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.progress import track
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import Volume, read_grid, read_mask, read_volume, write_volume
from fcdsynth.core.whole import write_whole
from fcdsynth.detector.peers.cases import Cases, name_cases
from fcdsynth.detector.peers.folds import Folds
from fcdsynth.detector.peers.readme import write_readme

RAW, PREPROCESSED, SPLITS = "nnUNet_raw", "nnUNet_preprocessed", "splits_final.json"
ENDING = ".nii.gz"
_INPUTS = ("t1w", "flair", "t1w_z", "flair_z", "t1w_mirror", "flair_mirror")
_REFERENCES = ("lesion", "drawn")
_SHOWN = {"t1w": "T1w", "flair": "FLAIR"}


def nnunet(
    cohort: str,
    out: str,
    dataset: int = 601,
    name: str = "FCD",
    inputs: tuple[str, ...] = ("t1w", "flair"),
    reference: str = "lesion",
) -> Path:
    """Write a prepared cohort as a raw data set of nnU-Net v2, with its splits.

    Training and validation subjects become ``imagesTr`` and ``labelsTr`` (controls all 0), test
    subjects ``imagesTs`` without masks; rows of split none stay out. Volumes are the prepared
    ones, on the prepared grid. Splits go to ``splits_final.json``, one fold for a cohort, several
    for a folder of ``fold-0``, ``fold-1``, ... The README there holds the commands to type.

    Args:
        cohort: Folder or table of a prepared cohort, or a folder of such folds.
        out: Folder to write.
        dataset: nnU-Net's number of the data set, 1 to 999.
        name: Its name: letters, digits, - and _.
        inputs: Channels in order: t1w, flair, t1w_z, flair_z, t1w_mirror, flair_mirror.
        reference: Mask to learn: lesion, or drawn, as synthetic lesions were drawn.

    Returns:
        The output folder.

    Raises:
        CohortError: If a channel or a patient's mask is absent, a patient's mask is empty or a
            control's is not, or splits are not filled.
        GeometryError: If volumes of a subject lie on different grids.
        LeakageError: If a training subject descends from a held-out one.
        SettingsError: If a setting is unknown.
        RunError: If ``out`` holds something else.
    """
    _check_settings(dataset, name, inputs, reference)
    folds = Folds.read(cohort)
    learning, testing = folds.learning, folds.testing
    called = f"Dataset{dataset:03d}_{name}"
    names = name_cases([*learning.subjects, *testing.subjects])
    cases = Cases(called, names, folds.as_folds(), folds.test_ids)
    files = [*folds.tables]
    for subject in learning.subjects:
        files += _files(learning, subject, inputs, reference)
    for subject in testing.subjects:
        files += _files(testing, subject, inputs, None)
    settings = {"cohort": cohort, "dataset": dataset, "name": name, "inputs": inputs,
                "reference": reference}  # fmt: skip
    work = Run(out, "export nnunet", settings, files)
    if work.complete:
        return work.out
    with work:
        raw = work.folder / RAW / called
        case = {subject: name for name, subject in names.items()}
        for subject in track([*learning.subjects, *testing.subjects], "exporting subjects"):
            tests = subject.id in cases.test
            images = raw / ("imagesTs" if tests else "imagesTr") / case[subject.id]
            _write_images(images, testing if tests else learning, subject, inputs)
            label = raw / "labelsTr" / f"{case[subject.id]}{ENDING}"
            if not tests and not label.is_file():
                write_volume(label, _mask(learning, subject, inputs[0], reference))
        _write_records(work.folder, cases, dataset, inputs, learning)
    return work.out


def _check_settings(dataset: int, name: str, inputs: tuple[str, ...], reference: str) -> None:
    if not 1 <= dataset <= 999:
        raise SettingsError("dataset", str(dataset), "1 to 999", "Change --dataset.")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise SettingsError("name", repr(name), "letters, digits, - and _", "Change --name.")
    if not inputs or len(set(inputs)) < len(inputs) or not set(inputs) <= set(_INPUTS):
        raise SettingsError("inputs", str(list(inputs)), f"some of {', '.join(_INPUTS)}, each once",
                            "Change --inputs.")  # fmt: skip
    if reference not in _REFERENCES:
        raise SettingsError("reference", reference, " or ".join(_REFERENCES),
                            "Change --reference.")  # fmt: skip


def _files(
    cohort: Cohort, subject: Subject, inputs: tuple[str, ...], reference: str | None
) -> list[Path]:
    """A subject's files; from headers alone it is seen whether they are there and fit."""
    keys = [*inputs]
    if reference is not None and (subject.is_patient or subject.has(reference)):
        keys.append(reference)
    paths = [cohort.path(subject, key) for key in keys]
    first = read_grid(paths[0])
    remedy = "Run fcdsynth prepare on the whole cohort with one spacing."
    for key, path in zip(keys[1:], paths[1:], strict=True):
        first.require_same(read_grid(path), f"{subject.id} {key}", remedy)
    return paths


def _write_images(images: Path, cohort: Cohort, subject: Subject, inputs: tuple[str, ...]) -> None:
    """Write the channels that an earlier, stopped call has not; each file appears whole.

    All get the first one's header: nnU-Net compares origins to the last digit.
    """
    grid = read_grid(cohort.path(subject, inputs[0]))
    for number, key in enumerate(inputs):
        path = images.with_name(f"{images.name}_{number:04d}{ENDING}")
        if not path.is_file():
            write_volume(path, Volume(read_volume(cohort.path(subject, key)).array, grid))


def _mask(cohort: Cohort, subject: Subject, key: str, reference: str) -> Volume:
    grid = read_grid(cohort.path(subject, key))
    mask = np.zeros(grid.shape, dtype=bool)
    if subject.has(reference):
        mask = read_mask(cohort.path(subject, reference)).array
    if mask.any() != subject.is_patient:
        raise CohortError(
            subject.id, f"a {subject.group} whose {reference} mask has {int(mask.sum())} voxels",
            "a mask in patients, and none in controls",
            "Mend the mask or the group, or give the subject split none.",
        )  # fmt: skip
    return Volume(mask, grid)


def _write_records(
    folder: Path, cases: Cases, dataset: int, inputs: tuple[str, ...], learning: Cohort
) -> None:
    raw, preprocessed = folder / RAW / cases.dataset, folder / PREPROCESSED / cases.dataset
    preprocessed.mkdir(parents=True, exist_ok=True)
    record = {
        "channel_names": {str(n): _SHOWN.get(key, key) for n, key in enumerate(inputs)},
        "labels": {"background": 0, "lesion": 1},
        "numTraining": len(learning),
        "file_ending": ENDING,
        "overwrite_image_reader_writer": "SimpleITKIO",
    }
    splits = json.dumps(cases.splits, indent=2) + "\n"
    write_whole(raw / "dataset.json", json.dumps(record, indent=2) + "\n")
    # nnU-Net trains by the preprocessed folder's; planning copies the raw folder's to another.
    write_whole(raw / SPLITS, splits)
    write_whole(preprocessed / SPLITS, splits)
    cases.write(folder)
    patients = sum(s.is_patient for s in learning.subjects)
    write_whole(folder / "README.md", write_readme(cases, dataset, inputs, patients))
