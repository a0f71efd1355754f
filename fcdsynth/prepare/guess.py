"""Can a classifier guess the group from the acquisition alone? Cross-validated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fcdsynth.core.subject import Group

TOGETHER = "all together"
_FOLDS = 5
_REPEATS = 3
_LEAST = 5
_LEVEL = 0.01
_NOTICED = 0.6


@dataclass(frozen=True)
class Guess:
    """How well properties of the acquisition tell patients from controls they were not shown.

    Args:
        name: The property, or ``all together``.
        auc: Area under the ROC curve, the mean over the folds; None when one group has fewer
            than 5 subjects.
        p_value: One-sided, of the Mann-Whitney test of a ranking with that area (normal
            approximation, no ties: with ties it is too large rather than too small).
        n_patients: Number of patients.
        n_controls: Number of controls.
        confounded: Whether the group can be guessed: AUC at least 0.6 and p below 0.01.
    """

    name: str
    auc: float | None
    p_value: float | None
    n_patients: int
    n_controls: int
    confounded: bool

    def to_json(self) -> dict[str, Any]:
        """As a plain dictionary."""
        return asdict(self)

    def sentence(self) -> str:
        """What a report should say about it."""
        who = f"{self.n_patients} patients and {self.n_controls} controls"
        if self.auc is None:
            return f"{self.name}: {who} are too few to try."
        verdict = " Sensitivity and specificity may rest on it." if self.confounded else ""
        return (
            f"a classifier that sees nothing but the acquisition ({self.name}) tells patients "
            f"from controls with AUC {self.auc:.2f} (cross-validated, {who}; 0.5 is chance)."
            f"{verdict}"
        )


def guess(name: str, columns: Sequence[Sequence[str]], groups: Sequence[Group]) -> Guess:
    """Try to guess the group with logistic regression on one-hot values, five folds.

    The folds are drawn three times.

    Args:
        name: What the columns are.
        columns: One sequence a property, with one value a subject; empty counts as a value.
        groups: One group a subject.
    """
    patient = np.array([group is Group.PATIENT for group in groups], dtype=bool)
    n_patients, n_controls = int(patient.sum()), int((~patient).sum())
    if min(n_patients, n_controls) < _LEAST:
        return Guess(name, None, None, n_patients, n_controls, False)
    auc = _mean_auc(np.array(columns, dtype=object).T, patient)
    spread = np.sqrt((n_patients + n_controls + 1) / (12 * n_patients * n_controls))
    p_value = float(stats.norm.sf((auc - 0.5) / spread))
    confounded = auc >= _NOTICED and p_value < _LEVEL
    return Guess(name, auc, p_value, n_patients, n_controls, confounded)


def _mean_auc(values: NDArray[Any], patient: NDArray[np.bool_]) -> float:
    """Mean area over the folds: probabilities of different folds' models are not one ranking."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold
    from sklearn.preprocessing import OneHotEncoder

    onehot = OneHotEncoder().fit_transform(values)
    areas = []
    for repeat in range(_REPEATS):
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=repeat)
        for train, test in folds.split(values, patient):
            model = LogisticRegression(class_weight="balanced", max_iter=1000)
            model.fit(onehot[train], patient[train])
            scores = np.round(model.decision_function(onehot[test]), 9)  # ties stay ties
            areas.append(float(roc_auc_score(patient[test], scores)))
    return float(np.mean(areas))


def guesses(named: Mapping[str, Sequence[str]], groups: Sequence[Group]) -> list[Guess]:
    """Each property alone, then all together; properties with one value are left out.

    Args:
        named: Values by property, one a subject.
        groups: One group a subject.
    """
    varied = {name: column for name, column in named.items() if len(set(column)) > 1}
    found = [guess(name, [column], groups) for name, column in varied.items()]
    if len(varied) > 1:
        found.append(guess(TOGETHER, list(varied.values()), groups))
    return found
