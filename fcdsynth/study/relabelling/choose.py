"""Which items are asked about next: new ones, and labelled ones once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fcdsynth.relabel.memory import Memory, MemorySettings
from fcdsynth.relabel.weights import ChannelRecord, Outcome, credit, mix
from fcdsynth.study.relabelling.activelab import score_activelab
from fcdsynth.study.relabelling.book import Book, Look
from fcdsynth.study.relabelling.deepfool import perturbation_sizes
from fcdsynth.study.relabelling.methods import BOUNDARY, Method
from fcdsynth.study.relabelling.network import Networks
from fcdsynth.study.relabelling.suspicion import (
    OutOfFold,
    boundary_error,
    cross_entropy_less_entropy,
    low_self_confidence,
    neighbour_error,
)

_DEEPFOOL_ITEMS = 500
Items = NDArray[np.int64]


def order_new(
    method: Method, network: Networks, pool: NDArray[np.float32], book: Book, order: Items,
    rng: np.random.Generator,
) -> Items:  # fmt: skip
    """Unlabelled items, the most wanted first.

    Args:
        method: How it picks new items.
        network: The network trained on all labels.
        pool: Features of the pool, shape (n, d).
        book: Annotations so far.
        order: A random order of the pool, the same for every method.
        rng: Chooses the items that DeepFool is tried on.
    """
    if method.new == "random":
        return np.asarray(order[book.taken[order] == 0])
    rows = book.unlabelled
    if method.new == "deepfool":
        rows = rng.permutation(rows)[:_DEEPFOOL_ITEMS]
        score = perturbation_sizes(network, pool[rows])
    else:
        _, p = network.see(pool[rows])
        best = np.sort(p[0], axis=1)
        score = best[:, -1] - best[:, -2]
    return np.asarray(rows[np.argsort(score, kind="stable")])


def split_activelab(
    network: Networks, pool: NDArray[np.float32], book: Book, seen: OutOfFold, batch: int
) -> tuple[Items, Items]:
    """ActiveLab's batch: labelled items, then new ones.

    Args:
        network: The network trained on all labels.
        pool: Features of the pool, shape (n, d).
        book: Annotations so far.
        seen: Out-of-fold probabilities of the labelled items.
        batch: Items asked for in all.
    """
    rows, rest = book.labelled, book.unlabelled
    _, p = network.see(pool[rest])
    scores = score_activelab(book.given(rows), seen.probabilities, p[0])
    labelled = np.where(book.may_ask(rows), scores.labelled, np.inf)
    both = np.concatenate([labelled, scores.unlabelled])
    first = np.argsort(both, kind="stable")[:batch]
    return rows[first[first < len(rows)]], rest[first[first >= len(rows)] - len(rows)]


def activelab_consensus(book: Book, seen: OutOfFold) -> Items:
    """CROWDLAB's consensus of the labelled items, shape (n,)."""
    p = seen.probabilities
    return score_activelab(book.given(book.labelled), p, p[:0]).consensus


def doubted(book: Book, pool: NDArray[np.float32], seen: OutOfFold) -> NDArray[np.bool_]:
    """Labels that both channels speak against and no second look has agreed with, shape (n,).

    The boundary puts the item on another side, and most look-alikes have another label.
    """
    rows = book.labelled
    labels = book.labels[rows]
    against = (boundary_error(seen, labels) > 0) & (neighbour_error(pool[rows], labels) > 0.5)
    agreed = (book.given(rows) == labels[:, None]).sum(axis=1) > 1
    return np.asarray(against & ~agreed)


class SecondLooks:
    """The queue of second looks of one run, with what it remembers across rounds.

    Args:
        method: Whose queue.
        smoothing: beta of a method that smooths.
    """

    def __init__(self, method: Method, smoothing: float) -> None:
        self.method = method
        self.memory = Memory(MemorySettings(beta=smoothing if method.smoothed else 0.0))
        self.record = ChannelRecord.of(method.channels)
        self._channels: Mapping[str, NDArray[np.float64]] = {}
        self._rows: Items = np.zeros(0, dtype=np.int64)

    def pick(
        self, count: int, book: Book, pool: NDArray[np.float32], seen: OutOfFold | None,
        rng: np.random.Generator,
    ) -> Items:  # fmt: skip
        """Labelled items to look at again, the most suspicious first.

        Args:
            count: How many at most.
            book: Annotations so far.
            pool: Features of the pool, shape (n, d).
            seen: What out-of-fold networks say, where the method needs them.
            rng: Chooses at random.
        """
        rows = book.labelled
        self._rows, old = rows, self.method.old
        if old == "none":
            return rows[:0]
        if old == "random":
            return np.asarray(rng.permutation(rows[book.may_ask(rows)])[:count])
        if old == "oracle":
            wrong = rows[(book.labels[rows] != book.truth[rows]) & book.may_ask(rows)]
            return np.asarray(rng.permutation(wrong)[:count])
        score = self._score(book, pool, seen)
        known = {
            str(row): (str(book.version[row]), float(value))
            for row, value in zip(rows, score, strict=True)
            if np.isfinite(value)
        }
        self.memory = self.memory.observe(known)
        report = np.array([self.memory.report(str(row)) for row in rows])
        free = np.array([str(r) in known and self.memory.may_look(str(r)) for r in rows])
        free &= book.may_ask(rows)
        first = np.argsort(np.where(free, -report, np.inf), kind="stable")
        return np.asarray(rows[first[: min(count, int(free.sum()))]])

    def _score(
        self, book: Book, pool: NDArray[np.float32], seen: OutOfFold | None
    ) -> NDArray[np.float64]:
        rows = self._rows
        labels = book.labels[rows]
        if self.method.old == "channels":
            found = {}
            for name in self.method.channels:
                if name == BOUNDARY and seen is not None:
                    found[name] = boundary_error(seen, labels)
                else:
                    found[name] = neighbour_error(pool[rows], labels)
            self._channels = found
            return mix(found, self.record.weights)
        if seen is None:
            raise ValueError(f"{self.method.name} needs out-of-fold networks")
        if self.method.old == "self-confidence":
            return low_self_confidence(seen.probabilities, labels)
        return cross_entropy_less_entropy(seen.probabilities, book.given(rows))

    def learn(self, looks: Sequence[Look], book: Book) -> None:
        """Take in what a round's second looks found; ends the round."""
        if self.method.dynamic:
            at = {int(row): index for index, row in enumerate(self._rows)}
            weights = self.record.weights
            self.record = self.record.after([
                Outcome(credit(self._channels, weights, at[look.item]), look.changed)
                for look in looks
            ])  # fmt: skip
        for look in looks:
            item, version = str(look.item), str(book.version[look.item])
            if look.changed:
                self.memory = self.memory.edited(item, version)
            else:
                self.memory = self.memory.confirmed(item, version)
        self.memory = self.memory.next_round()
