"""From a score to a probability that the label is wrong, with planted errors and real reviews.

Only a probability may enter a budget (reference/relabelling.md 2.10). Errors are planted in
copies of labels and scored beside the originals, a share b of which is wrong already. With g(s)
the share planted among all that score s (a monotone fit) and q the planted share of all,

    density of wrong / density of originals at s  =  g / (1 - g) * (1 - q) / q
    P(wrong | s)  =  b * that ratio, at most 1

(Bayes' rule; no new constant). This holds where planted errors score as real ones do, which is
why real reviews are fitted together with it: a review says wrong or right at its score directly,
however the item was chosen, as long as the score alone chose it. The base rate b is assumed until
reviews of a random audit estimate it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest
from sklearn.isotonic import IsotonicRegression

from fcdsynth.core.errors import SettingsError


@dataclass(frozen=True, slots=True)
class CertaintySettings:
    """What is believed before any review.

    Args:
        base_rate: Assumed share of wrong labels among the originals.
        base_worth: Audited items that the assumption is worth.
        planted_worth: Reviews that the fit on planted errors is worth in all.

    Raises:
        SettingsError: If a value is out of range.
    """

    base_rate: float = 0.1
    base_worth: float = 10.0
    planted_worth: float = 20.0

    def __post_init__(self) -> None:
        for name, low, high in (("base_rate", 0.001, 0.9), ("base_worth", 0.0, 1e6),
                                ("planted_worth", 0.0, 1e6)):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(name, str(value), f"{low:g} to {high:g}", "Change the setting.")


@dataclass(frozen=True)
class Reviewed:
    """A real review.

    Args:
        score: Score of the item when it was chosen.
        wrong: Whether the reviewer changed the label.
        audit: Whether it was drawn at random, not for its score.
    """

    score: float
    wrong: bool
    audit: bool = False


@dataclass(frozen=True)
class Certainty:
    """A monotone function from a score to P(wrong).

    Args:
        scores: Knots, rising.
        probabilities: P(wrong) at them, not falling; straight lines between, level beyond.
        base_rate: Share of wrong labels that it rests on.
        base_from: Whether that share was assumed, or estimated from an audit.
    """

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]
    base_rate: float
    base_from: Literal["assumed", "audit"]

    def probability(self, scores: ArrayLike) -> NDArray[np.float64]:
        """P(wrong) of scores, same shape; the base rate where a score is NaN."""
        x = np.asarray(scores, dtype=float)
        found = np.interp(x, self.scores, self.probabilities)
        return np.where(np.isfinite(x), found, self.base_rate)

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"scores": list(self.scores), "probabilities": list(self.probabilities),
                "base_rate": self.base_rate, "base_from": self.base_from}  # fmt: skip

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> Certainty:
        """Read back what `plain` gave."""
        return cls(tuple(record["scores"]), tuple(record["probabilities"]),
                   float(record["base_rate"]), record["base_from"])  # fmt: skip


def fit_certainty(
    originals: ArrayLike,
    planted: ArrayLike,
    reviews: Sequence[Reviewed] = (),
    settings: CertaintySettings | None = None,
) -> Certainty:
    """Fit P(wrong | score), for one type of error.

    Args:
        originals: Scores of labels as they are, shape (n,).
        planted: Scores of copies with a planted error, shape (m,); the planted share of all is
            m / (n + m), and is corrected for.
        reviews: Real reviews so far.
        settings: Assumptions.

    Raises:
        SettingsError: If there are no originals, or neither planted errors nor reviews.
    """
    settings = settings or CertaintySettings()
    known, wrong = _finite(originals), _finite(planted)
    if not len(known) or not (len(wrong) or reviews):
        found = f"{len(known)} originals, {len(wrong)} planted errors, {len(reviews)} reviews"
        raise SettingsError("planted", found, "originals, and planted errors or reviews",
                            "Plant errors in copies of some labels.")  # fmt: skip
    rate, source = base_rate(reviews, settings)
    if len(wrong):
        at, believed = _from_planted(known, wrong, rate)
    else:
        at, believed = known, np.full(len(known), rate)
    worth = np.full(len(at), settings.planted_worth / len(at))
    x = np.concatenate([at, [r.score for r in reviews]])
    y = np.concatenate([believed, [float(r.wrong) for r in reviews]])
    weight = np.concatenate([worth, np.ones(len(reviews))])
    fit = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip")
    used = weight > 0
    if not used.any():
        raise SettingsError("planted_worth", "0 without reviews", "a positive worth",
                            "Change the setting.")  # fmt: skip
    fit.fit(x[used], y[used], sample_weight=weight[used])
    return Certainty(
        tuple(float(v) for v in fit.X_thresholds_), tuple(float(v) for v in fit.y_thresholds_),
        rate, source,
    )  # fmt: skip


def base_rate(
    reviews: Sequence[Reviewed], settings: CertaintySettings
) -> tuple[float, Literal["assumed", "audit"]]:
    """Share of wrong labels: that of the random audit, drawn towards the assumption."""
    audit = [r.wrong for r in reviews if r.audit]
    if not audit:
        return settings.base_rate, "assumed"
    wrong = sum(audit) + settings.base_worth * settings.base_rate
    return wrong / (len(audit) + settings.base_worth), "audit"


def _from_planted(
    originals: NDArray[np.float64], planted: NDArray[np.float64], rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P(wrong) at every score of an original or a copy."""
    scores = np.concatenate([originals, planted])
    is_planted = np.repeat([0.0, 1.0], [len(originals), len(planted)])
    fit = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(scores, is_planted)
    g = np.minimum(fit.predict(scores), 1 - 1e-9)
    ratio = g / (1 - g) * len(originals) / len(planted)
    return scores, np.minimum(rate * ratio, 1.0)


@dataclass(frozen=True)
class ReliabilityBin:
    """Items of about equal P(wrong): what was said and what was so.

    Args:
        n: Number of items.
        said: Mean P(wrong).
        found: Share that was wrong.
        interval: 95 % Wilson interval of that share.
    """

    n: int
    said: float
    found: float
    interval: tuple[float, float]


def reliability(
    probabilities: ArrayLike, wrong: ArrayLike, bins: int = 5
) -> tuple[ReliabilityBin, ...]:
    """Reliability curve over bins of about equal numbers of items.

    Args:
        probabilities: P(wrong) said beforehand, shape (n,).
        wrong: Whether it was, shape (n,).
        bins: Number of bins.
    """
    said, so = np.asarray(probabilities, dtype=float), np.asarray(wrong, dtype=bool)
    order = np.argsort(said, kind="stable")
    curve = []
    for part in np.array_split(order, min(bins, max(len(said), 1))):
        n, hits = len(part), int(so[part].sum())
        if n:
            wilson = binomtest(hits, n).proportion_ci(method="wilson")
            interval = (float(wilson.low), float(wilson.high))
            curve.append(ReliabilityBin(n, float(said[part].mean()), hits / n, interval))
    return tuple(curve)


def _finite(values: ArrayLike) -> NDArray[np.float64]:
    x = np.asarray(values, dtype=float)
    return np.asarray(x[np.isfinite(x)])
