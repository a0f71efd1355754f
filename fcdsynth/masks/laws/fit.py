"""Fit the lesion prior on the masks of training patients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Subject
from fcdsynth.masks.laws.depth import Choice, fit_depth
from fcdsynth.masks.laws.growths import TRIALS, fit_growths
from fcdsynth.masks.laws.lesions import Lesion
from fcdsynth.masks.laws.measured import Measured, MeasureJob, measure_patient
from fcdsynth.masks.laws.number import fit_number
from fcdsynth.masks.laws.prior import (
    DEFAULT_RIBBON_FLOOR,
    PUBLISHED_SUBTYPES,
    PUBLISHED_TRACK_SHARE,
    LesionPrior,
)
from fcdsynth.masks.laws.report import FitReport, versions
from fcdsynth.masks.laws.shapes import fit_shapes
from fcdsynth.masks.laws.site_fit import SiteFit, fit_site
from fcdsynth.masks.laws.size import FULL_TRUST_AT, fit_size
from fcdsynth.measure.shape import DESCRIPTORS

_FEWEST_FOR_FLOOR = 10
_HIGHEST_FLOOR = 0.5
_CORTEX_SHARE = DESCRIPTORS.index("cortex_share")


def fit_prior(
    cohort: Cohort,
    patients: Sequence[Subject],
    fwhm_mm: float | None = None,
    lobe_weight: float | None = None,
    mirror: float | None = None,
    seed: int = 0,
    workers: int = 1,
    growth_trials: int = TRIALS,
) -> LesionPrior:
    """Fit a prior; what is given of the site law is not chosen by likelihood.

    Args:
        cohort: A prepared cohort.
        patients: Its training patients; none gives the published prior.
        fwhm_mm: Bandwidth of the site law in mm.
        lobe_weight: Share of the lobes in the site law.
        mirror: Share of a lesion's density that goes to the other side.
        seed: Seed of everything random.
        workers: Number of processes.
        growth_trials: Growths tried at the place of each lesion; 0 leaves growth as it is by
            default.

    Raises:
        CohortError: If a patient's files cannot be used.
        SettingsError: If a given value is out of range.
    """  # fmt: skip
    measured = measure_patients(cohort, patients, seed, workers, growth_trials)
    return prior_from(measured, fwhm_mm, lobe_weight, mirror, seed, cohort.name)


def measure_patients(
    cohort: Cohort, patients: Sequence[Subject], seed: int = 0, workers: int = 1,
    growth_trials: int = TRIALS,
) -> list[Measured]:  # fmt: skip
    """Read and measure patients, each once; see `measure_patient`."""
    jobs = [MeasureJob(cohort, patient, seed, growth_trials) for patient in patients]
    return map_items(measure_patient, jobs, "measuring training lesions", workers)


def prior_from(
    patients: Sequence[Measured],
    fwhm_mm: float | None = None,
    lobe_weight: float | None = None,
    mirror: float | None = None,
    seed: int = 0,
    cohort: str = "",
) -> LesionPrior:
    """Fit a prior on measured patients; none gives the published prior.

    Counts of subtypes shrink to the published shares by 20 patients' worth of these. The floors
    of the tests are quantiles of the training lesions: 5 % of the share of cortex (R2), 1 % of
    the site law at each lesion's seed under the lesions of all other patients (R7). The share of
    tracks is that of IIb masks that reach a ventricle, shrunk to the published one by n / 20.
    """
    if not patients:
        return LesionPrior()
    lesions = [lesion for patient in patients for lesion in patient.lesions]
    site = fit_site(patients, fwhm_mm, lobe_weight, mirror)
    shares = [lesion.shape.descriptors()[_CORTEX_SHARE] for lesion in lesions]
    floor = DEFAULT_RIBBON_FLOOR
    if len(lesions) >= _FEWEST_FOR_FLOOR:
        floor = min(_HIGHEST_FLOOR, float(np.quantile(shares, 0.05)))
    return LesionPrior(
        size=fit_size([lesion.volume_ml for lesion in lesions], seed),
        number=fit_number([len({x.outline for x in patient.lesions}) for patient in patients]),
        site=site.law,
        depth=fit_depth(_choices(patients, site)),
        shapes=fit_shapes([lesion.shape for lesion in lesions]),
        growths=fit_growths(
            [pair for p in patients for pair in zip(p.lesions, p.trials, strict=bool(p.trials))]
        ),
        subtypes=_subtypes(patients),
        track_share=_track_share(lesions),
        ribbon_floor=floor,
        site_floor=_site_floor(site),
        fitted_on=tuple(sorted(patient.subject for patient in patients)),
        report=FitReport(
            cohort, len(patients), len(lesions),
            sum(len(p.lesions) for p in patients if p.seeds_mm is not None),
            seed, versions(), site.curve,
        ),
    )  # fmt: skip


def _choices(patients: Sequence[Measured], site: SiteFit) -> list[Choice]:
    """Each seed among its ribbon, under the site law of all other patients where there is one."""
    return [
        choice
        for patient in patients
        for choice in patient.choices(
            site.ribbon.get(patient.subject, np.ones(len(patient.ribbon.ranks)))
        )
    ]


def _site_floor(site: SiteFit) -> float | None:
    found = np.concatenate([np.zeros(0), *site.seeds.values()])
    if len(found) < _FEWEST_FOR_FLOOR:
        return None
    floor = float(np.quantile(found, 0.01))
    return round(float(np.log(floor)), 4) if floor > 0 else None


def _subtypes(patients: Sequence[Measured]) -> tuple[tuple[str, float], ...]:
    known = Counter(p.lesions[0].subtype for p in patients if p.lesions[0].subtype)
    published = dict(PUBLISHED_SUBTYPES)
    total = sum(known.values()) + FULL_TRUST_AT
    return tuple(
        (name, (known[name] + FULL_TRUST_AT * published.get(name, 0.0)) / total)
        for name in sorted({*known, *published})
    )


def _track_share(lesions: Sequence[Lesion]) -> float:
    """Of IIb masks that were outlined up to the ventricle: what is drawn are outlines."""
    known = [lesion.to_ventricle for lesion in lesions if lesion.subtype == "IIb"]
    weight = min(1.0, len(known) / FULL_TRUST_AT)
    found = float(np.mean(known)) if known else 0.0
    return weight * found + (1 - weight) * PUBLISHED_TRACK_SHARE
