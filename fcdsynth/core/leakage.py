"""The leakage rule: nothing made from a validation or test subject may be trained on."""

from __future__ import annotations

from collections.abc import Iterable

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import LeakageError
from fcdsynth.core.subject import Split


def check_leakage(cohort: Cohort, held_out: Iterable[str] = ()) -> None:
    """Raise if a training subject descends from a held-out one.

    Held out are the cohort's own validation and test subjects and the ids given. A training
    subject descends from one when it is one, when one is among its parents, or when the
    generator or mask prior behind the cohort's synthetic subjects was fitted on one.

    Args:
        cohort: A training table, its splits set.
        held_out: Further ids that must stay out, such as the study's test subjects.

    Raises:
        LeakageError: Naming the first training subject at fault and its parent.
    """
    kept_out = {s.id for s in cohort.subjects if s.split in (Split.VAL, Split.TEST)}
    kept_out.update(held_out)
    remedy = "Draw and synthesise again from training subjects only, or change the split."
    for subject in cohort.of_split(Split.TRAIN).subjects:
        if subject.id in kept_out:
            raise LeakageError(subject.id, "a held-out subject in training", "disjoint splits",
                               remedy)  # fmt: skip
        for parent in subject.parents:
            if parent.subject in kept_out:
                raise LeakageError(
                    subject.id,
                    f"a training subject whose {parent.role.value} is {parent.subject}, "
                    "which is held out",
                    "parents from training subjects only",
                    remedy,
                )
    leaked = sorted(kept_out.intersection(cohort.fitted_on))
    if leaked:
        raise LeakageError(
            cohort.name, f"a generator or prior fitted on held-out {', '.join(leaked)}",
            "fitting on training subjects only", remedy,
        )  # fmt: skip
