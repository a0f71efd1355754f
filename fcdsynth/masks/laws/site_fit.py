"""Choose bandwidth, lobe weight and mirror share of the site law by leaving patients out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.masks.laws.density import kernel_density, smoothed, value_at
from fcdsynth.masks.laws.measured import Measured
from fcdsynth.masks.laws.site import SiteLaw, lobe_factor, mixed
from fcdsynth.masks.laws.size import FULL_TRUST_AT
from fcdsynth.measure.lobes import BONN_LOBES, LOBES, lobe_index

FWHM_MM = (8.0, 10.0, 12.0, 16.0, 20.0, 24.0, 32.0, 40.0)
MIRROR = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
LOBE_WEIGHT = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FEWEST = 5
_DEFAULT = (16.0, 1.0, 0.5)
_LEAST = 1e-12  # stands for 0 where a given lobe weight is 0 and no lesion reaches a seed


@dataclass(frozen=True)
class Setting:
    """Bandwidth (mm), lobe weight and mirror share with what they give.

    Args:
        fwhm_mm: Bandwidth.
        lobe_weight: Share of the lobes in the mixture.
        mirror: Share of a lesion's density that goes to the other side.
        gain: Mean over lesions of ln P(seed voxel) less that of an even draw from the patient's
            ribbon, each patient's seeds under the lesions of all others.
    """

    fwhm_mm: float
    lobe_weight: float
    mirror: float
    gain: float


@dataclass(frozen=True, eq=False)
class SiteFit:
    """A fitted site law.

    Args:
        law: The law.
        curve: The best setting of each bandwidth tried; empty where nothing was chosen.
        ribbon: By subject, what the law of all other patients gives to the sample of its ribbon,
            relative to an even draw, shape (m,); for patients of known position.
        seeds: By subject, the same at its seeds, shape (k,).
    """

    law: SiteLaw
    curve: tuple[Setting, ...]
    ribbon: dict[str, NDArray[np.float64]]
    seeds: dict[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class _Left:
    """One patient under the lesions of all others; kernels are of one bandwidth."""

    subject: str
    seed_kernel: tuple[NDArray[np.float64], NDArray[np.float64]]
    ribbon_kernel: tuple[NDArray[np.float64], NDArray[np.float64]]
    seed_even: NDArray[np.float64]
    ribbon_even: NDArray[np.float64]

    def at(self, mirror: float, lobe_weight: float, seeds: bool) -> NDArray[np.float64]:
        own, other = self.ribbon_kernel
        mean = float(((1 - mirror) * own + mirror * other).mean())
        even = self.seed_even if seeds else self.ribbon_even
        own, other = self.seed_kernel if seeds else self.ribbon_kernel
        return mixed((1 - mirror) * own + mirror * other, mean, even, lobe_weight)


def fit_site(
    patients: Sequence[Measured],
    fwhm_mm: float | None = None,
    lobe_weight: float | None = None,
    mirror: float | None = None,
) -> SiteFit:
    """Fit the site law.

    Each setting's likelihood is of every lesion's seed voxel among the voxels of its patient's
    own ribbon, under the law of all other patients' lesions (leave one out; Duin 1976). What is
    given is not chosen. The lobe shares are the mean of a Dirichlet law whose parameters are
    Bonn's shares times 20 patients plus the training lesions' counts; they keep a weight of at
    least 5 / (5 + lesions), so that no place of the cortex is ruled out by few lesions. Below 5
    lesions of known position nothing can be chosen: the lobes decide alone unless told else.

    Args:
        patients: The training patients.
        fwhm_mm: Bandwidth in mm.
        lobe_weight: Share of the lobes in the mixture.
        mirror: Share of a lesion's density that goes to the other side.

    Raises:
        SettingsError: If a given value is out of range.
    """
    placed = [p for p in patients if p.seeds_mm is not None]
    lesions = [points for p in placed for points in p.points_mm]
    counts = np.array([_lobe_counts(p) for p in placed]).reshape(-1, len(LOBES))
    lobes = _lobes(counts.sum(axis=0))
    given = (fwhm_mm, lobe_weight, mirror)
    fwhm, weight, share = (d if g is None else g for g, d in zip(given, _DEFAULT, strict=True))
    curve: tuple[Setting, ...] = ()
    if len(lesions) >= FEWEST and len(placed) > 1:
        least = FEWEST / (FEWEST + len(lesions))
        weights = (least, *(w for w in LOBE_WEIGHT if w > least))
        curve = tuple(
            max(_settings(placed, counts, one, weights, given), key=lambda s: s.gain)
            for one in (FWHM_MM if fwhm_mm is None else (fwhm_mm,))
        )
        best = max(reversed(curve), key=lambda s: s.gain)  # the wider of two equal ones
        fwhm, weight, share = best.fwhm_mm, best.lobe_weight, best.mirror
    if not lesions:
        weight = 1.0
    density = kernel_density(lesions, fwhm, share) if weight < 1 else None
    # Made first: it refuses given values that are out of range.
    law = SiteLaw(density, fwhm, weight, share, lobes)
    left = list(_left_out(placed, counts, fwhm)) if len(placed) > 1 else []
    return SiteFit(
        law, curve,
        {one.subject: one.at(share, weight, seeds=False) for one in left},
        {one.subject: one.at(share, weight, seeds=True) for one in left},
    )  # fmt: skip


def _settings(
    placed: Sequence[Measured], counts: NDArray[np.int64], fwhm_mm: float,
    weights: Sequence[float], given: tuple[float | None, float | None, float | None],
) -> Iterator[Setting]:  # fmt: skip
    """Every setting of one bandwidth; the earlier of two equal ones is the smoother."""
    left = list(_left_out(placed, counts, fwhm_mm))
    for weight in sorted(weights, reverse=True) if given[1] is None else (given[1],):
        for mirror in sorted(MIRROR, reverse=True) if given[2] is None else (given[2],):
            found = np.concatenate([one.at(mirror, weight, seeds=True) for one in left])
            gain = float(np.log(np.maximum(found, _LEAST)).mean())
            yield Setting(fwhm_mm, round(weight, 4), mirror, round(gain, 4))


def _left_out(
    placed: Sequence[Measured], counts: NDArray[np.int64], fwhm_mm: float
) -> Iterator[_Left]:
    own = [
        np.sum([smoothed(points, fwhm_mm) for points in p.points_mm], axis=0, dtype=np.float32)
        for p in placed
    ]
    # In double precision, so that taking one patient out again leaves nothing of it.
    total = np.sum(own, axis=0, dtype=np.float64)
    all_counts = counts.sum(axis=0)
    for patient, mine, count in zip(placed, own, counts, strict=True):
        others = (total - mine).clip(0).astype(np.float32)
        ribbon, seeds = patient.ribbon.points_mm, patient.seeds_mm
        if ribbon is None or seeds is None:
            continue
        factor = lobe_factor(_lobes(all_counts - count), patient.ribbon.voxels_per_lobe)
        yield _Left(
            patient.subject,
            _both_sides(others, seeds), _both_sides(others, ribbon),
            factor[lobe_index(seeds)], factor[lobe_index(ribbon)],
        )  # fmt: skip


def _both_sides(
    array: NDArray[np.float32], points_mm: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return value_at(array, points_mm), value_at(array[::-1], points_mm)


def _lobe_counts(patient: Measured) -> NDArray[np.int64]:
    return np.bincount(lobe_index(patient.seeds_mm), minlength=len(LOBES))  # type: ignore[arg-type]


def _lobes(counts: NDArray[np.int64]) -> tuple[float, ...]:
    bonn = np.array([BONN_LOBES[name] for name in LOBES], dtype=float)
    weight = FULL_TRUST_AT * bonn / bonn.sum() + counts
    return tuple(round(float(w), 4) for w in weight / weight.sum())
