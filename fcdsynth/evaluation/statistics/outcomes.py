"""What is looked at in each subject: found or missed, clean or not, how many false positives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.site import STATISTICS


@dataclass(frozen=True, slots=True)
class Outcome:
    """One number for each patient, or for each control.

    Args:
        name: Name of the figure that is its mean, as in `Report`.
        rule: The hit rule, None where none is involved.
        patients: Whether it is about patients; else about controls.
        value: The number of a subject; NaN where the subject has none.
        binary: Whether it is 0 or 1.
        better_high: Whether more is better.
    """

    name: str
    rule: Rule | None
    patients: bool
    value: Callable[[SubjectRecord], float]
    binary: bool
    better_high: bool

    @property
    def unit(self) -> str:
        """What the subjects are."""
        return "patients" if self.patients else "controls"

    @property
    def rule_name(self) -> str:
        """The rule's name, empty where none is involved."""
        return "" if self.rule is None else self.rule.value


def outcomes_of(rule: Rule) -> tuple[Outcome, ...]:
    """The outcomes that depend on a rule: of patients, of controls, then false positives."""

    def found(subject: SubjectRecord) -> float:
        return float(subject.n_found(rule) > 0)

    def false_positives(subject: SubjectRecord) -> float:
        return float(subject.n_role(rule, Role.FALSE))

    return (
        Outcome("subject_sensitivity", rule, True, found, True, True),
        Outcome("specificity", rule, False, _clean, True, True),
        Outcome("false_positives_per_patient", rule, True, false_positives, False, False),
        Outcome("false_positives_per_control", rule, False, false_positives, False, False),
    )


def site_outcomes() -> tuple[Outcome, ...]:
    """Lesion-site probability of the whole reference mask, by statistic."""

    def site(statistic: str) -> Callable[[SubjectRecord], float]:
        return lambda s: float("nan") if s.whole_site is None else getattr(s.whole_site, statistic)

    return tuple(
        Outcome(f"whole_mask_probability_{name}", None, True, site(name), False, True)
        for name in STATISTICS
    )


def _clean(subject: SubjectRecord) -> float:
    return float(not subject.clusters)
