"""Clusters of maps that detect wrote before, cut at another operating point."""

from __future__ import annotations

from pathlib import Path

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.detection import OPERATING_POINT, Detections, OperatingPoint
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Subject
from fcdsynth.core.volume import Volume, read_volume
from fcdsynth.detector.ensemble import Ensemble
from fcdsynth.detector.findings import files_read, write_findings


def recut(run: str, found: str, cohort: str, out: str) -> Path:
    """Cut maps at the operating point that is stored with their detector.

    ``detect --threshold`` with a low value gives a FROC curve that reaches far; this gives the
    clusters of the same maps at the detector's own point, without looking at the images again.

    Args:
        run: The detector, as given to ``detect``.
        found: Its output for the cohort.
        cohort: The cohort, as given to ``detect``.
        out: Folder to write, as ``detect`` writes it.

    Returns:
        The output folder.

    Raises:
        RunError: If ``found`` is no output of detect, or ``out`` holds something else.
    """
    ensemble, earlier, table = Ensemble.open(run), Detections.read(found), Cohort.read(cohort)
    chosen = table.select(lambda subject: subject.id in set(earlier.subjects))
    path = Path(cohort)
    inputs = [path if path.suffix == ".csv" else path / TABLE]
    inputs += [model.run.folder / OPERATING_POINT for model in ensemble.models]
    inputs += [earlier.probability_path(name) for name in earlier.subjects]
    settings = {"run": run, "found": found, "cohort": cohort}
    work = Run(out, "detect", settings, [*inputs, *files_read(chosen, chosen.subjects)])
    if work.complete:
        return work.out

    def look(subject: Subject) -> Volume:
        return read_volume(earlier.probability_path(subject.id))

    point: OperatingPoint = ensemble.point
    with work:
        write_findings(work, chosen, look, point, ensemble.trained_on)
    return work.out
