"""The verb baseline: a classical detector that trains nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.detection import OperatingPoint
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.progress import track
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Origin, Split, Subject
from fcdsynth.core.volume import Volume, read_grid
from fcdsynth.core.whole import write_whole
from fcdsynth.detector.findings import (
    choose_subjects,
    files_read,
    native_probability,
    require_unseen,
    write_findings,
)
from fcdsynth.detector.peers.evidence import Evidence, height
from fcdsynth.detector.peers.standard import LEAST_CONTROLS, Standard
from fcdsynth.detector.peers.tuning import Tuned, tune

RECORD = "baseline.json"


def baseline(
    cohort: str,
    out: str,
    split: str = "test",
    flair_weight: float = 1.0,
    asymmetry_weight: float = 1.0,
    smooth_fwhm_mm: float = 6.0,
    threshold: float | None = None,
    min_volume_ml: float | None = None,
) -> Path:
    """Find lesions without training: bright on FLAIR, and brighter than the mirrored side.

    Within cortex and white matter each, FLAIR (its z-score against controls where every subject
    has one) and its difference from the mirrored side are smoothed, counted in robust SD, and
    added. What the highest 0.1 ml of the cohort's training controls reaches is the yardstick
    (median and robust SD, of 5 controls or more; else fixed values). A logistic turns this into
    a pseudo-probability: fitted to the peaks of the validation subjects, or one half at the
    yardstick. Threshold and smallest volume are those of the best lesion-level F1 on the
    validation subjects, or 0.5 and 0.1 ml. Test subjects decide nothing. The folder is that of
    detect, with the numbers in baseline.json.

    Args:
        cohort: Folder or table of a prepared cohort.
        out: Folder to write.
        split: Which subjects: train, val, test, none, or all rows.
        flair_weight: Weight of the brightness on FLAIR.
        asymmetry_weight: Weight of the difference from the mirrored side.
        smooth_fwhm_mm: Full width at half maximum of the smoothing.
        threshold: Probability from which a voxel belongs to a cluster; chosen when left out.
        min_volume_ml: Smaller clusters are dropped; chosen when left out.

    Returns:
        The output folder.

    Raises:
        CohortError: If a subject lacks a file that is needed.
        GeometryError: If files of a subject lie on different grids.
        LeakageError: If a subject is among the controls that make the yardstick.
        SettingsError: If a setting is out of range.
        RunError: If ``out`` holds something else.
    """
    _check_settings(flair_weight, asymmetry_weight, smooth_fwhm_mm, threshold, min_volume_ml)
    table = Cohort.read(cohort)
    chosen = choose_subjects(table, split)
    controls, held_out = _controls(table), _held_out(table)
    require_unseen(chosen.subjects, [s.id for s in controls], "the controls of the yardstick")
    used = {s.id: s for s in (*controls, *held_out, *chosen.subjects)}
    judged = all(s.has("flair_z") for s in used.values())
    evidence = Evidence(
        "flair_z" if judged else "flair", flair_weight, asymmetry_weight, smooth_fwhm_mm
    )
    evidence.check(table, tuple(used.values()))
    evidence.check(table, [s for s in held_out if s.is_patient], "lesion")
    path = Path(cohort)
    inputs = [path if path.suffix == ".csv" else path / TABLE]
    for subject in used.values():
        inputs += [table.path(subject, key) for key in evidence.keys]
    for subject in held_out:
        inputs += [table.path(subject, "lesion")] if subject.is_patient else []
    for subject in chosen.subjects:
        read_grid(table.path(subject, "t1w_native"))
    inputs = list(dict.fromkeys([*inputs, *files_read(table, chosen.subjects)]))
    settings = {
        "cohort": cohort, "split": split, "flair_weight": flair_weight,
        "asymmetry_weight": asymmetry_weight, "smooth_fwhm_mm": smooth_fwhm_mm,
        "threshold": threshold, "min_volume_ml": min_volume_ml,
    }  # fmt: skip
    work = Run(out, "baseline", settings, inputs)
    if work.complete:
        return work.out
    with work:
        setting = _settle(work.folder / RECORD, table, evidence, controls, held_out)
        point = setting.point
        if threshold is not None:
            point = replace(point, threshold=threshold)
        if min_volume_ml is not None:
            point = replace(point, min_volume_ml=min_volume_ml)

        def look(subject: Subject) -> Volume:
            prepared = setting.standard.probability(evidence.of(table, subject))
            return native_probability(prepared, table, subject)

        write_findings(work, chosen, look, point, [s.id for s in controls])
    return work.out


def _check_settings(
    flair: float, asymmetry: float, fwhm: float, threshold: float | None, least: float | None
) -> None:
    if min(flair, asymmetry) < 0 or flair + asymmetry == 0:
        raise SettingsError("flair_weight, asymmetry_weight", f"{flair}, {asymmetry}",
                            "0 or above, not both 0", "Change one of them.")  # fmt: skip
    if fwhm < 0:
        raise SettingsError("smooth_fwhm_mm", str(fwhm), "0 or above", "Change --smooth_fwhm_mm.")
    if threshold is not None and not 0 < threshold < 1:
        raise SettingsError("threshold", str(threshold), "between 0 and 1", "Change --threshold.")
    if least is not None and least < 0:
        raise SettingsError("min_volume_ml", str(least), "0 or above", "Change --min_volume_ml.")


def _controls(cohort: Cohort) -> tuple[Subject, ...]:
    """Training controls that are not synthetic; none where they are too few."""
    found = tuple(
        s for s in cohort.of_split(Split.TRAIN).subjects
        if not s.is_patient and s.origin is not Origin.SYNTHETIC
    )  # fmt: skip
    return found if len(found) >= LEAST_CONTROLS else ()


def _held_out(cohort: Cohort) -> tuple[Subject, ...]:
    """Validation subjects; none where there is no patient among them."""
    found = cohort.of_split(Split.VAL).subjects
    return found if any(s.is_patient for s in found) else ()


def _settle(
    record: Path, cohort: Cohort, evidence: Evidence, controls: Sequence[Subject],
    held_out: Sequence[Subject],
) -> Tuned:  # fmt: skip
    """Read what an earlier, stopped call found, or find it and write it down."""
    if record.is_file():
        known = json.loads(record.read_text(encoding="utf-8"))
        point = OperatingPoint.from_json(known["operating_point"])
        return Tuned(Standard(**known["standard"]), point)
    heights = [height(evidence.of(cohort, s)) for s in track(controls, "looking at controls")]
    found = tune(Standard.of_controls(heights), cohort, evidence, held_out)
    text: dict[str, Any] = {
        "evidence": asdict(evidence),
        "standard": found.standard.to_json(),
        "controls": {s.id: round(h, 4) for s, h in zip(controls, heights, strict=True)},
        "operating_point": found.point.to_json(),
    }
    write_whole(record, json.dumps(text, indent=2) + "\n")
    return found
