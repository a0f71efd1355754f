"""Who is evaluated, and what stops an evaluation before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.subject import Origin, Split, Subject
from fcdsynth.evaluation.source import Source


def admit(source: Source, cohort: Cohort, test_only: bool = False) -> list[Subject]:
    """The subjects of a run that are evaluated, in the order of its maps.

    Args:
        source: The run.
        cohort: The table.
        test_only: Leave all but the split test aside, as a locked plan does.

    Raises:
        CohortError: If a subject is synthetic, or if some but not all of the test subjects have
            a map; under a locked plan, if none has.
        LeakageError: As `Source.check_unseen`.
    """
    rows = {subject.id: subject for subject in cohort.subjects}
    subjects = [rows[name] for name in source.maps]
    if test_only:
        subjects = [s for s in subjects if s.split is Split.TEST]
    made = [s.id for s in subjects if s.origin is Origin.SYNTHETIC]
    if made:
        raise CohortError(
            ", ".join(made[:5]), f"{len(made)} synthetic subjects among those to evaluate",
            "real subjects or phantoms: a generator cannot vouch for itself",
            "Leave synthetic subjects out of the test set.",
        )  # fmt: skip
    testing = [s.id for s in cohort.subjects if s.split is Split.TEST]
    missing = [name for name in testing if name not in source.maps]
    if missing and (test_only or len(missing) < len(testing)):
        raise CohortError(
            ", ".join(missing[:5]),
            f"no map of {len(missing)} of the {len(testing)} test subjects in run {source.name}",
            "all of them" if test_only else "all of them or none",
            "Detect on the whole test set: who is left out may not be up to the results.",
        )  # fmt: skip
    source.check_unseen(subjects)
    return subjects


def relatives(source: Source, cohort: Cohort, subjects: Sequence[Subject]) -> tuple[str, ...]:
    """Evaluated subjects that share a family with a subject the run was trained or tuned on."""
    families = {s.id: s.family for s in cohort.subjects if s.family}
    found = []
    for subject in subjects:
        trained = source.trained_on.get(subject.id, frozenset())
        trained |= source.chosen_on.get(subject.id, frozenset())
        if subject.family and subject.family in {families.get(name) for name in trained}:
            found.append(subject.id)
    return tuple(found)
