"""Confound audit: does the scanner, or the protocol, give the group away?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from fcdsynth.core.subject import Group
from fcdsynth.prepare.acquisition import Acquisition
from fcdsynth.prepare.guess import TOGETHER, Guess, guesses

CONFOUND = "confound.json"
_LEVEL = 0.05


@dataclass(frozen=True)
class Audit:
    """How far one property of the acquisition predicts the group.

    Args:
        name: The property (``scanner``, ``t1w_protocol``, ...).
        table: Patients and controls by value.
        p_value: Fisher's exact test (two values) or chi-squared test of independence; None when
            there is one value or one group.
        patients_apart: Share of patients whose value no control has.
        controls_apart: Share of controls whose value no patient has.
        youden: Sensitivity plus specificity minus 1 of the best rule "these values mean patient".
        confounded: Whether the property predicts the group: p below 0.05, or perfectly.
    """

    name: str
    table: Mapping[str, Mapping[str, int]]
    p_value: float | None
    patients_apart: float
    controls_apart: float
    youden: float
    confounded: bool

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)

    def sentence(self) -> str:
        """What a report should say about it."""
        p = "" if self.p_value is None else f" (p = {self.p_value:.2g})"
        return (
            f"{self.name} predicts the group{p}: {self.patients_apart:.0%} of patients have a "
            f"value that no control has, {self.controls_apart:.0%} of controls have one that no "
            f"patient has; a rule on {self.name} alone reaches sensitivity + specificity - 1 = "
            f"{self.youden:.2f}. Sensitivity and specificity may rest on it."
        )


def audit(name: str, values: Sequence[str], groups: Sequence[Group]) -> Audit:
    """Cross a property with the group.

    Args:
        name: The property.
        values: One value a subject, empty when unknown (those subjects are left out).
        groups: One group a subject.
    """
    known = [(v, g) for v, g in zip(values, groups, strict=True) if v]
    levels = sorted({v for v, _ in known})
    counts = np.array(
        [[sum(1 for v, g in known if v == level and g is group)
          for group in (Group.PATIENT, Group.CONTROL)] for level in levels], dtype=int
    ).reshape(-1, 2)  # fmt: skip
    n_patients, n_controls = (int(n) for n in counts.sum(axis=0))
    table = {level: {"patients": int(p), "controls": int(c)}
             for level, (p, c) in zip(levels, counts, strict=True)}  # fmt: skip
    if len(levels) < 2 or not n_patients or not n_controls:
        return Audit(name, table, None, 0.0, 0.0, 0.0, False)
    test = stats.fisher_exact if len(levels) == 2 else stats.chi2_contingency
    p_value = float(test(counts)[1])
    shares = counts / np.array([n_patients, n_controls])
    gain = shares[:, 0] - shares[:, 1]
    youden = float(gain[gain > 0].sum())
    return Audit(
        name,
        table,
        p_value,
        float(shares[counts[:, 1] == 0, 0].sum()),
        float(shares[counts[:, 0] == 0, 1].sum()),
        youden,
        bool(p_value < _LEVEL or youden > 0.999),
    )


def audit_acquisition(
    acquired: Sequence[Acquisition], groups: Sequence[Group]
) -> tuple[list[Audit], list[Guess]]:
    """Look at every property of the acquisition alone, and at what a classifier makes of them.

    Args:
        acquired: One acquisition a subject.
        groups: One group a subject.
    """
    named = {name: [getattr(one, name) for one in acquired] for name in Acquisition.names()}
    audits = [audit(name, values, groups) for name, values in named.items()]
    return audits, guesses(named, groups)


def warnings_of(audits: Sequence[Audit], guessed: Sequence[Guess]) -> list[str]:
    """Sentences about what gives the group away, the classifier on everything first."""
    confounded = [g for g in guessed if g.confounded]
    together = [g for g in confounded if g.name == TOGETHER]
    alone = [a.sentence() for a in audits if a.confounded]
    return [g.sentence() for g in together] + alone
