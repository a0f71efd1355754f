"""How much each channel of suspicion counts, learnt from what reviewers confirmed.

Reference/relabelling.md 2.7 (own design). A hit is a review that changed the label. Its credit of
1 is split over the channels by their share in having asked for it, and from round to round

    hits   <- lambda hits + sum of credit where the label changed         lambda = 0.8
    misses <- lambda misses + sum of credit where it did not
    alpha  = max(0.1, (1 + hits) / (2 + hits + misses)),  then normalised to sum 1

so no truth is needed, and no channel is ever silenced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from fcdsynth.core.errors import SettingsError

DECAY = 0.8
FLOOR = 0.1


@dataclass(frozen=True)
class ChannelRecord:
    """What reviews said about each channel so far; a value, never changed in place.

    Args:
        hits: Decayed credit of confirmed suspicions, by channel.
        misses: Decayed credit of refuted ones.
        decay: lambda of the formula, in [0, 1].

    Raises:
        SettingsError: If the decay is out of range or the channels differ.
    """

    hits: Mapping[str, float] = field(default_factory=dict)
    misses: Mapping[str, float] = field(default_factory=dict)
    decay: float = DECAY

    def __post_init__(self) -> None:
        if not 0 <= self.decay <= 1:
            raise SettingsError("decay", str(self.decay), "0 to 1", "Change the setting.")
        if set(self.hits) != set(self.misses):
            raise SettingsError("misses", f"channels {sorted(self.misses)}",
                                f"{sorted(self.hits)}", "Name the same channels.")  # fmt: skip

    @classmethod
    def of(cls, channels: Sequence[str], decay: float = DECAY) -> ChannelRecord:
        """A record without reviews: equal weights."""
        return cls(dict.fromkeys(channels, 0.0), dict.fromkeys(channels, 0.0), decay)

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each channel, summing to 1."""
        raw = {
            name: max(FLOOR, (1 + hit) / (2 + hit + self.misses[name]))
            for name, hit in self.hits.items()
        }
        total = sum(raw.values())
        return {name: value / total for name, value in raw.items()}

    def after(self, outcomes: Sequence[Outcome]) -> ChannelRecord:
        """The record one round later.

        Args:
            outcomes: What the round's reviews found.

        Raises:
            SettingsError: If an outcome credits a channel that is not on record.
        """
        hits = {name: self.decay * value for name, value in self.hits.items()}
        misses = {name: self.decay * value for name, value in self.misses.items()}
        for outcome in outcomes:
            side = hits if outcome.changed else misses
            for name, share in outcome.credit.items():
                if name not in side:
                    raise SettingsError("credit", f"channel {name!r}", f"one of {sorted(side)}",
                                        "Name a channel on record.")  # fmt: skip
                side[name] += share
        return ChannelRecord(hits, misses, self.decay)

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"hits": dict(self.hits), "misses": dict(self.misses), "decay": self.decay}

    @classmethod
    def from_plain(cls, record: Mapping[str, Any]) -> ChannelRecord:
        """Read back what `plain` gave."""
        return cls(dict(record["hits"]), dict(record["misses"]), float(record["decay"]))


@dataclass(frozen=True)
class Outcome:
    """What one review found.

    Args:
        credit: Share of each channel in having asked for it, summing to 1; see `credit`.
        changed: Whether the reviewer changed the label.
    """

    credit: Mapping[str, float]
    changed: bool


def ranks(scores: ArrayLike) -> NDArray[np.float64]:
    """Rank share in (0, 1), equals sharing, shape (n,); NaN stays NaN."""
    x = np.asarray(scores, dtype=float)
    out = np.full(x.shape, np.nan)
    known = np.isfinite(x)
    if known.any():
        out[known] = (rankdata(x[known]) - 0.5) / known.sum()
    return out


def mix(scores: Mapping[str, ArrayLike], weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Weighted mean of the channels' rank shares.

    Args:
        scores: Score of each channel, shape (n,), larger more suspicious; NaN where a channel
            has nothing to say, and then the others' weights fill its place.
        weights: Weight of each of these channels.

    Returns:
        Shape (n,), in (0, 1); NaN where no channel has anything to say.
    """
    rank = np.stack([ranks(scores[name]) for name in scores])
    weight = np.array([[weights[name]] for name in scores]) * np.isfinite(rank)
    total = weight.sum(axis=0)
    mean = np.nansum(rank * weight, axis=0) / np.where(total > 0, total, 1.0)
    return np.where(total > 0, mean, np.nan)


def credit(
    scores: Mapping[str, ArrayLike], weights: Mapping[str, float], item: int
) -> dict[str, float]:
    """Each channel's share in an item's place in the mix, summing to 1.

    Args:
        scores: As for `mix`.
        weights: As for `mix`.
        item: Row of the item.
    """
    parts = {name: weights[name] * float(ranks(scores[name])[item]) for name in scores}
    known = {name: value if np.isfinite(value) else 0.0 for name, value in parts.items()}
    total = sum(known.values())
    even = 1 / len(known)
    return {name: value / total if total > 0 else even for name, value in known.items()}
