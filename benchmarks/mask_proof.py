"""Patients read once, dealt into those a prior is fitted on and those drawn masks are told from.

Groups of the classifier are label maps: every simulated head is one of a few label maps in another
pose, so two masks on one label map are no independent evidence whoever's they are, and patients
and controls do not have the maps in equal shares. A mask is so never told by a map that the
classifier has seen in training (`fcdsynth draw check` widens groups to families in the same way).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Subject
from fcdsynth.masks.host import Host
from fcdsynth.masks.laws.fit import prior_from
from fcdsynth.masks.laws.held_out import held_out_gain
from fcdsynth.masks.laws.lesions import lesions_of, load_patient
from fcdsynth.masks.laws.measured import Measured, measured_from
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.proof.examples import FEATURES, example_of
from fcdsynth.masks.ways.donor import Donor
from fcdsynth.measure.two_sample import classifier_auroc

JITTER = 0.5  # variance of the bootstrap's noise over that of the rows
# Values that a feature cannot pass; the bootstrap is mirrored there.
_BOUNDS = {"ln_sphericity": (-np.inf, 0.0), "ln_middle_ratio": (-np.inf, 0.0),
           "ln_short_ratio": (-np.inf, 0.0), "cortex_share": (0.0, 1.0),
           "mean_depth_mm": (0.0, np.inf), "solidity": (0.0, 1.0), "mni_abs_x_mm": (0.0, np.inf),
           "depth_rank": (0.0, 1.0)}  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """One piece of a mask within cortex and white matter.

    Args:
        features: In the order of `fcdsynth.masks.proof.examples.FEATURES`.
        outside: Share of the whole mask that is neither cortex nor white matter.
        subject: The patient, or the host it was drawn in.
        family: The subject's label map.
        donor: Patient whose lesion was transplanted or warped, else empty.
    """

    features: tuple[float, ...]
    outside: float
    subject: str
    family: str
    donor: str = ""


@dataclass(frozen=True, eq=False)
class Patient:
    """What one patient gives to the benchmark, read once.

    Args:
        measured: What a prior is fitted on or scored on.
        pieces: Every piece of the mask, as compared.
        donors: The lesions to transplant or not to copy.
    """

    measured: Measured
    pieces: tuple[Piece, ...]
    donors: tuple[Donor, ...]

    @property
    def subject(self) -> str:
        """Subject id."""
        return self.measured.subject


@dataclass(frozen=True, eq=False)
class Fit:
    """One dealing of the patients, with the prior of those it was fitted on.

    Args:
        prior: The prior.
        train: Patients behind it.
        held: All others.
        gain: Subject, lesion number and held-out log-likelihood gain of each lesion.
    """

    prior: LesionPrior
    train: tuple[Patient, ...]
    held: tuple[Patient, ...]
    gain: tuple[tuple[str, int, float], ...]


def read_patients(cohort: Cohort, trials: int, workers: int) -> list[Patient]:
    """Read all patients of a cohort, whatever their split.

    Args:
        cohort: The cohort.
        trials: Growths tried at each lesion.
        workers: Number of processes.
    """
    chosen = [s for s in cohort.subjects if s.is_patient]
    return map_items(partial(_read, cohort, trials), chosen, "reading patients", workers)


def _read(cohort: Cohort, trials: int, subject: Subject) -> Patient:
    host, lesions = load_patient(cohort, subject)
    found = [example_of(host, x, subject.id, False, subject.id) for x in lesions]
    return Patient(
        measured_from(host, lesions, 0, trials),
        tuple(Piece(e.features, e.outside, subject.id, subject.family) for e in found),
        tuple(Donor.of(host, x) for x in lesions),
    )


def pieces_of_mask(host: Host, mask: NDArray[np.bool_], family: str, donor: str = ""
                   ) -> tuple[Piece, ...]:  # fmt: skip
    """Every piece of a drawn mask, cut as the patients' masks are."""
    found = [example_of(host, x, host.subject, True, "") for x in lesions_of(host, mask)]
    return tuple(Piece(e.features, e.outside, host.subject, family, donor) for e in found)


def fit_splits(
    patients: Sequence[Patient], train: int, splits: int, seed: int, name: str, workers: int
) -> list[Fit]:
    """Deal the patients at random, again and again, and fit a prior each time."""
    jobs = []
    for number in range(splits):
        order = np.random.default_rng([seed, number, 3]).permutation(len(patients))
        jobs.append((tuple(patients[i] for i in np.sort(order[:train])),
                     tuple(patients[i] for i in np.sort(order[train:]))))  # fmt: skip
    found = map_items(partial(_fit, name), jobs, "fitting priors", workers)
    # The patients that come back from another process are copies; one of each is enough.
    return [replace(fit, train=a, held=b) for fit, (a, b) in zip(found, jobs, strict=True)]


