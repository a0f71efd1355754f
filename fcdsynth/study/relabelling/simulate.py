"""One run: a method spends a budget on a pool, round by round.

Every method starts from the same items, trains the same network on the labels that count, and
spends the same number of annotations a round (reference/relabelling.md 5.2). Those that look
twice spend a fixed share on it, except ActiveLab, which splits by itself; what finds no item to
look at goes to new ones. Those with a score obey one guard: after a look that changed nothing an
item rests for two rounds, and none is looked at more than twice after its first label.
"""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import SettingsError
from fcdsynth.study.relabelling.book import Book, Look
from fcdsynth.study.relabelling.choose import (
    SecondLooks,
    activelab_consensus,
    doubted,
    order_new,
    split_activelab,
)
from fcdsynth.study.relabelling.methods import Method
from fcdsynth.study.relabelling.network import Networks, train_networks
from fcdsynth.study.relabelling.noise import NoiseSettings, draw_annotations
from fcdsynth.study.relabelling.protocol import Curve, Protocol
from fcdsynth.study.relabelling.sets import ClassificationSet
from fcdsynth.study.relabelling.suspicion import look_out_of_fold


def simulate(
    data: ClassificationSet, method: Method, noise: NoiseSettings, protocol: Protocol, seed: int
) -> Curve:
    """Run one method.

    Args:
        data: The set, drawn with the same seed.
        method: How to spend.
        noise: How annotators err.
        protocol: Budget and networks.
        seed: Seed; what it draws is the same for every method.

    Raises:
        SettingsError: If the pool is smaller than the budget.
    """
    n, start = len(data.truth), time.perf_counter()
    if n < protocol.total:
        raise SettingsError("pool", f"{n} items", f"{protocol.total} or more",
                            "Ask for a larger pool or a smaller budget.")  # fmt: skip
    answers = draw_annotations(data, noise, protocol.rounds + 1, seed)
    if method.noise_free:
        answers = np.repeat(data.truth[:, None], protocol.rounds + 1, axis=1)
    book = Book(answers, data.truth, protocol.rule)
    queue = SecondLooks(method, protocol.smoothing)
    rng = np.random.default_rng([seed, 4])
    order = rng.permutation(n)
    folds = rng.permutation(n) % protocol.folds
    for item in order[: protocol.start]:
        book.ask(int(item))
    annotations, accuracy, wrong, looks = [], [], [], list[Look]()
    for number in range(protocol.rounds + 1):
        last, rows = number == protocol.rounds, book.labelled
        seen, start_seed = None, 1000 * seed + number
        trusted = np.ones(len(rows), dtype=bool)
        if method.out_of_fold and not (last and method.plain_labels):
            networks = _train(data, book, protocol, start_seed, folds)
            network = networks.only(0)
            seen = look_out_of_fold(networks, data.pool[rows], folds[rows])
            if method.new == "activelab":
                book.settle(rows, activelab_consensus(book, seen))
            if method.withheld:
                trusted = ~doubted(book, data.pool, seen)
            if not method.plain_labels:
                network = _train(data, book, protocol, start_seed, trusted=trusted)
        else:
            network = _train(data, book, protocol, start_seed)
        _, p = network.see(data.test)
        annotations.append(book.spent)
        accuracy.append(float(np.mean(p[0].argmax(axis=1) == data.test_truth)))
        wrong.append(book.wrong_share)
        if last:
            break
        if method.new == "activelab" and seen is not None:
            old, new = split_activelab(network, data.pool, book, seen, protocol.batch)
        else:
            count = round(protocol.share * protocol.batch)
            old = queue.pick(count, book, data.pool, seen, rng)
            new = order_new(method, network, data.pool, book, order, rng)
        for item in new[: protocol.batch - len(old)]:
            book.ask(int(item))
        taken = [book.ask(int(item)) for item in old]
        queue.learn(taken, book)
        looks += taken
    return Curve(
        tuple(annotations), tuple(accuracy), tuple(wrong),
        float(np.mean((book.labels != book.truth)[rows[trusted]])), float(np.mean(~trusted)),
        len(looks),
        sum(look.was_wrong for look in looks),
        sum(look.was_wrong and not look.is_wrong for look in looks),
        sum(look.is_wrong and not look.was_wrong for look in looks),
        int(book.taken.max()), len(book.labelled), time.perf_counter() - start,
    )  # fmt: skip


def _train(
    data: ClassificationSet, book: Book, protocol: Protocol, seed: int,
    folds: NDArray[np.int64] | None = None, trusted: NDArray[np.bool_] | None = None,
) -> Networks:  # fmt: skip
    """Network 0 on all labels that count; with folds, network 1 + f without fold f.

    ``trusted`` says which labelled items train, all when left out.
    """
    rows = book.labelled if trusted is None else book.labelled[trusted]
    members = [np.ones(len(rows), dtype=bool)]
    if folds is not None:
        members += [folds[rows] != fold for fold in range(protocol.folds)]
    return train_networks(
        data.pool[rows], book.labels[rows], np.stack(members), data.classes, protocol.network, seed
    )
