"""The verb detect: probability maps and candidate clusters in native space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.detection import OPERATING_POINT, Detections, OperatingPoint
from fcdsynth.core.errors import RunError, SettingsError
from fcdsynth.core.progress import track
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Subject
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.core.volume import Volume, read_grid
from fcdsynth.detector.described import describe_clusters
from fcdsynth.detector.ensemble import Ensemble, mean_probability
from fcdsynth.detector.extras import Extras
from fcdsynth.detector.features import write_region_features
from fcdsynth.detector.findings import (
    choose_subjects,
    native_probability,
    read_clusters,
    write_subject,
)
from fcdsynth.detector.inputs import absent_inputs, load_channels, require_spacing
from fcdsynth.detector.told import Told, inputs_in_words, run_facts
from fcdsynth.training.device import choose_device

_MOST_ML = 1000.0


def detect(
    run: str,
    cohort: str,
    out: str,
    split: str = "test",
    out_of_fold: bool = False,
    mirror: bool = False,
    device: str = "auto",
    windows: int = 2,
    precision: Literal["auto", "32", "bf16"] = "auto",
    threshold: float | None = None,
    min_volume_ml: float | None = None,
    features: bool = False,
    flair_space: bool = False,
    pages: bool = True,
    pdf: bool = False,
    pictures: int = 5,
    dicom: bool = False,
    dicom_series: str | None = None,
) -> Path:
    """Find lesions in a prepared cohort.

    Every subject gets, on its native T1w grid, a map of lesion probability (float32, 0 to 1),
    a map of clusters, and rows in detections.csv: score (from the lesion volume expected in
    the cluster's most probable 2.8 ml), volume in ml, centre in RAS+ mm and in MNI space, lobe
    and side, contrast to the ring around it and to the other side. Models are averaged after
    each was calibrated. Threshold and smallest volume come from validation subjects.

    Args:
        run: Folder of a finished fit, or a folder of fits named fold-0, fold-1, ...
        cohort: Folder or table of a prepared cohort, its voxel size that of the training.
        out: Folder to write.
        split: Which subjects: train, val, test, none, or all rows.
        out_of_fold: Ask about each subject only the folds that held it out for validation. The
            threshold was chosen on such subjects too, so figures from them are a little rosy.
        mirror: Average with the result of the left-right mirrored volume.
        device: auto, cpu, cuda or cuda:1.
        windows: Windows computed at once; more is faster and takes more memory.
        precision: ``bf16`` computes in bfloat16, ``32`` in single precision, ``auto`` in bfloat16
            on a GPU alone.
        threshold: Probability from which a voxel belongs to a cluster, instead of the stored one.
        min_volume_ml: Smallest cluster in ml, instead of the stored one.
        features: Write each model's features of the subject's mask, of the clusters, of the
            mask's mirrored place and of other places, for flag.
        flair_space: Write both maps on the native FLAIR grid too.
        pages: Write a page with pictures for each subject, and a list of them, index.html.
        pdf: Write each page as PDF too.
        pictures: Most clusters drawn on a page, best score first.
        dicom: Write the clusters as a DICOM segmentation (needs the extra dicom).
        dicom_series: Folder with one sub-folder per subject id that holds the DICOM series the
            T1w was converted from; the segmentation refers to it and copies its patient data.

    Returns:
        The output folder.

    Raises:
        LeakageError: If a model has seen a subject, or one that the subject was made from.
        CohortError: If a subject lacks an input of the model, its native T1w or its series.
        GeometryError: If the voxel size is not that of the training.
        SettingsError: If a setting is unknown, or a subject was held out by no fold.
        RunError: If ``run`` is no finished detector, ``out`` holds something else, or the
            results cannot be written.
    """
    _check_settings(windows, threshold, min_volume_ml, dicom, dicom_series)
    series = Path(dicom_series) if dicom_series is not None else None
    extras = Extras(flair_space, pages, pdf, pictures, series)
    where = choose_device(device)
    half = None if precision == "auto" else precision == "bf16"
    chosen = choose_subjects(Cohort.read(cohort), split)
    ensemble = Ensemble.open(run)
    for subject in chosen.subjects:
        _check(ensemble, chosen, subject, out_of_fold)
        extras.check(chosen, subject)
    settings = {
        "run": run, "cohort": cohort, "split": split, "out_of_fold": out_of_fold,
        "mirror": mirror, "device": device, "windows": windows, "precision": precision,
        "threshold": threshold, "min_volume_ml": min_volume_ml, "features": features,
        "flair_space": flair_space, "pages": pages, "pdf": pdf, "pictures": pictures,
        "dicom": dicom, "dicom_series": dicom_series,
    }  # fmt: skip
    work = Run(out, "detect", settings, _inputs(Path(cohort), ensemble, chosen, extras, features))
    if work.complete:
        return work.out
    point = _point(ensemble.point, threshold, min_volume_ml)
    facts = run_facts(ensemble, point, work.inputs, mirror)
    first, at = ensemble.models[0], ""
    try:
        with work:
            for subject in track(chosen.subjects, "detecting lesions"):
                at = subject.id
                if work.has(at):
                    continue
                models = ensemble.may_judge(subject, out_of_fold)
                image, labels, grid = load_channels(
                    chosen, subject, first.inputs, first.flair_optional, lesion=features
                )
                probable = mean_probability(models, image, where, mirror, windows, half)
                prepared = Volume(probable, grid)
                native = native_probability(prepared, chosen, subject)
                to_mni = read_to_mni(chosen, subject)
                describe = partial(describe_clusters, chosen, subject, to_mni=to_mni)
                with work.item(at) as folder:
                    clusters = write_subject(folder, at, native, point, to_mni, describe)
                    told = Told(at, clusters, inputs_in_words(subject, first.inputs),
                                (*_asked(len(models), ensemble), *facts))  # fmt: skip
                    extras.write(folder, chosen, subject, prepared, clusters, told)
                    if features:
                        mask = labels[0] > 0
                        write_region_features(folder, ensemble, chosen, subject, image, mask,
                                              prepared, point.threshold, where)  # fmt: skip
            at = "the tables"
            ids = tuple(subject.id for subject in chosen.subjects)
            rows = tuple(c for name in ids for c in read_clusters(work.folder, name))
            found = Detections(work.folder, ids, rows, point, ensemble.trained_on)
            found.write_tables()
            if pages:
                from fcdsynth.detector.page import write_index

                write_index(found, facts)
    except OSError as error:
        raise _unwritten(work, chosen, at, error) from error
    except OverflowError as error:
        raise SettingsError(
            "threshold, min_volume_ml", f"too many clusters in {at} to be numbered",
            "clusters that stand out from noise", "Raise one of the two.",
        ) from error  # fmt: skip
    return work.out


def _check_settings(
    windows: int, threshold: float | None, min_volume_ml: float | None, dicom: bool,
    dicom_series: str | None,
) -> None:  # fmt: skip
    if windows < 1:
        raise SettingsError("windows", str(windows), "at least 1", "Change --windows.")
    if threshold is not None and not 0 < threshold < 1:
        raise SettingsError("threshold", f"{threshold:g}", "a probability between 0 and 1",
                            "Change --threshold, or leave it out for the stored one.")  # fmt: skip
    if min_volume_ml is not None and not 0 <= min_volume_ml <= _MOST_ML:
        raise SettingsError("min_volume_ml", f"{min_volume_ml:g}", f"0 to {_MOST_ML:g} ml",
                            "Change --min_volume_ml, or leave it out.")  # fmt: skip
    if dicom and dicom_series is None:
        raise SettingsError("dicom_series", "none", "a folder with one sub-folder per subject id",
                            "Give --dicom_series, or leave --dicom out.")  # fmt: skip
    if dicom_series is not None and not dicom:
        raise SettingsError("dicom", "false", "true where there is a dicom_series",
                            "Give --dicom true, or leave --dicom_series out.")  # fmt: skip


def _check(ensemble: Ensemble, cohort: Cohort, subject: Subject, out_of_fold: bool) -> None:
    """Find from tables and headers alone what would stop the work halfway."""
    ensemble.may_judge(subject, out_of_fold)
    first = ensemble.models[0]
    if absent_inputs(subject, first.inputs, first.flair_optional):
        load_channels(cohort, subject, first.inputs, first.flair_optional, lesion=False)  # raises
    read_grid(cohort.path(subject, "t1w_native"))
    for key in first.inputs:
        if subject.has(key):
            grid = read_grid(cohort.path(subject, key))
            require_spacing(subject.id, grid.spacing_mm, first.spacing_mm)


def _inputs(
    path: Path, ensemble: Ensemble, cohort: Cohort, extras: Extras, features: bool
) -> list[Path]:
    found = [path if path.suffix == ".csv" else path / TABLE]
    for model in ensemble.models:
        found += [model.run.checkpoint, model.run.folder / OPERATING_POINT]
    for subject in cohort.subjects:
        keys = (*ensemble.models[0].inputs, "t1w_native", "transforms",
                *(("lesion",) if features else ()))  # fmt: skip
        found += [cohort.path(subject, key) for key in keys if subject.has(key)]
        found += extras.inputs(cohort, subject)
    return list(dict.fromkeys(found))


def _point(
    stored: OperatingPoint, threshold: float | None, min_volume_ml: float | None
) -> OperatingPoint:
    """The stored point with what was given by hand; its calibration stays what it was."""
    return replace(
        stored,
        threshold=stored.threshold if threshold is None else threshold,
        min_volume_ml=stored.min_volume_ml if min_volume_ml is None else min_volume_ml,
    )


def _asked(number: int, ensemble: Ensemble) -> Sequence[tuple[str, str]]:
    if number == len(ensemble.models):
        return ()
    text = f"{number} of {len(ensemble.models)}, which held this subject out for validation"
    return (("Models asked", text),)


def _unwritten(work: Run, cohort: Cohort, at: str, error: OSError) -> RunError:
    done = sum(work.has(subject.id) for subject in cohort.subjects)
    return RunError(
        at, f"{type(error).__name__}: {error} ({done} of {len(cohort)} "
        "subjects finished)", f"room and permission to write {work.folder}",
        "Free some space, or mend what is said above, and run the same command again: it goes on "
        "with the first unfinished subject.",
    )  # fmt: skip
