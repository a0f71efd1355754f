"""How well a prior foresees where lesions of other patients start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import CohortError
from fcdsynth.masks.laws.measured import Measured
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.laws.site import SiteLaw, lobe_factor, mixed
from fcdsynth.measure.lobes import lobe_index


@dataclass(frozen=True)
class Gain:
    """Held-out log-likelihood of seed voxels over that of an even draw from the ribbon.

    Args:
        mean: Mean of ln P(seed) - ln(1 / ribbon voxels) over the lesions, in nats.
        low: Lower end of its 95 % interval (percentiles of a bootstrap over patients).
        high: Upper end.
        site: The part of the mean that the site law has alone, without the depth slope.
        n_lesions: Number of lesions.
        n_patients: Number of patients.
        per_lesion: The values, by subject and lesion number.
    """

    mean: float
    low: float
    high: float
    site: float
    n_lesions: int
    n_patients: int
    per_lesion: tuple[tuple[str, int, float], ...]


def site_ratios(law: SiteLaw, patient: Measured) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a site law gives to a patient's seeds and ribbon sample, over an even draw.

    Ones where the patient's MNI position is unknown.

    Returns:
        At the seeds, shape (k,), and at the sample of the ribbon, shape (m,).
    """
    ribbon, seeds = patient.ribbon.points_mm, patient.seeds_mm
    if ribbon is None or seeds is None:
        return np.ones(len(patient.lesions)), np.ones(len(patient.ribbon.ranks))
    factor = lobe_factor(law.lobes, patient.ribbon.voxels_per_lobe)
    even_seeds, even_ribbon = factor[lobe_index(seeds)], factor[lobe_index(ribbon)]
    if law.density is None:
        return even_seeds, even_ribbon
    kernel = law.density.at(ribbon)
    mean = float(kernel.mean())
    return (
        mixed(law.density.at(seeds), mean, even_seeds, law.lobe_weight),
        mixed(kernel, mean, even_ribbon, law.lobe_weight),
    )


def held_out_gain(
    prior: LesionPrior, patients: Sequence[Measured], seed: int = 0, resamples: int = 2000
) -> Gain:
    """Score a prior on patients that it was not fitted on.

    P is what drawing samples seeds from: the site law times the depth slope (`DepthSlope`), over
    the patient's own ribbon, with the volume of the lesion.

    Args:
        prior: The prior.
        patients: Patients outside ``prior.fitted_on``; see `measured_from`.
        seed: Seed of the bootstrap.
        resamples: Number of bootstrap samples.

    Raises:
        CohortError: If there is no patient, or the prior was fitted on one of them.
    """
    known = set(prior.fitted_on).intersection(p.subject for p in patients)
    if not patients or known:
        found = f"{sorted(known)[0]}, which it was fitted on" if known else "no patient"
        raise CohortError("held-out patients", found, "patients that the prior has not seen",
                          "Give others.")  # fmt: skip
    whole, alone = [], []
    for patient in patients:
        at_seeds, at_ribbon = site_ratios(prior.site, patient)
        with np.errstate(divide="ignore"):
            # The sample's mean is near 1; dividing makes the law sum to 1 on the sample.
            site = np.log(at_seeds) - np.log(at_ribbon.mean())
        alone.append(site)
        whole.append(site + [
            choice.log_gain(prior.depth) for choice in patient.choices(at_ribbon)
        ])  # fmt: skip
    sums, sizes = np.array([g.sum() for g in whole]), np.array([len(g) for g in whole])
    picks = np.random.default_rng(seed).integers(len(whole), size=(resamples, len(whole)))
    low, high = np.quantile(sums[picks].sum(axis=1) / sizes[picks].sum(axis=1), [0.025, 0.975])
    values = np.concatenate(whole)
    names = [(p.subject, lesion.number) for p in patients for lesion in p.lesions]
    return Gain(
        float(values.mean()), float(low), float(high), float(np.concatenate(alone).mean()),
        len(values), len(whole),
        tuple((name, number, float(v)) for (name, number), v in zip(names, values, strict=True)),
    )  # fmt: skip
