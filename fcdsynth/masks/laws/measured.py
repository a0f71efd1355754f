"""What one training patient teaches, in a record light enough to hold a hundred of them."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Subject
from fcdsynth.masks.host import Host
from fcdsynth.masks.laws.depth import Choice
from fcdsynth.masks.laws.growths import TRIALS, Trial, try_growths
from fcdsynth.masks.laws.lesions import Lesion, load_patient
from fcdsynth.measure.lobes import LOBES, lobe_index

RIBBON_SAMPLE = 4000
POINTS_PER_LESION = 24


@dataclass(frozen=True, eq=False)
class Ribbon:
    """Voxels where a patient's lesion could have started: an even sample of them, or all.

    Args:
        ranks: Depth ranks of the sample, shape (m,).
        points_mm: MNI coordinates of the sample, shape (m, 3); None when unknown.
        voxels_per_lobe: Number of voxels of the whole ribbon in each lobe, shape (5,); zeros
            when unknown.
    """

    ranks: NDArray[np.float32]
    points_mm: NDArray[np.float32] | None
    voxels_per_lobe: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Measured:
    """One patient.

    Args:
        subject: Subject id.
        lesions: The lesions, largest first.
        seeds_mm: MNI coordinates of their seed voxels, shape (k, 3); None when unknown.
        points_mm: For each lesion some of its points (MNI, mm); empty when unknown.
        ribbon: Where they could have started.
        trials: For each lesion the growths tried at its place; empty when none were tried.
    """

    subject: str
    lesions: tuple[Lesion, ...]
    seeds_mm: NDArray[np.float64] | None
    points_mm: tuple[NDArray[np.float64], ...]
    ribbon: Ribbon
    trials: tuple[tuple[Trial, ...], ...] = ()

    def choices(self, site: NDArray[np.float64]) -> list[Choice]:
        """Each lesion's seed among the ribbon.

        Args:
            site: What the site law gives to the ribbon's sample, shape (m,).
        """
        ribbon = self.ribbon
        if self.seeds_mm is None or ribbon.points_mm is None:
            return [Choice(x.seed_rank, x.volume_ml, ribbon.ranks, site) for x in self.lesions]
        return [
            Choice(
                x.seed_rank, x.volume_ml, ribbon.ranks, site, float(seed), ribbon.points_mm[:, 0]
            )
            for x, seed in zip(self.lesions, self.seeds_mm[:, 0], strict=True)
        ]


@dataclass(frozen=True)
class MeasureJob:
    """What a worker process needs to measure one patient.

    Args:
        cohort: The cohort.
        subject: The patient.
        seed: Seed of the ribbon sample and of the growths.
        growth_trials: Growths tried at the place of each lesion; 0 for none.
    """

    cohort: Cohort
    subject: Subject
    seed: int = 0
    growth_trials: int = TRIALS


def measure_patient(job: MeasureJob) -> Measured:
    """Read and measure one patient.

    Raises:
        CohortError: If a file is absent, or there is no cortex or nothing of a lesion in it.
        GeometryError: If the maps lie on different grids.
    """
    host, lesions = load_patient(job.cohort, job.subject)
    return measured_from(host, lesions, job.seed, job.growth_trials)


def measured_from(
    host: Host, lesions: tuple[Lesion, ...], seed: int = 0, growth_trials: int = 0
) -> Measured:
    """Measure lesions in their anatomy.

    Args:
        host: The patient's anatomy, its lesions not taken out.
        lesions: The lesions.
        seed: Seed of the ribbon sample and of the growths.
        growth_trials: Growths tried at the place of each lesion; 0 for none.
    """
    count = len(host.ribbon_vox)
    rng = np.random.default_rng([seed, zlib.crc32(host.subject.encode())])
    chosen = np.sort(rng.choice(count, min(count, RIBBON_SAMPLE), replace=False))
    everywhere = host.to_mni(host.ribbon_vox)
    seeds = host.to_mni(np.array([lesion.seed_vox for lesion in lesions]))
    points = [host.to_mni(spread(lesion.vox, POINTS_PER_LESION)) for lesion in lesions]
    lobes = np.zeros(len(LOBES), dtype=np.int64)
    sample = None
    if everywhere is not None:
        lobes = np.bincount(lobe_index(everywhere), minlength=len(LOBES))
        sample = everywhere[chosen].astype(np.float32)
    trials = [try_growths(host, lesion, growth_trials, seed) for lesion in lesions if growth_trials]
    return Measured(
        host.subject, tuple(lesions), seeds, tuple(p for p in points if p is not None),
        Ribbon(host.ribbon_rank[chosen], sample, lobes), tuple(trials),
    )  # fmt: skip


def spread(rows: ArrayLike, count: int) -> NDArray[np.int64]:
    """At most some rows of an array, evenly spaced, the first and the last among them."""
    table = np.asarray(rows)
    return np.asarray(table[np.unique(np.linspace(0, len(table) - 1, count).astype(int))])
