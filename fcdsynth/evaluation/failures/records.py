"""The records of a failure review: missed lesions, places of false positives, totals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from fcdsynth.evaluation.cases import ClusterRecord, LesionRecord, SubjectRecord
from fcdsynth.evaluation.failures.places import HotSpot
from fcdsynth.evaluation.failures.tracing import Tracing
from fcdsynth.evaluation.rules import Rule


class Change(StrEnum):
    """What the second arm did to a failure of the first, or the first to one of the second.

    ``introduced``: in at least half of the second arm's runs and in none of the first's.
    ``removed``: the reverse. ``kept``: in at least half of the runs of both. ``unclear``: in
    some runs, but none of these. ``absent``: in no run of the two. With one run an arm there are
    no unclear ones.
    """

    INTRODUCED = "introduced"
    REMOVED = "removed"
    KEPT = "kept"
    UNCLEAR = "unclear"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Count:
    """In how many runs of an arm a failure occurred.

    Args:
        arm: Name of the arm.
        count: Runs with the failure.
        n: Runs of the arm that looked at the subject.
    """

    arm: str
    count: int
    n: int


class _Failure:
    """What a miss and a place of a false positive have in common."""

    __slots__ = ()
    arms: tuple[Count, ...]

    @property
    def count(self) -> int:
        """Runs in which it occurs."""
        return sum(arm.count for arm in self.arms)

    @property
    def repeated(self) -> bool:
        """Whether it occurs again and again, see `is_repeated`."""
        return is_repeated(self.arms)


@dataclass(frozen=True, slots=True)
class Miss(_Failure):
    """A lesion that at least one run missed.

    Args:
        subject: Its subject in one of the runs: group, site, subtype and so on.
        lesion: The lesion in one of the runs.
        site_max: Highest voxel probability inside it over all runs, None for maps without
            probabilities.
        arms: In how many runs of each arm it was missed.
        change: What the compared arms did to it, None without a comparison.
    """

    subject: SubjectRecord
    lesion: LesionRecord
    site_max: float | None
    arms: tuple[Count, ...]
    change: Change | None


@dataclass(frozen=True, slots=True)
class FalsePlace(_Failure):
    """A place of one subject at which at least one run has a false positive.

    Args:
        subject: The subject in one of the runs.
        cluster: Its cluster of the highest score over the runs; centre, volume, lobe and side
            are this cluster's.
        arms: In how many runs of each arm a false positive lies there.
        change: What the compared arms did to it, None without a comparison.
    """

    subject: SubjectRecord
    cluster: ClusterRecord
    arms: tuple[Count, ...]
    change: Change | None


@dataclass(frozen=True, slots=True)
class Tally:
    """Failures of one kind by what the second arm did to them.

    Args:
        kind: ``missed lesions``, ``false positives in patients`` or ``... in controls``.
        introduced: Failures that came with the second arm.
        removed: Failures that went with it.
        kept: Failures of both.
        unclear: Failures on which the seeds disagree.
        worse_subjects: Ids of subjects with more introduced than removed.
        better_subjects: Ids of subjects with more removed than introduced.
        p: Two-sided exact sign test of the two numbers of subjects.
    """

    kind: str
    introduced: int
    removed: int
    kept: int
    unclear: int
    worse_subjects: tuple[str, ...]
    better_subjects: tuple[str, ...]
    p: float


@dataclass(frozen=True, slots=True)
class Failures:
    """The failure review of several runs.

    Args:
        rule: Rule that decides what is missed and what is false.
        runs: Names of the runs.
        compare: The compared arms, without and with what is on trial; None for none.
        misses: Every lesion missed by a run, most often missed first, then the largest.
        places: Every place of a false positive, most runs first, then the highest score.
        hot_spots: Places in MNI at which several subjects have a false positive.
        n_without_mni: Places left out of the hot spots for want of MNI coordinates.
        tallies: Totals by change, empty without a comparison.
        tracing: Distances to synthetic training lesions, None when none were given.
    """

    rule: Rule
    runs: tuple[str, ...]
    compare: tuple[str, str] | None
    misses: tuple[Miss, ...]
    places: tuple[FalsePlace, ...]
    hot_spots: tuple[HotSpot, ...]
    n_without_mni: int
    tallies: tuple[Tally, ...]
    tracing: Tracing | None


def arm_of(run: str) -> str:
    """The arm of a run: what stands before the first slash of its name."""
    return run.partition("/")[0]


def is_repeated(arms: Sequence[Count]) -> bool:
    """Whether a failure occurs in at least half of the runs and in at least two.

    With a single run every failure counts as repeated: there is nothing to tell them apart.
    """
    count, n = sum(arm.count for arm in arms), sum(arm.n for arm in arms)
    return count >= max(min(2, n), math.ceil(n / 2))
