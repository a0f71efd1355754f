"""The records of a paired comparison between two arms."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.statistics.smallest import SmallestEffect


@dataclass(frozen=True, slots=True)
class PairedFigure:
    """One figure of two arms.

    Args:
        name: What it is, as in `Report`.
        rule: Hit rule, empty where none is involved.
        a: Value in the first arm, None when there are no such subjects.
        b: Value in the second arm.
        difference: ``b - a``.
        low: Lower end of the 95 % interval of the difference (stratified bootstrap over
            subjects, families drawn whole; normal with DeLong's error for areas), or None.
        high: Upper end, or None.
        n: Pairs.
        unit: What is paired: patients, controls, or subjects (both, for the area under the ROC
            curve, which no single subject gains or loses).
        gained: Pairs in which b is better (for a figure that is better when lower, lower).
        lost: Pairs in which a is better.
        p: Two-sided p value, or None.
        test: Which test gave it.
        gained_ids: Ids of the gained subjects.
        lost_ids: Ids of the lost subjects.
        p_holm: p adjusted over the arms, None unless `compare_arms` set it.
        reason: The empty-set case met, or empty.
        interval: How the interval was made.
        p_permutation: Two-sided p of the paired permutation test of the mean difference; for
            found or missed only where families turn together, as it is the exact McNemar test
            otherwise; None for areas.
        p_permutation_holm: The same adjusted over the arms.
        smallest: The smallest effect these pairs could have shown, None for areas and where
            there are no pairs.
    """

    name: str
    rule: str
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    n: int
    unit: str
    gained: int
    lost: int
    p: float | None
    test: str
    gained_ids: tuple[str, ...]
    lost_ids: tuple[str, ...]
    p_holm: float | None = None
    reason: str = ""
    interval: str = "none"
    p_permutation: float | None = None
    p_permutation_holm: float | None = None
    smallest: SmallestEffect | None = None

    @classmethod
    def none(cls, name: str, rule: str, unit: str, reason: str) -> PairedFigure:
        """A figure that has no value, and why."""
        return cls(
            name, rule, None, None, None, None, None, 0, unit, 0, 0, None, "none", (), (), None,
            reason,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """All paired figures of two arms.

    Args:
        rule: The rule of the headline figures.
        n_patients: Paired patients.
        n_controls: Paired controls.
        figures: The figures, all rules.
    """

    rule: str
    n_patients: int
    n_controls: int
    figures: tuple[PairedFigure, ...]

    def figure(self, name: str, rule: Rule | str | None = None) -> PairedFigure:
        """Look up one figure; the headline rule when none is given.

        Raises:
            KeyError: If there is no such figure.
        """
        wanted = self.rule if rule is None else Rule(rule).value
        for figure in self.figures:
            if figure.name == name and figure.rule in ("", wanted):
                return figure
        raise KeyError(f"{name}, {wanted}")

    def to_json(self) -> dict[str, Any]:
        """As plain dictionaries, lists and numbers."""
        return asdict(self)
