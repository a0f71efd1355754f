"""The verb import nnunet: nnU-Net's predictions as the output folder of detect."""

from __future__ import annotations

from pathlib import Path

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.detection import OperatingPoint
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import Volume, read_grid
from fcdsynth.detector.findings import (
    choose_subjects,
    files_read,
    native_probability,
    require_unseen,
    write_findings,
)
from fcdsynth.detector.peers.cases import Cases, name_cases
from fcdsynth.detector.peers.predictions import read_prediction

_GRID_KEYS = ("t1w", "flair", "brain", "tissue")


def nnunet(
    predictions: str,
    cohort: str,
    out: str,
    raw: str | None = None,
    threshold: float = 0.5,
    min_volume_ml: float = 0.1,
    split: str = "test",
    fold: int | None = None,
) -> Path:
    """Turn nnU-Net's predictions into what detect writes, for evaluate to read.

    Probabilities (saved by nnUNetv2_predict --save_probabilities) are carried to the native T1w
    grid and cut into clusters there; a label map alone counts as probabilities 0 and 1, so that
    all its clusters score alike. Give --raw, or nobody can check that the model has not seen the
    subjects. The threshold is yours: choose it on validation subjects.

    Args:
        predictions: Folder with a CASE.nii.gz, and perhaps a CASE.npz, for every subject.
        cohort: Folder or table of the prepared cohort that was exported.
        out: Folder to write.
        raw: Folder written by export nnunet; says who trained the model.
        threshold: Probability from which a voxel belongs to a cluster.
        min_volume_ml: Smaller clusters are dropped.
        split: Which subjects: train, val, test, none, or all rows.
        fold: The fold whose model predicted; left out, all folds of the export count as seen.

    Returns:
        The output folder.

    Raises:
        CohortError: If a subject has no prediction, native T1w or place in the export.
        GeometryError: If a prediction lies on another grid than the prepared volumes.
        LeakageError: If the model was trained on a subject or one that it was made from.
        SettingsError: If a setting is out of range.
        RunError: If a prediction is damaged, ``raw`` is no export, or ``out`` holds something
            else.
    """
    if not 0 < threshold <= 1:
        raise SettingsError("threshold", str(threshold), "above 0 and at most 1",
                            "Change --threshold.")  # fmt: skip
    if min_volume_ml < 0:
        raise SettingsError("min_volume_ml", str(min_volume_ml), "0 or above",
                            "Change --min_volume_ml.")  # fmt: skip
    if fold is not None and raw is None:
        raise SettingsError("fold", str(fold), "--raw with it", "Give the export as --raw.")
    chosen = choose_subjects(Cohort.read(cohort), split)
    cases = None if raw is None else Cases.read(raw)
    trained_on = cases.trained_on(fold) if cases else ()
    require_unseen(chosen.subjects, trained_on, "the training of the model")
    folder = Path(predictions)
    case = _name(chosen, cases)
    _check_complete(folder, chosen, case)
    grids = {s.id: read_grid(chosen.path(s, _grid_key(s))) for s in chosen.subjects}
    settings = {
        "predictions": predictions, "cohort": cohort, "raw": raw, "threshold": threshold,
        "min_volume_ml": min_volume_ml, "split": split, "fold": fold,
    }  # fmt: skip
    path = Path(cohort)
    inputs = [path if path.suffix == ".csv" else path / TABLE]
    inputs += [] if raw is None else [Cases.path(raw)]
    for subject in chosen.subjects:
        read_grid(chosen.path(subject, "t1w_native"))
        files = (folder / f"{case[subject.id]}{end}" for end in (".nii.gz", ".npz"))
        inputs += [file for file in files if file.is_file()]
    inputs += files_read(chosen, chosen.subjects)
    work = Run(out, "import nnunet", settings, inputs)
    if work.complete:
        return work.out

    def look(subject: Subject) -> Volume:
        prepared = read_prediction(folder, case[subject.id], grids[subject.id])
        return native_probability(prepared, chosen, subject)

    # As a detector of ours scores its clusters; label maps alone give nothing to score by.
    graded = all((folder / f"{case[s.id]}.npz").is_file() for s in chosen.subjects)
    point = OperatingPoint(
        threshold=threshold, min_volume_ml=min_volume_ml, scored_by="volume" if graded else "peak"
    )
    with work:
        write_findings(work, chosen, look, point, trained_on)
    return work.out


def _name(cohort: Cohort, cases: Cases | None) -> dict[str, str]:
    """Case id by subject id."""
    names = name_cases(cohort.subjects) if cases is None else cases.subjects
    case = {subject: name for name, subject in names.items()}
    absent = [s.id for s in cohort.subjects if s.id not in case]
    if absent:
        raise CohortError(
            ", ".join(absent), f"{len(absent)} subjects that were not exported",
            "subjects of the export", "Give the cohort that was exported, or its export as --raw.",
        )  # fmt: skip
    return case


def _check_complete(folder: Path, cohort: Cohort, case: dict[str, str]) -> None:
    absent = [s.id for s in cohort.subjects if not (folder / f"{case[s.id]}.nii.gz").is_file()]
    if absent:
        raise CohortError(
            ", ".join(absent),
            f"no prediction of {len(absent)} of {len(cohort)} subjects in {folder}",
            f"one for each, such as {case[absent[0]]}.nii.gz",
            "Predict in all of them, or choose others with --split: who is left out may not be "
            "up to the results.",
        )  # fmt: skip


def _grid_key(subject: Subject) -> str:
    """A file on the subject's prepared grid; the first where there is none, for its error."""
    return next((key for key in _GRID_KEYS if subject.has(key)), _GRID_KEYS[0])
