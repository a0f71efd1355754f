"""A subject's T1w series in DICOM: the slices in order, and the grid they make in RAS+ mm."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.grid import Grid

# What a segmentation copies, and what DICOM allows to be empty (type 2).
_MAY_BE_EMPTY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_ALIKE = ("StudyInstanceUID", "FrameOfReferenceUID", "Rows", "Columns", "PixelSpacing",
          "ImageOrientationPatient")  # fmt: skip
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_SAME_MM = 0.01
_UNEVEN = 0.02  # share of the slice distance


def require_highdicom() -> Any:
    """The package highdicom.

    Raises:
        SettingsError: If the extra is not installed.
    """
    try:
        return importlib.import_module("highdicom")
    except ImportError as error:
        raise SettingsError(
            "dicom", "no package highdicom", "the extra dicom",
            "Install it with pip install 'fcdsynth[dicom]', or leave --dicom out.",
        ) from error  # fmt: skip


@dataclass(frozen=True, eq=False)
class DicomSeries:
    """One series of single slices.

    Args:
        slices: Headers (``pydicom.Dataset``) without pixels, from the first slice to the last;
            what deidentification took away of patient and study is there, and empty.
        grid: Grid of the volume, RAS+ mm; axes are columns, rows and slices.
    """

    slices: tuple[Any, ...]
    grid: Grid

    @classmethod
    def read(cls, root: Path | str, subject: str) -> DicomSeries:
        """Read the headers in the subject's sub-folder.

        Args:
            root: Folder with one sub-folder per subject id.
            subject: Subject id.

        Raises:
            CohortError: If there is no series or more than one, or it is not one even stack of
                slices.
        """
        pydicom = importlib.import_module("pydicom")
        found = []
        for path in sorted(p for p in (Path(root) / subject).rglob("*") if p.is_file()):
            try:
                header = pydicom.dcmread(path, stop_before_pixels=True)
            except pydicom.errors.InvalidDicomError:
                continue
            if "ImagePositionPatient" in header or "PerFrameFunctionalGroupsSequence" in header:
                found.append(header)
        _check(subject, found)
        return _stack(subject, found)


def _refuse(subject: str, found: str, expected: str, remedy: str) -> CohortError:
    return CohortError(f"{subject} DICOM series", found, expected, remedy)


def _check(subject: str, found: Sequence[Any]) -> None:
    """One series of single slices that lie in one frame and share one shape and orientation."""
    one = "one T1w series of single slices"
    alone = (
        f"Put the T1w series, and nothing else, into the sub-folder {subject} of --dicom_series."
    )
    if not found:
        raise _refuse(subject, "no slice", one, alone)
    if any("PerFrameFunctionalGroupsSequence" in header for header in found):
        raise _refuse(subject, "a multi-frame file", one, "Export the series slice by slice.")
    series = {header.SeriesInstanceUID for header in found}
    if len(series) > 1:
        raise _refuse(subject, f"{len(series)} series", one, alone)
    if len(found) < 2:
        raise _refuse(subject, "one slice", one, alone)
    first = found[0]
    for name in _ALIKE:
        values = [header.get(name) for header in found]
        if any(value is None for value in values):
            raise _refuse(subject, f"a slice without {name}", "it in every slice",
                          "Export the series again.")  # fmt: skip
        if name.endswith("UID"):
            same = all(value == first.get(name) for value in values)
        else:
            same = np.allclose(np.array(values, dtype=float), values[0], atol=1e-4)
        if not same:
            raise _refuse(subject, f"slices that differ in {name}", "one in all slices", alone)


def _stack(subject: str, found: Sequence[Any]) -> DicomSeries:
    row, column = np.reshape(np.array(found[0].ImageOrientationPatient, dtype=float), (2, 3))
    normal = np.cross(row, column)
    for header in found:
        for name in _MAY_BE_EMPTY:
            if name not in header:
                setattr(header, name, "")
    slices = sorted(found, key=lambda h: float(_position(h) @ normal))
    places = np.array([_position(header) for header in slices])
    steps = np.diff(places @ normal)
    step = float(np.median(steps))
    uneven = np.abs(steps - step) > max(_UNEVEN * step, _SAME_MM)
    if uneven.any():
        worst = float(steps[np.argmax(np.abs(steps - step))])
        raise _refuse(
            subject, f"slices {worst:.2f} mm apart among slices {step:.2f} mm apart",
            "one distance between all slices", "Export the series again, complete and once.",
        )  # fmt: skip
    mean_step = (places[-1] - places[0]) / (len(slices) - 1)
    aside = np.linalg.norm(mean_step - (mean_step @ normal) * normal)
    if aside > max(_UNEVEN * step, _SAME_MM):
        raise _refuse(
            subject, "slices that are shifted against each other (a tilted gantry)",
            "slices straight above each other", "Give a series that is not tilted.",
        )  # fmt: skip
    between_rows, between_columns = (float(mm) for mm in slices[0].PixelSpacing)
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2] = row * between_columns, column * between_rows, mean_step
    lps[:3, 3] = places[0]
    shape = (int(slices[0].Columns), int(slices[0].Rows), len(slices))
    return DicomSeries(tuple(slices), Grid.of(shape, _LPS_TO_RAS @ lps))


def _position(header: Any) -> NDArray[np.float64]:
    return np.array(header.ImagePositionPatient, dtype=float)
