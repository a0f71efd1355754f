"""Drawn against real masks: tests on all of them, equal numbers beside, and copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fcdsynth.masks.proof.arrays import FEWEST, Masks, require_enough, samples
from fcdsynth.masks.proof.copies import Copies, find_copies
from fcdsynth.masks.proof.examples import FEATURES, PLACE_COLUMNS, SHAPE_COLUMNS, Example
from fcdsynth.masks.proof.matched import Matched, compare_matched
from fcdsynth.measure.two_sample import (
    CLASSIFIERS,
    HEADLINE,
    ClassifierTest,
    CountTest,
    DistanceTest,
    FeatureTest,
    Neighbours,
    classifier_test,
    count_test,
    energy_test,
    feature_tests,
    mmd_test,
    neighbours,
)

_DEALINGS = 5  # how often the folds are dealt for the figure on all masks
_MOST_FOREST_SHUFFLES = 99  # one shuffle trains five forests


@dataclass(frozen=True)
class Comparison:
    """Everything that was compared with one set of real masks.

    Args:
        name: What the set is called.
        drawn: The drawn masks.
        real: The real ones.
        features: Tests feature by feature, all masks.
        shape: Maximum mean discrepancy of the shape features, all masks.
        place: Energy distance of the place features; None where MNI is known of fewer than 8.
        lobes: Lobes of all masks, None likewise.
        sides: Sides of all masks.
        classifiers: Classifier tests on all features, all masks.
        with_outside: AUROC of the headline classifier that also sees what share of the given
            mask lies outside cortex and white matter.
        near: Density and coverage of the drawn masks about the real ones.
        matched: The same on equal numbers, real against real beside.
        copies: The search for copies, None where masks are too few or too small.
    """

    name: str
    drawn: tuple[Example, ...]
    real: tuple[Example, ...]
    features: tuple[FeatureTest, ...]
    shape: DistanceTest
    place: DistanceTest | None
    lobes: CountTest | None
    sides: CountTest
    classifiers: Mapping[str, ClassifierTest]
    with_outside: float
    near: Neighbours
    matched: Matched
    copies: Copies | None

    @property
    def headline(self) -> ClassifierTest:
        """The classifier test that the verdict is about."""
        return self.classifiers[HEADLINE]


def compare(
    name: str,
    drawn: Sequence[Example],
    real: Sequence[Example],
    repeats: int = 20,
    permutations: int = 999,
    seed: int = 0,
    workers: int = 1,
) -> Comparison:
    """Compare drawn with real masks.

    Args:
        name: What the real masks are called.
        drawn: Drawn masks.
        real: Real masks.
        repeats: Number of splits of the real masks.
        permutations: Number of shuffles of each p value (at most 99 for the trees).
        seed: Seed of splits, shuffles and classifiers.
        workers: Number of processes.

    Raises:
        CohortError: If a side has too few masks, see `require_enough`.
    """
    d, r = Masks.of(drawn), Masks.of(real)
    require_enough(d, r)
    both = samples(d, r)
    placed, lobes = None, None
    known = d.placed, r.placed
    if min(len(known[0]), len(known[1])) >= FEWEST:
        placed = energy_test(samples(*known, PLACE_COLUMNS), permutations, seed)
        groups = (known[0].groups, known[1].groups)
        lobes = count_test(known[0].lobes, known[1].lobes, permutations, seed, groups)
    shuffles = {"trees": min(permutations, _MOST_FOREST_SHUFFLES), "logistic": permutations}
    return Comparison(
        name,
        tuple(drawn),
        tuple(real),
        feature_tests(d.values, r.values, FEATURES),
        mmd_test(samples(d, r, SHAPE_COLUMNS), permutations, seed),
        placed,
        lobes,
        count_test(d.sides, r.sides, permutations, seed, (d.groups, r.groups)),
        {k: classifier_test(both, k, seed, _DEALINGS, shuffles[k]) for k in CLASSIFIERS},
        classifier_test(samples(d, r, outside=True), HEADLINE, seed, _DEALINGS).auroc,
        neighbours(both),
        compare_matched(d, r, repeats, seed, workers),
        find_copies(drawn, real),
    )
