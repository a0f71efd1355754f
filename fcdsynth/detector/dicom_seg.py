"""Clusters as a DICOM segmentation of a subject's own T1w series."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth import __version__
from fcdsynth.core.detection import Detection
from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.resample import resample, resample_mask
from fcdsynth.core.volume import Volume
from fcdsynth.detector.dicom_series import DicomSeries, require_highdicom
from fcdsynth.detector.told import place

_MOST_OUTSIDE = 0.01
_SERIES_NUMBER = 900


def seg_name(subject: str) -> str:
    """File name of a subject's segmentation."""
    return f"{subject}_clusters_seg.dcm"


def require_cover(subject: str, series: DicomSeries, brain: Volume) -> None:
    """Raise unless a series reaches wherever the model looked.

    Args:
        subject: Subject id.
        series: Its series.
        brain: Mask of what the model saw, on any grid of the native T1w's world.

    Raises:
        CohortError: If more than a hundredth of it lies beyond the series.
    """
    at = series.grid.to_vox(brain.grid.to_mm(np.argwhere(brain.array)))
    beyond = (at < -0.5) | (at > np.asarray(series.grid.shape) - 0.5)
    outside = float(beyond.any(axis=1).mean()) if len(at) else 0.0
    if outside > _MOST_OUTSIDE:
        raise CohortError(
            f"{subject} DICOM series", f"{outside:.0%} of the brain beyond it",
            "a series that covers the brain",
            "Give the series that the subject's T1w was converted from.",
        )  # fmt: skip


def write_seg(
    path: Path, series: DicomSeries, labels: Volume, clusters: Sequence[Detection]
) -> Path | None:
    """Write one segment per cluster, numbered as in the cluster map.

    Patient, study and frame of reference are those of the series. Identifiers follow from the
    series and the clusters, so the same findings are the same object for an archive.

    Args:
        path: File to write.
        series: The series.
        labels: Cluster map on the native T1w grid.
        clusters: The clusters.

    Returns:
        The path; None where there is no cluster, as an empty segmentation cannot be written.

    Raises:
        CohortError: If the series lacks what a segmentation must copy from it.
        SettingsError: If highdicom is not installed.
    """
    if not clusters:
        return None
    highdicom = require_highdicom()
    moved = move_labels(labels, series.grid)
    uids = _Uids(series.slices[0].SeriesInstanceUID, moved)
    try:
        made = highdicom.seg.Segmentation(
            source_images=list(series.slices),
            pixel_array=np.ascontiguousarray(moved.T),
            segmentation_type="BINARY",
            segment_descriptions=[
                _segment(highdicom, one, uids) for one in sorted(clusters, key=lambda c: c.cluster)
            ],
            series_instance_uid=uids.of("series"),
            series_number=_SERIES_NUMBER,
            sop_instance_uid=uids.of("instance"),
            instance_number=1,
            manufacturer="fcdsynth",
            manufacturer_model_name="fcdsynth detect",
            software_versions=__version__,
            device_serial_number="none",
            content_label="FCD_CANDIDATES",
            content_description="Candidate FCD clusters; research only, not a medical device",
        )
    except (AttributeError, KeyError, ValueError, TypeError) as error:
        raise CohortError(
            f"{clusters[0].subject} DICOM series", f"{type(error).__name__}: {error}",
            "a series with patient, study and frame of reference",
            "Export the series again with its header complete.",
        ) from error  # fmt: skip
    made.SeriesDescription = "Candidate FCD clusters (research)"
    made.save_as(path)
    return path


def move_labels(labels: Volume, grid: Grid) -> NDArray[np.uint16]:
    """Carry a cluster map to another grid of the same world; no cluster gets lost on the way.

    Args:
        labels: Cluster map.
        grid: Where to.

    Returns:
        The map on that grid, nearest voxel; a cluster that lies between its voxel centres takes
        the voxels it covers most.
    """
    moved = resample(labels, grid, 0).array.astype(np.uint16)
    wanted = np.flatnonzero(np.bincount(labels.array.ravel()))
    for number in np.setdiff1d(wanted[wanted > 0], np.unique(moved)):
        mask = resample_mask(Volume(labels.array == number, labels.grid), grid).array
        moved[mask & (moved == 0)] = number
    return moved


class _Uids:
    """Identifiers that follow from a series and a cluster map."""

    def __init__(self, series: str, moved: NDArray[np.uint16]) -> None:
        content = hashlib.sha256(moved.tobytes()).hexdigest()
        self._sources = ["fcdsynth", __version__, str(series), content]

    def of(self, what: str) -> str:
        make = importlib.import_module("pydicom.uid").generate_uid
        return str(make(entropy_srcs=[*self._sources, what]))


def _segment(highdicom: Any, cluster: Detection, uids: _Uids) -> Any:
    codes = importlib.import_module("pydicom.sr.codedict").codes
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="fcdsynth", family=codes.DCM.ArtificialIntelligence, version=__version__
    )
    number = cluster.cluster
    segment = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=f"Cluster {number}, score {cluster.score:.2f}",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
        tracking_uid=uids.of(f"segment {number}"),
        tracking_id=f"fcdsynth cluster {number}",
    )
    segment.SegmentDescription = (
        f"Candidate FCD, {place(cluster)}, score {cluster.score:.4f}, {cluster.volume_ml:.2f} ml; "
        "research only, not a medical device"
    )
    return segment
