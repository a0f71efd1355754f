"""The masks that are compared: drawn and real ones, cut alike and measured alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Role, Subject
from fcdsynth.core.volume import read_mask
from fcdsynth.masks.host import Host, load_host
from fcdsynth.masks.laws.lesions import Lesion, lesions_of, load_patient
from fcdsynth.measure.lobes import LOBES, lobe_index
from fcdsynth.measure.shape import DESCRIPTORS

PLACE = ("mni_abs_x_mm", "mni_y_mm", "mni_z_mm")
FEATURES = (*DESCRIPTORS, *PLACE, "depth_rank")
SHAPE_COLUMNS = tuple(range(len(DESCRIPTORS)))
PLACE_COLUMNS = tuple(FEATURES.index(name) for name in PLACE)


@dataclass(frozen=True, eq=False)
class Example:
    """One piece of a mask, drawn or real.

    Args:
        subject: Id of its row in the table it comes from.
        number: 0 for the largest piece of the mask, then 1 and on.
        drawn: Whether it was drawn.
        group: What it is no independent evidence with: the patient (or family), or for a drawn
            mask the donor of its shape, else its host.
        features: Numbers compared, in the order of `FEATURES`, NaN where unknown.
        outside: Share of the whole given mask that is neither cortex nor white matter.
        volume_ml: Volume in cortex and white matter.
        voxel_ml: Volume of a voxel.
        lobe: Lobe code, empty where MNI is unknown.
        side: ``L`` or ``R``.
        centre_mm: A voxel in the middle of it, RAS+ mm in the subject's own world.
        mni_mm: Centroid in MNI, None when unknown.
        points_mm: Centres of its voxels in the subject's world, shape (n, 3).
        mni_points_mm: The same in MNI, None when unknown.
    """

    subject: str
    number: int
    drawn: bool
    group: str
    features: tuple[float, ...]
    outside: float
    volume_ml: float
    voxel_ml: float
    lobe: str
    side: str
    centre_mm: tuple[float, float, float]
    mni_mm: tuple[float, float, float] | None
    points_mm: NDArray[np.float64]
    mni_points_mm: NDArray[np.float64] | None

    @property
    def name(self) -> str:
        """Its subject, with the number of the piece where it is not the largest."""
        return self.subject if self.number == 0 else f"{self.subject} piece {self.number + 1}"


@dataclass(frozen=True)
class _Job:
    folder: Path
    rows: tuple[str, ...]
    drawn: bool


def read_drawn(table: Cohort, rows: Sequence[Subject], workers: int = 1) -> list[Example]:
    """Measure the regions of drawn rows; each host is read once.

    Args:
        table: The drawn cohort.
        rows: Rows with a region.
        workers: Number of processes.

    Raises:
        CohortError: If a file is absent or unreadable, or a region holds no cortex.
        GeometryError: If the maps of a row lie on different grids.
    """
    by_host: dict[str, list[str]] = {}
    for row in rows:
        by_host.setdefault(str(table.path(row, "tissue")), []).append(row.id)
    jobs = [_Job(table.folder, tuple(ids), True) for ids in by_host.values()]
    return _measured(jobs, "measuring drawn masks", workers)


def read_real(table: Cohort, patients: Sequence[Subject], workers: int = 1) -> list[Example]:
    """Measure the masks of real patients.

    Args:
        table: A prepared cohort.
        patients: Patients of it.
        workers: Number of processes.

    Raises:
        CohortError: As `load_patient`.
        GeometryError: As `load_patient`.
    """
    jobs = [_Job(table.folder, (patient.id,), False) for patient in patients]
    return _measured(jobs, "measuring real masks", workers)


def regrouped(examples: Sequence[Example], table: Cohort) -> list[Example]:
    """The same with groups widened to the families that a cohort knows."""
    families = {s.id: f"family {s.family}" for s in table.subjects if s.family}
    return [replace(e, group=families.get(e.group, e.group)) for e in examples]


def _measured(jobs: Sequence[_Job], what: str, workers: int) -> list[Example]:
    found = [e for part in map_items(_work, jobs, what, workers) for e in part]
    return sorted(found, key=lambda e: (e.subject, e.number))


def _work(job: _Job) -> list[Example]:
    table = Cohort.read(job.folder)
    rows = [table[name] for name in job.rows]
    if not job.drawn:
        host, lesions = load_patient(table, rows[0])
        return [example_of(host, lesion, rows[0].id, False, rows[0].id) for lesion in lesions]
    host = load_host(table, rows[0], with_lesion=False)
    found = []
    for row in rows:
        region = read_mask(table.path(row, "region"))
        host.grid.require_same(region.grid, f"{row.id} region", "Draw the masks again.")
        found += [
            example_of(host, lesion, row.id, True, origin_of(row))
            for lesion in lesions_of(host, region.array)
        ]
    return found


def origin_of(row: Subject) -> str:
    """Id of the donor of a drawn mask, else of its host, else its own."""
    by_role: Mapping[Role, str] = {p.role: p.subject for p in reversed(row.parents)}
    return by_role.get(Role.MASK) or by_role.get(Role.HOST) or row.id


def example_of(host: Host, lesion: Lesion, subject: str, drawn: bool, group: str) -> Example:
    """Measure one piece of a mask.

    Args:
        host: The anatomy it lies in.
        lesion: The piece.
        subject: Id of its row.
        drawn: Whether it was drawn.
        group: What it is no independent evidence with.
    """
    centroid = lesion.vox.mean(axis=0)
    seed = np.asarray(lesion.seed_vox)
    both = host.to_mni(np.stack([centroid, seed]))
    place = [float("nan")] * 3 if both is None else [abs(both[0, 0]), both[0, 1], both[0, 2]]
    # A curved mask may have its centroid outside; pictures go through a voxel of it.
    inside = lesion.vox[int(np.argmin(np.linalg.norm(lesion.vox - centroid, axis=1)))]
    return Example(
        subject, lesion.number, drawn, group,
        (*(float(v) for v in lesion.shape.descriptors()), *(float(v) for v in place),
         float(lesion.seed_rank)),
        lesion.outside, lesion.volume_ml, host.grid.voxel_ml,
        "" if both is None else LOBES[int(lobe_index(both[1]))],
        "R" if lesion.right else "L",
        _point(host.grid.to_mm(inside)),
        None if both is None else _point(both[0]),
        host.grid.to_mm(lesion.vox),
        host.to_mni(lesion.vox),
    )  # fmt: skip


def _point(values: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in values)
    return x, y, z
