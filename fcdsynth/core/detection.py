"""Detection: a candidate cluster with a score, and the folder in which detect leaves them."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fcdsynth.core.errors import RunError

TABLE = "detections.csv"
SUBJECTS = "subjects.csv"
OPERATING_POINT = "operating_point.json"
CONTRASTS = ("t1w_contrast", "flair_contrast", "mirror_contrast")
_LEAST, _MOST_ODDS = 1e-6, 500.0


@dataclass(frozen=True, slots=True)
class Detection:
    """One candidate cluster of one subject.

    Args:
        subject: Subject id.
        cluster: Value of the cluster in the subject's cluster map, from 1.
        score: Calibrated lesion probability of the cluster in [0, 1], comparable between
            subjects.
        volume_ml: Volume in ml.
        size_vox: Number of voxels on the native T1w grid.
        centre_mm: Centre of mass, RAS+ mm, native T1w world.
        side: ``L`` or ``R``.
        peak: Largest voxel probability.
        mean: Mean voxel probability.
        centre_mni_mm: Centre in MNI space, mm, or empty when prepare found no MNI transform.
        lobe: Code of the lobe that most of its voxels lie in (see `fcdsynth.measure.lobes`), or
            empty where that is not known.
        t1w_contrast: Prepared T1w in the cluster less the ring around it, tissue by tissue, in
            robust SD of the brain; None where that was not measured.
        flair_contrast: The same of the FLAIR.
        mirror_contrast: Mean of the subject's map of differences from the mirrored side, of
            FLAIR where there is one, else of T1w, in robust SD of the brain.
    """

    subject: str
    cluster: int
    score: float
    volume_ml: float
    size_vox: int
    centre_mm: tuple[float, float, float]
    side: str
    peak: float
    mean: float
    centre_mni_mm: tuple[float, float, float] | None = None
    lobe: str = ""
    t1w_contrast: float | None = None
    flair_contrast: float | None = None
    mirror_contrast: float | None = None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Detection:
        """Read back what `dataclasses.asdict` gave, after a trip through JSON text."""
        mni = record["centre_mni_mm"]
        centres = {"centre_mm": tuple(record["centre_mm"]),
                   "centre_mni_mm": None if mni is None else tuple(mni)}  # fmt: skip
        return cls(**{**record, **centres})


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What turns a probability map into clusters; chosen on validation subjects only.

    Args:
        temperature: Divides the logits before the sigmoid.
        threshold: A voxel belongs to a cluster when its probability reaches this.
        min_volume_ml: Smaller clusters are dropped.
        chosen_on: Ids of the validation subjects it was chosen on.
        scored_by: ``peak`` or ``volume``, see `fcdsynth.measure.clusters.SCORES`.
        score_slope: Of the line that turns the log odds of a cluster's raw score into those of
            lying in a lesion (Platt 1999).
        score_intercept: Of the same line.
    """

    temperature: float = 1.0
    threshold: float = 0.5
    min_volume_ml: float = 0.1
    chosen_on: tuple[str, ...] = ()
    scored_by: str = "peak"
    score_slope: float = 1.0
    score_intercept: float = 0.0

    def calibrated(self, raw: float) -> float:
        """Probability that a cluster of a raw score in [0, 1] lies in a lesion."""
        if self.score_slope == 1 and self.score_intercept == 0:
            return raw
        near = min(max(raw, _LEAST), 1 - _LEAST)
        odds = self.score_slope * math.log(near / (1 - near)) + self.score_intercept
        return 1 / (1 + math.exp(-min(max(odds, -_MOST_ODDS), _MOST_ODDS)))

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {
            "chosen_on": list(self.chosen_on)
        }

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> OperatingPoint:
        """Read back what `to_json` gave."""
        return cls(**{**record, "chosen_on": tuple(record["chosen_on"])})


