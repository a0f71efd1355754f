"""Do the evaluator's intervals cover, and does its heterogeneity test hold its level?

Simulated cohorts with known truth go through the very functions that evaluate uses. Run it alone
to print the figures; ``benchmarks/evaluation.py`` takes them from here.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from fcdsynth.core.subject import Group
from fcdsynth.evaluation.calibration import CLUSTER_BINS, Calibration, calibrations
from fcdsynth.evaluation.cases import ClusterRecord, Found, LesionRecord, SubjectRecord
from fcdsynth.evaluation.comparison import PairedFigure
from fcdsynth.evaluation.equal_rate import at_equal_rates
from fcdsynth.evaluation.fixed_rate import figure_name, recall_at_rates
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.metrics import Figure, Sums
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
    clusters = _clusters([(0.5, Role.FALSE)] * false)
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


def curve_coverage(n_simulations: int, seed: int) -> dict[str, tuple[int, int]]:
    """How often intervals of figures over score thresholds hold the truth.

    Cohorts of 60 patients and 60 controls, two arms on the same subjects: six and seven of ten
    lesions get a cluster of score Beta(5, 2), controls 2 false positives of score Beta(2, 3), so
    that curves reach the rates.
    """
    rng = np.random.default_rng(seed)
    held: dict[str, tuple[int, int]] = {}

    def note(name: str, interval: Figure | PairedFigure | Calibration, truth: float) -> None:
        covered, n = held.get(name, (0, 0))
        low, high = interval.low, interval.high
        inside = low is not None and high is not None and low <= truth <= high
        held[name] = (covered + inside, n + 1)

    edges = np.linspace(0, 1, CLUSTER_BINS + 1)
    # Per bin: the mean of Beta(a, b) below x is a / (a + b) times the share of Beta(a + 1, b).
    hits = 0.7 * np.diff(stats.beta(5, 2).cdf(edges))
    total = 0.7 * 5 / 7 * np.diff(stats.beta(6, 2).cdf(edges))
    total += 2 * 2 / 5 * np.diff(stats.beta(3, 3).cdf(edges))
    truth = float(np.abs(hits - total).sum() / (0.7 + 2))
    for number in range(n_simulations):
        arms = [[_scored(rng, i, share) for i in range(120)] for share in (0.6, 0.7)]
        sums = Sums(arms[1], "all", 1000, number)
        figures = {f.name: f for f in recall_at_rates(sums, RULE)}
        pairs = [([a], [b]) for a, b in zip(*arms, strict=True)]
        paired = {f.name: f for f in at_equal_rates(pairs, RULE, sums.counts, number)}
        for rate in (0.5, 1.0):
            name = figure_name(rate)
            kept = stats.beta(5, 2).sf(stats.beta(2, 3).isf(rate / 2))
            note(f"recall at {rate:g} per control", figures[name], 0.7 * kept)
            note(f"difference in recall at {rate:g}", paired[name], 0.1 * kept)
        clusters = [c for c in calibrations(arms[1], sums.counts) if c.rule == RULE.value]
        note("calibration error of clusters", clusters[0], truth)
    return held


def _scored(rng: np.random.Generator, number: int, share: float) -> SubjectRecord:
    """A patient (even number) with one lesion, or a control with false positives."""
    one = patient(number, [], 0, "north")
    if number % 2:
        roles = [(s, Role.FALSE) for s in rng.beta(2, 3, rng.poisson(2))]
        return replace(one, group=Group.CONTROL, clusters=_clusters(roles))
    score = rng.beta(5, 2) if rng.random() < share else None
    fate = Found(None if score is None else 1, score, None, None, None, None)
    lesion = replace(
        patient(number, [False], 0, "north").lesions[0], found=dict.fromkeys(Rule, fate)
    )
    roles = [] if score is None else [(score, Role.TRUE)]
    return replace(one, lesions=(lesion,), clusters=_clusters(roles))


def _clusters(roles: list[tuple[float, Role]]) -> tuple[ClusterRecord, ...]:
    origin = (0.0, 0.0, 0.0)
    return tuple(
        ClusterRecord(
            i, float(score), 1, 1.0, origin, None, "", "L", None, dict.fromkeys(Rule, role)
        )
        for i, (score, role) in enumerate(roles, 1)
    )


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
    for name, (covered, n) in curve_coverage(words.simulations // 2, words.seed).items():
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
