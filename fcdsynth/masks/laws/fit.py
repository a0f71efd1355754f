"""Fit the lesion prior on the masks of training patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.progress import track
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import read_labels, read_mask, read_volume
from fcdsynth.masks.depth_rank import depth_rank
from fcdsynth.masks.host import read_mni
from fcdsynth.masks.laws.depth import fit_depth
from fcdsynth.masks.laws.prior import (
    DEFAULT_RIBBON_FLOOR,
    PUBLISHED_SUBTYPES,
    PUBLISHED_TRACK_SHARE,
    LesionPrior,
)
from fcdsynth.masks.laws.site import Point, SiteLaw, spread_points
from fcdsynth.masks.laws.size import FULL_TRUST_AT, fit_size

_FEWEST_FOR_FLOOR = 10
_HIGHEST_FLOOR = 0.5


@dataclass(frozen=True)
class Example:
    """What one training lesion teaches.

    Args:
        subject: Subject id.
        volume_ml: Volume of the mask, ml.
        rank: Depth rank in [0, 1] at the ribbon voxel nearest to the mask's centroid.
        ribbon_fraction: Share of the mask labelled cortex.
        points_mm: Some of its points in MNI, empty when the position is unknown.
        subtype: Histological subtype, or empty.
    """

    subject: str
    volume_ml: float
    rank: float
    ribbon_fraction: float
    points_mm: tuple[Point, ...]
    subtype: str


def measure_example(cohort: Cohort, subject: Subject) -> Example:
    """Measure one training lesion.

    Raises:
        CohortError: If a file is absent, the mask is empty or there is no cortex.
        GeometryError: If the maps lie on different grids.
    """
    lesion = read_mask(cohort.path(subject, "lesion"))
    tissue = read_labels(cohort.path(subject, "tissue"))
    depth = read_volume(cohort.path(subject, "depth"))
    for key, volume in (("tissue", tissue), ("depth", depth)):
        lesion.grid.require_same(volume.grid, f"{subject.id} {key}", "Prepare the subject again.")
    cortex = tissue.array == Tissue.CORTEX
    for name, mask in (("lesion", lesion.array), ("cortex", cortex)):
        if not mask.any():
            raise CohortError(subject.id, f"no {name} voxel", "a lesion mask and a cortex",
                              "Prepare the subject again or leave it out.")  # fmt: skip
    spacing = lesion.grid.spacing_mm
    ranks = depth_rank(depth.array, cortex, spacing)
    voxels = np.argwhere(lesion.array)
    both = lesion.array & cortex
    ribbon = np.argwhere(both if both.any() else cortex)
    away = np.linalg.norm((ribbon - voxels.mean(axis=0)) * spacing, axis=1)
    mni = read_mni(cohort, subject)
    points: tuple[Point, ...] = ()
    if mni is not None:
        points = spread_points(lesion.grid.to_mm(voxels) @ mni[:3, :3].T + mni[:3, 3])
    return Example(
        subject.id,
        float(len(voxels) * lesion.grid.voxel_ml),
        float(ranks[tuple(ribbon[int(np.argmin(away))])]),
        float(cortex[lesion.array].mean()),
        points,
        subject.subtype,
    )


def fit_prior(
    cohort: Cohort,
    patients: Sequence[Subject],
    fwhm_mm: float = 16.0,
    lobe_weight: float | None = None,
) -> LesionPrior:
    """Fit a prior.

    Counts shrink to the published shares as the size law does: subtype shares are those of the
    patients plus 20 patients' worth of the published ones, and the lobe prior keeps a weight of
    20 / (20 + n) in the site law unless one is given.

    Args:
        cohort: A prepared cohort.
        patients: Its training patients; none gives the published prior.
        fwhm_mm: Bandwidth of the site law.
        lobe_weight: Weight of the lobe prior in the site law.

    Raises:
        CohortError: If a patient's files cannot be used.
    """  # fmt: skip
    if not patients:
        return LesionPrior()
    examples = [measure_example(cohort, s) for s in track(patients, "measuring training lesions")]
    return prior_from(examples, fwhm_mm, lobe_weight)


def prior_from(
    examples: Sequence[Example], fwhm_mm: float = 16.0, lobe_weight: float | None = None
) -> LesionPrior:
    """Fit a prior on measured examples; see `fit_prior`."""
    volumes = [e.volume_ml for e in examples]
    placed = tuple(e.points_mm for e in examples if e.points_mm)
    if lobe_weight is None or not placed:
        lobe_weight = FULL_TRUST_AT / (FULL_TRUST_AT + len(placed))
    known = Counter(e.subtype for e in examples if e.subtype)
    names = sorted({*known, *(name for name, _ in PUBLISHED_SUBTYPES)})
    published = dict(PUBLISHED_SUBTYPES)
    total = sum(known.values()) + FULL_TRUST_AT
    floor = DEFAULT_RIBBON_FLOOR
    if len(examples) >= _FEWEST_FOR_FLOOR:
        floor = min(_HIGHEST_FLOOR, float(np.quantile([e.ribbon_fraction for e in examples], 0.05)))
    return LesionPrior(
        size=fit_size(volumes),
        site=SiteLaw(placed, fwhm_mm, lobe_weight),
        depth=fit_depth([e.rank for e in examples], volumes),
        subtypes=tuple(
            (name, (known[name] + FULL_TRUST_AT * published.get(name, 0.0)) / total)
            for name in names
        ),
        track_share=PUBLISHED_TRACK_SHARE,
        ribbon_floor=floor,
        fitted_on=tuple(sorted(e.subject for e in examples)),
    )