@dataclass(frozen=True)
class Detections:
    """The output folder of detect: maps, clusters and tables in native T1w space.

    Args:
        folder: The folder.
        subjects: Ids of all subjects that were looked at, also those with no cluster.
        clusters: All clusters of all subjects.
        operating_point: How clusters were cut from the maps.
        trained_on: Ids of all subjects that trained the models (synthetic ones too).
    """

    folder: Path
    subjects: tuple[str, ...]
    clusters: tuple[Detection, ...]
    operating_point: OperatingPoint
    trained_on: tuple[str, ...] = field(default=())

    def probability_path(self, subject_id: str) -> Path:
        """Probability map on the native T1w grid, float32 in [0, 1]."""
        return self.folder / subject_id / f"{subject_id}_probability.nii.gz"

    def clusters_path(self, subject_id: str) -> Path:
        """Cluster map on the native T1w grid; values are `Detection.cluster`."""
        return self.folder / subject_id / f"{subject_id}_clusters.nii.gz"

    def of(self, subject_id: str) -> tuple[Detection, ...]:
        """Clusters of one subject, highest score first."""
        mine = (cluster for cluster in self.clusters if cluster.subject == subject_id)
        return tuple(sorted(mine, key=lambda c: (-c.score, c.cluster)))

    def write_tables(self) -> None:
        """Write the tables and the operating point; the maps are written subject by subject."""
        with (self.folder / TABLE).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(_HEADER)
            for c in self.clusters:
                mni = c.centre_mni_mm or ("", "", "")
                writer.writerow(
                    [c.subject, c.cluster, f"{c.score:.6f}", f"{c.volume_ml:.4f}", c.size_vox]
                    + [f"{x:.2f}" for x in c.centre_mm]
                    + [c.side, f"{c.peak:.6f}", f"{c.mean:.6f}"]
                    + [f"{x:.1f}" if x != "" else "" for x in mni]
                    + [c.lobe]
                    + ["" if x is None else f"{x:.3f}" for x in (getattr(c, n) for n in CONTRASTS)]
                )
        with (self.folder / SUBJECTS).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["id", "n_clusters"])
            for subject in self.subjects:
                writer.writerow([subject, len(self.of(subject))])
        record = self.operating_point.to_json() | {"trained_on": list(self.trained_on)}
        (self.folder / OPERATING_POINT).write_text(json.dumps(record, indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path | str) -> Detections:
        """Read the tables of a folder written by detect.

        Raises:
            RunError: If the folder does not hold them.
        """
        folder = Path(folder)
        absent = [n for n in (TABLE, SUBJECTS, OPERATING_POINT) if not (folder / n).is_file()]
        if absent:
            raise RunError(
                str(folder), f"no {', '.join(absent)}", "the output folder of fcdsynth detect",
                "Run fcdsynth detect first and give its output folder.",
            )  # fmt: skip
        record = json.loads((folder / OPERATING_POINT).read_text())
        trained_on = tuple(record.pop("trained_on"))
        with (folder / SUBJECTS).open(newline="", encoding="utf-8") as stream:
            subjects = tuple(row["id"] for row in csv.DictReader(stream))
        with (folder / TABLE).open(newline="", encoding="utf-8") as stream:
            clusters = tuple(_from_row(row) for row in csv.DictReader(stream))
        point = OperatingPoint.from_json(record)
        return cls(folder, subjects, clusters, point, trained_on)


_HEADER: Sequence[str] = (
    "subject", "cluster", "score", "volume_ml", "size_vox", "x_mm", "y_mm", "z_mm", "side",
    "peak", "mean", "mni_x_mm", "mni_y_mm", "mni_z_mm", "lobe", *CONTRASTS,
)  # fmt: skip


def _from_row(row: dict[str, str]) -> Detection:
    def point(*names: str) -> tuple[float, float, float]:
        x, y, z = (float(row[name]) for name in names)
        return (x, y, z)

    return Detection(
        row["subject"],
        int(row["cluster"]),
        float(row["score"]),
        float(row["volume_ml"]),
        int(row["size_vox"]),
        point("x_mm", "y_mm", "z_mm"),
        row["side"],
        float(row["peak"]),
        float(row["mean"]),
        point("mni_x_mm", "mni_y_mm", "mni_z_mm") if row["mni_x_mm"] else None,
        # Tables from before these columns lack them.
        row.get("lobe") or "",
        **{name: float(row[name]) if row.get(name) else None for name in CONTRASTS},
    )