def _fit(name: str, job: tuple[tuple[Patient, ...], tuple[Patient, ...]]) -> Fit:
    train, held = job
    prior = prior_from([p.measured for p in train], cohort=name)
    gain = held_out_gain(prior, [p.measured for p in held], resamples=1)
    return Fit(prior, (), (), gain.per_lesion)


def auroc(
    a: Sequence[Piece], b: Sequence[Piece], seed: int, by: str, outside: bool = False,
    name: str = "trees",
) -> float:  # fmt: skip
    """AUROC of the classifier two-sample test on features of shape and place.

    Args:
        a: First side.
        b: Second side.
        seed: Seed of folds and classifier.
        by: What groups the rows: ``family``, ``subject``, or ``donor`` (else the subject).
        outside: Whether the share outside cortex and white matter is one more feature.
        name: Which classifier.
    """

    def table(pieces: Sequence[Piece]) -> NDArray[np.float64]:
        return np.array([[*p.features, *([p.outside] if outside else [])] for p in pieces])

    def groups(pieces: Sequence[Piece]) -> list[str]:
        return [getattr(p, by) or p.subject for p in pieces]

    return classifier_auroc(table(a), table(b), seed, (groups(a), groups(b)), name)


def compare(
    by: str, job: tuple[Sequence[Patient], Sequence[Patient], dict[str, list[Piece]], int]
) -> dict[str, float]:  # fmt: skip
    """AUROC of every kind of mask against the held-out ones, for one dealing.

    Args:
        by: What groups the rows, see `auroc`.
        job: Patients fitted on, held-out patients, drawn pieces by way, and a seed.
    """
    train, held, drawn, seed = job
    real = [piece for p in held for piece in p.pieces]
    own = [piece for p in train for piece in p.pieces]
    found = {way: auroc(pieces, real, seed, by) for way, pieces in drawn.items()}
    growth = drawn["growth"]
    found["growth_with_outside_share"] = auroc(growth, real, seed, by, outside=True)
    found["growth_logistic"] = auroc(growth, real, seed, by, name="logistic")
    found["growth_by_subject"] = auroc(growth, real, seed, "subject")
    for way in ("transplant", "warped"):
        found[f"{way}_by_donor"] = auroc(drawn[way], real, seed, "donor")
    found["training"] = auroc(own, real, seed, by)
    found["real"] = auroc(*halves([*train, *held], seed), seed, by)
    found["bootstrap"] = auroc(bootstrapped(own, len(held), seed), real, seed, by)
    return found


def halves(patients: Sequence[Patient], seed: int) -> tuple[list[Piece], list[Piece]]:
    """Masks of half of the patients, and of the others, dealt at random."""
    order = np.random.default_rng([seed, 4]).permutation(len(patients))
    half = len(patients) // 2
    first, second = ([piece for i in part for piece in patients[i].pieces]
                     for part in (order[:half], order[half:]))  # fmt: skip
    return first, second


def bootstrapped(pieces: Sequence[Piece], count: int, seed: int) -> list[Piece]:
    """Rows of a plain smoothed bootstrap: what sampling a few patients alone costs.

    Rows are drawn with replacement, Gaussian noise of half their covariance is added, and the sum
    is drawn in about the mean so that the covariance stays. Every row is its own group.
    """
    rng = np.random.default_rng([seed, 5])
    rows = np.array([p.features for p in pieces])
    mean, spread = rows.mean(axis=0), np.cov(rows, rowvar=False)
    picks = rows[rng.integers(len(rows), size=count)]
    noise = rng.multivariate_normal(np.zeros(rows.shape[1]), JITTER * spread, count)
    values = mean + (picks - mean + noise) / np.sqrt(1 + JITTER)
    for column, name in enumerate(FEATURES):
        low, high = _BOUNDS.get(name, (-np.inf, np.inf))
        values[:, column] = np.where(values[:, column] < low, 2 * low - values[:, column],
                                     values[:, column])  # fmt: skip
        values[:, column] = np.where(values[:, column] > high, 2 * high - values[:, column],
                                     values[:, column])  # fmt: skip
    names = [f"row {n}" for n in range(count)]
    return [Piece(tuple(row), 0.0, n, n) for row, n in zip(values.tolist(), names, strict=True)]
