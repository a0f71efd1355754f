"""Belief: shares that are assumed until the ledger tells better, as Beta distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fcdsynth.ledger.records import Reviewed
from fcdsynth.ledger.state import State
from fcdsynth.ledger.words import LabelOrigin

WORTH = 10.0  # observations that an assumption is worth


@dataclass(frozen=True, slots=True)
class Belief:
    """A share, Beta(worth assumed + hits, worth (1 - assumed) + n - hits).

    Args:
        assumed: The share before anything was seen.
        hits: Observations in which it was so.
        n: Observations.
        worth: Observations that the assumption is worth.
    """

    assumed: float
    hits: int = 0
    n: int = 0
    worth: float = WORTH

    @property
    def a(self) -> float:
        """First parameter of the Beta distribution."""
        return self.worth * self.assumed + self.hits

    @property
    def b(self) -> float:
        """Second parameter of the Beta distribution."""
        return self.worth * (1 - self.assumed) + self.n - self.hits

    @property
    def mean(self) -> float:
        """Expected share."""
        return self.a / (self.a + self.b)

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"value": round(self.mean, 4), "from": "observed" if self.n else "assumed",
                "observations": self.n, "hits": self.hits, "assumed": self.assumed}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Beliefs:
    """All shares that the worth of work rests on.

    Args:
        reader_errs: A reader's judgement of a mask is wrong; observed on planted errors.
        accepts: A synthetic case is accepted.
        resolves: Deciding a disagreement changes the mask.
        explains: A failure lies with label or data, so that a reader can mend it.
    """

    reader_errs: Belief = Belief(0.1)
    accepts: Belief = Belief(0.7)
    resolves: Belief = Belief(0.5)
    explains: Belief = Belief(0.3)

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "reader_error": self.reader_errs.plain(),
            "synthetic_accepted": self.accepts.plain(),
            "disagreement_changes": self.resolves.plain(),
            "failure_of_label_or_data": self.explains.plain(),
        }


def read_beliefs(state: State, causes: list[str], reader: str = "") -> Beliefs:
    """What a ledger says of them.

    Args:
        state: What the ledger says.
        causes: Known causes of failures, one for each that was looked into.
        reader: Whose error rate; that of all readers together when empty.
    """
    reviews = [r for r in state.reviews.values() if r.after != "unsure"]
    planted = [r for r in reviews if is_planted(state, r) and reader in ("", r.reader)]
    missed = sum(r.after == "accept" for r in planted)
    made = [r for r in reviews if r.task == "synthetic"]
    judged = [r for r in reviews if r.task == "disagreement"]
    known = [c for c in causes if c in ("label", "data", "model")]
    return Beliefs(
        Belief(0.1, missed, len(planted)),
        Belief(0.7, sum(r.after == "accept" for r in made), len(made)),
        Belief(0.5, sum(r.after != "accept" for r in judged), len(judged)),
        Belief(0.3, sum(c != "model" for c in known), len(known)),
    )


def is_planted(state: State, review: Reviewed) -> bool:
    """Whether a review was about a copy with a planted error."""
    return review.source == "planted" or state.labels[review.label].origin == LabelOrigin.PLANTED
