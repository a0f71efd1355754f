"""Do the evaluator's intervals cover, and does its heterogeneity test hold its level?

Simulated cohorts with known truth go through the very functions that evaluate uses. Run it alone
to print the figures; ``benchmarks/evaluation.py`` takes them from here.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np

from fcdsynth.core.subject import Group
from fcdsynth.evaluation.cases import ClusterRecord, Found, LesionRecord, SubjectRecord
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.heterogeneity import heterogeneity
from fcdsynth.evaluation.statistics.intervals import (
    Interval,
    bootstrap_ratio,
    clustered_proportion,
    mean_count,
)
from fcdsynth.evaluation.statistics.resampling import resampling_counts, strata_of

LEVEL = 0.05
RULE = Rule.OVERLAP
SITES = ("north", "south", "west")
BETWEEN = 0.3
"""Correlation of two subjects of one family (of one lesion found and the other found)."""


@dataclass(frozen=True)
class Places:
    """Patients at each site and their chance of being found there."""

    sizes: tuple[int, ...]
    sensitivity: tuple[float, ...]
    family_size: int = 1


NO_EFFECT = (
    Places((8, 8, 8), (0.6,) * 3),
    Places((20, 20, 20), (0.4,) * 3),
    Places((30, 30, 30), (0.8,) * 3),
    Places((30, 12, 8), (0.6,) * 3),
    Places((28, 9, 20), (0.5,) * 3),
    Places((30, 15), (0.7,) * 2),
    Places((12, 10, 9, 8, 15, 20), (0.6,) * 6),
    Places((24, 18, 20), (0.6,) * 3, family_size=2),
)
EFFECTS = {
    "0.8 against 0.4 and 0.6, 20 patients each": Places((20, 20, 20), (0.8, 0.6, 0.4)),
    "0.8 against 0.4 and 0.4, 20 patients each": Places((20, 20, 20), (0.8, 0.4, 0.4)),
    "0.8 against 0.4, 30 patients each": Places((30, 30), (0.8, 0.4)),
}


def heterogeneity_false_alarm(n_simulations: int, seed: int) -> tuple[int, int]:
    """Rejections at 0.05 of sensitivity without an effect, over the set-ups in turn."""
    by_place = false_alarms_by_place(n_simulations, seed)
    return sum(r for r, _ in by_place.values()), sum(n for _, n in by_place.values())


def false_alarms_by_place(
    n_simulations: int, seed: int, name: str = "subject_sensitivity"
) -> dict[Places, tuple[int, int]]:
    """Rejections and simulations of each set-up."""
    rng = np.random.default_rng(seed)
    found = dict.fromkeys(NO_EFFECT, (0, 0))
    for number in range(n_simulations):
        places = NO_EFFECT[number % len(NO_EFFECT)]
        rejected, n = found[places]
        found[places] = (rejected + (_p(places, rng, number, name) < LEVEL), n + 1)
    return found


def heterogeneity_power(n_simulations: int, seed: int) -> dict[str, tuple[int, int]]:
    """Rejections at 0.05 with a real difference between sites, by what differs."""
    rng = np.random.default_rng(seed)
    return {
        name: (
            sum(_p(places, rng, i, "subject_sensitivity") < LEVEL for i in range(n_simulations)),
            n_simulations,
        )
        for name, places in EFFECTS.items()
    }


def _p(places: Places, rng: np.random.Generator, seed: int, name: str) -> float:
    subjects = []
    for site, (size, share) in enumerate(zip(places.sizes, places.sensitivity, strict=True)):
        left, number = size, 0
        while left:
            members = min(left, places.family_size)
            family = f"{site}-{number}" if places.family_size > 1 else ""
            chance = _beta(rng, share, BETWEEN) if family else share
            rate = rng.gamma(2, 0.4) if family else 0.8
            for _ in range(members):
                hits = [rng.random() < chance]
                subjects.append(
                    patient(len(subjects), hits, rng.poisson(rate), f"site{site}", family)
                )
            left, number = left - members, number + 1
    tests = heterogeneity(subjects, "site", RULE, 1000, seed)
    p = next(test.p for test in tests if test.name == name)
    return 1.0 if p is None else p


def patient(
    number: int, hits: list[bool], false: int, site: str, family: str = ""
) -> SubjectRecord:
    """A patient with one lesion for each hit or miss and some false positives."""
    fates = [Found(i if hit else None, None, None, None, None, None) for i, hit in enumerate(hits)]
    origin = (0.0, 0.0, 0.0)
    lesions = tuple(
        LesionRecord(i, 1, 1.0, origin, "", "L", None, None, None, None, {RULE: fate})
        for i, fate in enumerate(fates, 1)
    )
    clusters = tuple(
        ClusterRecord(i, 0.5, 1, 1.0, origin, None, "", "L", None, {RULE: Role.FALSE})
        for i in range(false)
    )
    return SubjectRecord(
        id=f"p{number}", group=Group.PATIENT, origin="phantom", site=site, scanner="", subtype="",
        lobe="", mri_negative="", flair="3D", family=family, seen_site="", reference="truth",
        lesions=lesions, clusters=clusters, dice=None, whole_site=None, whole_mirror=None,
        ranked=True, brain=False, mirror_by="", random_in="", chance=None, bins=None,
    )  # fmt: skip


def bootstrap_coverage(n_simulations: int, seed: int) -> dict[str, tuple[int, int]]:
    """How often the 95 % interval of each figure holds the truth, with clustered data.

    Patients come in families (or anatomies) of one to six that share a random effect, all of one
    family at one of three sites; cohorts of about 60 patients in about 24 families and of about
    120 in about 35, in turn; sensitivities of 0.4, 0.6 and 0.8 in turn.
    """
    rng = np.random.default_rng(seed)
    held: dict[str, tuple[int, int]] = {}
    for number in range(n_simulations):
        share = (0.4, 0.6, 0.8)[number // 2 % 3]
        most, patients = ((4, 60), (6, 120))[number % 2]
        for name, (interval, truth) in _one_cohort(rng, number, patients, most, share).items():
            covered, n = held.get(name, (0, 0))
            low, high = interval.low, interval.high
            inside = low is not None and high is not None and low <= truth <= high
            held[name] = (covered + inside, n + 1)
    return held


def _one_cohort(
    rng: np.random.Generator, seed: int, patients: int, most: int, share: float
) -> dict[str, tuple[Interval, float]]:
    sizes: list[int] = []
    while sum(sizes) < patients:
        sizes.append(int(rng.integers(1, most + 1)))
    family = np.repeat(np.arange(len(sizes)), sizes)
    n = len(family)
    site = rng.integers(0, len(SITES), len(sizes))[family]
    strata = strata_of([("patient", SITES[i]) for i in site])
    counts = resampling_counts(strata, 2000, seed, [f"f{i}" for i in family])
    chance = np.array([_beta(rng, share, BETWEEN) for _ in sizes])[family]
    ones = np.ones(n)
    found = (rng.random(n) < chance).astype(float)
    lesions = 1.0 + (rng.random(n) < 0.2)
    caught = rng.binomial(lesions.astype(int), chance)
    # Overdispersed within and between families, as detectors are: 0.8 and 0.2 on average.
    many = rng.poisson(rng.gamma(2, 0.4, len(sizes))[family])
    few = rng.poisson(rng.gamma(2, 0.1, len(sizes))[family])
    sure = np.where(rng.random(n) < chance, rng.beta(8, 2, n), rng.beta(1, 8, n))
    return {
        "sensitivity": (clustered_proportion(found, ones, counts), share),
        "lesion recall": (clustered_proportion(caught, lesions, counts), share),
        "false positives per patient, 0.8": (mean_count(many, counts), 0.8),
        "false positives per patient, 0.2": (mean_count(few, counts), 0.2),
        "site probability": (
            bootstrap_ratio(sure, ones, counts),
            share * 8 / 10 + (1 - share) * 1 / 9,
        ),
    }


def _beta(rng: np.random.Generator, mean: float, correlation: float) -> float:
    total = 1 / correlation - 1
    return float(rng.beta(mean * total, (1 - mean) * total))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    words = parser.parse_args()
    start = time.perf_counter()
    for name, (covered, n) in bootstrap_coverage(words.simulations, words.seed).items():
        print(f"coverage of {name}: {covered / n:.3f}, n = {n}")
    for name in ("subject_sensitivity", "false_positives_per_patient"):
        alarms = false_alarms_by_place(words.simulations, words.seed, name)
        total = (sum(r for r, _ in alarms.values()), sum(n for _, n in alarms.values()))
        print(f"false alarms, {name}: {total[0] / total[1]:.3f}, n = {total[1]}")
        for places, (rejected, n) in alarms.items():
            print(f"  {places}: {rejected / n:.3f}, n = {n}")
    for name, (rejected, n) in heterogeneity_power(words.simulations // 5, words.seed).items():
        print(f"power, {name}: {rejected / n:.3f}, n = {n}")
    print(f"{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
