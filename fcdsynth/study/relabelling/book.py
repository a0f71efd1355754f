"""The book of annotations: what was asked, what was answered, which label counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Rule = Literal["replace", "majority"]


@dataclass(frozen=True)
class Look:
    """One second look.

    Args:
        item: The item.
        was_wrong: Whether its label was wrong before (known to the simulation alone).
        is_wrong: Whether it is wrong now.
        changed: Whether the label changed.
    """

    item: int
    was_wrong: bool
    is_wrong: bool
    changed: bool


class Book:
    """Annotations of a pool; asking an item again takes its next look.

    Args:
        answers: Label of every item at every look, shape (n, looks).
        truth: True classes, shape (n,).
        rule: ``replace``: the newest label counts; ``majority``: the commonest of all looks, the
            newest of those that tie (so a second look replaces, a third one judges).
    """

    def __init__(self, answers: NDArray[np.int64], truth: NDArray[np.int64], rule: Rule) -> None:
        self.answers = answers
        self.truth = truth
        self.rule = rule
        self.taken = np.zeros(len(truth), dtype=np.int64)
        self.labels = np.full(len(truth), -1, dtype=np.int64)
        self.version = np.zeros(len(truth), dtype=np.int64)

    @property
    def labelled(self) -> NDArray[np.int64]:
        """Rows that have a label, rising."""
        return np.flatnonzero(self.taken > 0)

    @property
    def unlabelled(self) -> NDArray[np.int64]:
        """Rows that have none."""
        return np.flatnonzero(self.taken == 0)

    @property
    def spent(self) -> int:
        """Annotations so far."""
        return int(self.taken.sum())

    @property
    def wrong_share(self) -> float:
        """Share of the labels that are wrong."""
        rows = self.labelled
        return float(np.mean(self.labels[rows] != self.truth[rows]))

    def may_ask(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of some items have a look left, shape (rows,)."""
        return np.asarray(self.taken[rows] < self.answers.shape[1])

    def settle(self, rows: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        """Let a method's own consensus count from here on, until the item is asked again."""
        self.version[rows] += self.labels[rows] != labels
        self.labels[rows] = labels

    def ask(self, item: int) -> Look:
        """Buy one annotation."""
        before, first = int(self.labels[item]), self.taken[item] == 0
        self.taken[item] += 1
        given = self.answers[item, : self.taken[item]]
        self.labels[item] = given[-1] if self.rule == "replace" else _commonest(given)
        changed = not first and before != self.labels[item]
        self.version[item] += changed
        true = self.truth[item]
        return Look(item, bool(before != true), bool(self.labels[item] != true), bool(changed))

    def given(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Answers so far of some items, -1 for looks not taken, shape (rows, looks)."""
        looks = np.arange(self.answers.shape[1])
        return np.where(looks < self.taken[rows, None], self.answers[rows], -1)


def _commonest(given: NDArray[np.int64]) -> int:
    kinds, counts = np.unique(given, return_counts=True)
    tied = kinds[counts == counts.max()]
    return int(next(label for label in given[::-1] if label in tied))
