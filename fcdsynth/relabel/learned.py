"""The learned rule: masks that look more like wrong copies of this cohort's masks than like them.

Wrong masks are rare and nobody has labelled them, but wrong copies can be made at will and
measured on the same maps (`fcdsynth.relabel.planting`). A random forest learns to tell them from
the masks as given and from harmless redrawings; every mask is judged by forests that saw neither
it nor another of its family. That some given masks are wrong weakens the forest and does not turn
it round. What it says is turned into a probability by `fcdsynth.relabel.certainty`. A second
forest, trained on wrong copies alone, names the error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GroupKFold

from fcdsynth.core.errors import SettingsError
from fcdsynth.relabel.causes import CHANNELS, Cause
from fcdsynth.relabel.certainty import Certainty, CertaintySettings, Reviewed, fit_certainty
from fcdsynth.relabel.fusion import Verdict, worst
from fcdsynth.relabel.planting.copies import Measured
from fcdsynth.relabel.planting.spec import ERRORS, MIXES, REDRAWN

FEWEST_MASKS = 12
CAUSES: Mapping[str, Cause] = {
    "too_large": Cause.TOO_LARGE,
    "too_small": Cause.TOO_SMALL,
    "wobbly": Cause.ROUGH,
    "holes": Cause.HOLES,
    "missed": Cause.OVERLOOKED,
    "false": Cause.UNSUPPORTED,
    "shifted": Cause.SHIFTED,
    "side": Cause.MIRRORED,
    "subject": Cause.OTHER_LESION,
}
_FOLDS = 5
_LEAF = 3
_FEATURES = 0.3
_COPIES = 1000


@dataclass(frozen=True, slots=True)
class LearnedSettings:
    """How the rule learns.

    Args:
        trees: Trees of a forest.
        error_share: Share of masks that is believed to be wrong until an audit estimates it.
        mix: One of `MIXES`: how often each error is believed to be made.
        seed: Seed of the forests.

    Raises:
        SettingsError: If a value is out of range.
    """

    trees: int = 300
    error_share: float = 0.2
    mix: str = "realistic"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("trees", 1, 10000), ("error_share", 0.001, 0.9)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(name, str(value), f"{low:g} to {high:g}", "Change the setting.")
        if self.mix not in MIXES:
            raise SettingsError("mix", repr(self.mix), " or ".join(MIXES), "Name one of them.")


@dataclass(frozen=True)
class Judged:
    """All judgements, those of the copies too.

    Args:
        masks: Verdict on each mask as given, by subject.
        planted: Error and score of each wrong copy.
        certainty: What turned scores into probabilities.
    """

    masks: Mapping[str, Verdict]
    planted: tuple[tuple[str, float], ...]
    certainty: Certainty


def judge(
    measured: Sequence[Sequence[Measured]],
    families: Mapping[str, str],
    reviews: Sequence[Reviewed] = (),
    settings: LearnedSettings | None = None,
) -> Judged:
    """Judge every mask by forests that did not see it.

    Args:
        measured: For each subject its mask as given, then its copies.
        families: Subjects that share a name here are kept together, by subject id; those not
            named stand alone.
        reviews: Real reviews so far, with the score that the mask had.
        settings: Forests, and what is believed before any review.

    Raises:
        SettingsError: If there are fewer than 12 masks, or nothing was planted.
    """
    settings = settings or LearnedSettings()
    rows = [one for subject in measured for one in subject]
    given = [one.spec is None for one in rows]
    groups = np.array([families.get(one.subject) or one.subject for one in rows])
    kinds = np.array([one.spec.error if one.spec else "" for one in rows])
    wrong = np.isin(kinds, ERRORS)
    if sum(given) < FEWEST_MASKS or not wrong.any() or len(set(groups)) < 2:
        raise SettingsError(
            "rule learned", f"{sum(given)} masks, {int(wrong.sum())} wrong copies",
            f"at least {FEWEST_MASKS} masks of two subjects or more, and copies of them",
            "Use rule deviation for so few masks.",
        )  # fmt: skip
    values = _matrix(rows)
    weights = _weights(kinds)
    score = np.full(len(rows), np.nan)
    shares = np.zeros((len(rows), len(ERRORS)))
    folds = GroupKFold(min(_FOLDS, len(set(groups))))
    for train, test in folds.split(values, groups=groups):
        forest = _forest(settings, 0)
        forest.fit(values[train], wrong[train], sample_weight=weights[train])
        score[test] = forest.predict_proba(values[test])[:, 1]
        some = train[wrong[train]]
        namer = _forest(settings, 1).fit(values[some], kinds[some])
        columns = [ERRORS.index(name) for name in namer.classes_]
        shares[np.ix_(test, columns)] = namer.predict_proba(values[test])
    planted = tuple((str(kinds[k]), float(score[k])) for k in np.flatnonzero(wrong))
    certainty = fit_certainty(
        score[np.array(given)], _as_mixed(planted, settings.mix), reviews,
        CertaintySettings(base_rate=settings.error_share),
    )  # fmt: skip
    masks = {
        row.subject: Verdict(
            float(score[k]), float(certainty.probability(score[k])), _by_cause(shares[k])
        )
        for k, row in enumerate(rows)
        if given[k]
    }
    return Judged(masks, planted, certainty)


def _as_mixed(planted: Sequence[tuple[str, float]], mix: str) -> NDArray[np.float64]:
    """Scores of wrong copies, each error as often as the mix says: repeated to that share."""
    found: list[float] = []
    for error, share in MIXES[mix].items():
        scores = [score for kind, score in planted if kind == error]
        if scores:
            times = round(_COPIES * share)
            spread = np.linspace(0, len(scores) - 1, times).round().astype(int)
            found += [sorted(scores)[k] for k in spread]
    return np.array(found)


def _forest(settings: LearnedSettings, number: int) -> RandomForestClassifier:
    return RandomForestClassifier(
        settings.trees, min_samples_leaf=_LEAF, max_features=_FEATURES, n_jobs=1,
        random_state=settings.seed + number,
    )  # fmt: skip


def _weights(kinds: NDArray[np.str_]) -> NDArray[np.float64]:
    """Wrong copies weigh as much as masks and harmless copies together, each error alike."""
    weights = np.ones(len(kinds))
    for kind in (*ERRORS, REDRAWN):
        inside = kinds == kind
        share = 1.0 if kind == REDRAWN else 2.0 / len(ERRORS)
        if inside.any():
            weights[inside] = share * float((kinds == "").sum()) / float(inside.sum())
    return weights


def _matrix(rows: Sequence[Measured]) -> NDArray[np.float64]:
    names = tuple(sorted({name for row in rows for name in row.profile.numbers}))
    return np.stack([np.concatenate([_channels(row), row.profile.vector(names)]) for row in rows])


def _channels(row: Measured) -> NDArray[np.float64]:
    found = []
    for channel in CHANNELS:
        region = worst(row.regions, channel)
        nothing = 0.0 if channel is Cause.OVERLOOKED and row.regions else np.nan
        found.append(region.channels[channel] if region is not None else nothing)
    return np.array(found)


def _by_cause(shares: NDArray[np.float64]) -> dict[Cause, float]:
    return {CAUSES[error]: float(value) for error, value in zip(ERRORS, shares, strict=True)}
