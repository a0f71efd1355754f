"""What detect writes of a subject when asked: maps on FLAIR, a page, a PDF, a DICOM object."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.detection import Detection
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.native import flair_to_t1w, to_native
from fcdsynth.core.subject import Subject
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.core.volume import Volume, read_grid, read_labels, write_volume
from fcdsynth.detector.told import Told, caption

_DPI = 90


@dataclass(frozen=True)
class Extras:
    """Which of them are wanted.

    Args:
        flair_space: Maps on the native FLAIR grid, of subjects that have one.
        pages: A page per subject.
        pdf: The same as PDF.
        pictures: Most clusters drawn on a page.
        dicom_series: Folder with one sub-folder per subject id that holds the T1w series; None
            for no DICOM object.

    Raises:
        SettingsError: If ``pictures`` is below 0, the folder is not there, or highdicom is not
            installed.
    """

    flair_space: bool = False
    pages: bool = True
    pdf: bool = False
    pictures: int = 5
    dicom_series: Path | None = None

    def __post_init__(self) -> None:
        if self.pictures < 0:
            raise SettingsError("pictures", str(self.pictures), "0 or more", "Change --pictures.")
        if self.dicom_series is None:
            return
        from fcdsynth.detector.dicom_series import require_highdicom

        require_highdicom()
        if not self.dicom_series.is_dir():
            raise SettingsError(
                "dicom_series", str(self.dicom_series), "a folder with one sub-folder per subject",
                "Check the path.",
            )  # fmt: skip

    def check(self, cohort: Cohort, subject: Subject) -> None:
        """Find from headers alone what would stop the work halfway.

        Raises:
            CohortError: If a file is absent or unusable.
        """
        if self.flair_space and subject.has("flair_native"):
            read_grid(cohort.path(subject, "flair_native"))
            flair_to_t1w(cohort, subject)
        if self.dicom_series is not None:
            from fcdsynth.detector.dicom_series import DicomSeries

            DicomSeries.read(self.dicom_series, subject.id)

    def inputs(self, cohort: Cohort, subject: Subject) -> list[Path]:
        """Files and folders that are read for them."""
        keys = ["lobes", "brain", "tissue", "t1w", "flair", "flair_mirror", "t1w_mirror"]
        if self.flair_space:
            keys.append("flair_native")
        found = [cohort.path(subject, key) for key in keys if subject.has(key)]
        if self.dicom_series is not None:
            found.append(self.dicom_series / subject.id)
        return found

    def write(
        self,
        folder: Path,
        cohort: Cohort,
        subject: Subject,
        prepared: Volume,
        clusters: tuple[Detection, ...],
        told: Told,
    ) -> None:
        """Write them into a subject's folder, which holds its maps already.

        Args:
            folder: The subject's folder.
            cohort: The prepared cohort.
            subject: Its row.
            prepared: Map of probability on the prepared grid.
            clusters: Its clusters, best score first.
            told: What a page tells.

        Raises:
            CohortError: If a file is absent or unusable.
        """
        if not (self.flair_space or self.pages or self.pdf or self.dicom_series):
            return
        labels = read_labels(folder / f"{subject.id}_clusters.nii.gz")
        if self.flair_space and subject.has("flair_native"):
            _write_flair(folder, cohort, subject, prepared, labels)
        if self.dicom_series is not None:
            from fcdsynth.detector.dicom_seg import require_cover, seg_name, write_seg
            from fcdsynth.detector.dicom_series import DicomSeries

            series = DicomSeries.read(self.dicom_series, subject.id)
            require_cover(subject.id, series, Volume(prepared.array > 0, prepared.grid))
            write_seg(folder / seg_name(subject.id), series, labels, clusters)
        if self.pages or self.pdf:
            self._write_pages(folder, cohort, subject, labels, told)

    def _write_pages(
        self, folder: Path, cohort: Cohort, subject: Subject, labels: Volume, told: Told
    ) -> None:
        from fcdsynth.detector.page import Picture, write_page
        from fcdsynth.detector.pdf import pdf_name, written_pdf
        from fcdsynth.detector.pictures import draw_clusters
        from fcdsynth.review.pictures import png_bytes

        drawn = told.clusters[: self.pictures]
        to_mni = read_to_mni(cohort, subject)
        pictures = []
        with ExitStack() as stack:
            pages: Any = stack.enter_context(written_pdf(folder, told)) if self.pdf else None
            for cluster, figure in draw_clusters(cohort, subject, labels, drawn, to_mni):
                if self.pages:
                    pictures.append(Picture(caption(cluster), png_bytes(figure, _DPI)))
                if pages is not None:
                    pages.savefig(figure, facecolor=figure.get_facecolor())
                figure.clear()
        if self.pages:
            write_page(folder, told, pictures, pdf_name(subject.id) if self.pdf else "")


def _write_flair(
    folder: Path, cohort: Cohort, subject: Subject, prepared: Volume, labels: Volume
) -> None:
    """Both maps on the native FLAIR grid; a cluster keeps its value, and none gets lost."""
    moved = to_native(prepared, subject, cohort, "flair")
    name = f"{subject.id}_space-FLAIR"
    probability = np.clip(moved.array, 0, 1).astype(np.float32)
    write_volume(folder / f"{name}_probability.nii.gz", Volume(probability, moved.grid))
    places = to_native(labels, subject, cohort, "flair")
    for number in np.setdiff1d(labels.array, places.array):
        # Between the centres of thick slices: the voxels that it covers most.
        mask = Volume(labels.array == number, labels.grid)
        covered = to_native(mask, subject, cohort, "flair").array
        places.array[covered & (places.array == 0)] = number
    write_volume(folder / f"{name}_clusters.nii.gz", places)
