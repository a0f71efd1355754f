"""Draws of every way in every host, measured and judged; each host is read once a world."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from mask_baselines import warped
from mask_proof import Fit, Piece, pieces_of_mask
from mask_rules import Anatomy, Verdict, judge

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError
from fcdsynth.core.progress import map_items
from fcdsynth.core.subject import Subject
from fcdsynth.masks.checks import Limits
from fcdsynth.masks.host import Host, load_host
from fcdsynth.masks.job import Law, Task, draw_subject
from fcdsynth.masks.laws.lesions import mask_of
from fcdsynth.masks.placement import place
from fcdsynth.masks.ways.choice import choose_donor
from fcdsynth.masks.ways.gather import gallery_of

DRAWN = ("growth", "transplant", "ellipsoid")
WAYS = (*DRAWN, "warped")
FREE_OF_RULES = "ellipsoid"
_IN_SPARE_HOSTS = 6  # draws by each way in a head whose label map no control has


@dataclass(frozen=True)
class Order:
    """One subject to draw.

    Args:
        split: Whose prior and donors.
        number: Its number within the split.
        way: A way of `WAYS`; ``several`` is growth of as many lesions as the prior draws.
        compared: Whether it is told from held-out masks, rather than only judged.
    """

    split: int
    number: int
    way: str
    compared: bool = True


@dataclass(frozen=True, eq=False)
class Made:
    """What came of an order.

    Args:
        order: The order.
        pieces: Pieces of the mask, for an order that is compared.
        verdicts: One for each lesion, of ways that promise to keep the rules.
        refused: How often each test refused a try.
        given_up: Whether every try was refused.
    """

    order: Order
    pieces: tuple[Piece, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    refused: tuple[tuple[str, int], ...] = ()
    given_up: bool = False


def laws_of(fits: Sequence[Fit], seed: int) -> list[dict[str, Law]]:
    """What `fcdsynth draw` would draw by for each dealing, by way."""
    laws = []
    for number, fit in enumerate(fits):
        donors = {(d.subject, d.number): d for p in fit.train for d in p.donors}
        law = Law(seed + number, fit.prior, "growth", None, Limits(), 1, donors, gallery_of(donors))
        ways = {way: replace(law, method=way) for way in DRAWN}
        laws.append({**ways, "several": replace(law, per_subject=None)})
    return laws


def dealt(
    cohort: Cohort, splits: int, per_set: int, several: int
) -> list[tuple[str, tuple[Order, ...]]]:
    """Deal the orders of all dealings out to the hosts.

    Hosts are the controls; each set visits every one before any twice. A label map that no control
    has is judged in the first patient's head that has it, and not compared.
    """
    hosts = [s for s in cohort.subjects if not s.is_patient]
    orders: dict[str, list[Order]] = {s.id: [] for s in hosts}
    for split in range(splits):
        rounds = [np.random.default_rng([split, n, 77]).permutation(len(hosts))
                  for n in range(-(-per_set // len(hosts)))]  # fmt: skip
        for number, index in enumerate(np.concatenate(rounds)[:per_set]):
            orders[hosts[index].id] += [Order(split, number, way) for way in WAYS]
    for number in range(several):
        host = hosts[number % len(hosts)].id
        orders[host].append(Order(number % splits, 10**4 + number, "several", False))
    for host in spare_hosts(cohort):
        orders[host.id] = [
            Order(n % splits, 2 * 10**4 + n, way, False)
            for n in range(_IN_SPARE_HOSTS) for way in ("growth", "transplant", "several")
        ]  # fmt: skip
    return [(name, tuple(given)) for name, given in orders.items()]


def spare_hosts(cohort: Cohort) -> list[Subject]:
    """The first patient of each label map that no control has."""
    first: dict[str, Subject] = {}
    for subject in cohort.subjects:
        if subject.is_patient:
            first.setdefault(subject.family, subject)
    taken = {s.family for s in cohort.subjects if not s.is_patient}
    return [subject for family, subject in sorted(first.items()) if family not in taken]


def draw_all(
    cohort: Cohort, laws: Path, orders: Sequence[tuple[str, tuple[Order, ...]]], workers: int
) -> list[Made]:
    """Carry all orders out.

    Args:
        cohort: The cohort.
        laws: Pickled result of `laws_of`; each process reads it once.
        orders: Result of `dealt`.
        workers: Number of processes.
    """
    found = map_items(partial(_draw_in, cohort.folder, laws), list(orders), "drawing", workers)
    return [made for part in found for made in part]


@lru_cache(maxsize=1)
def _laws(path: Path) -> list[dict[str, Law]]:
    return pickle.loads(path.read_bytes())


def _draw_in(folder: Path, laws: Path, job: tuple[str, tuple[Order, ...]]) -> list[Made]:
    name, orders = job
    table = Cohort.read(folder)
    subject = table[name]
    host, anatomy = load_host(table, subject, with_lesion=False), Anatomy.read(table, subject)
    if not np.allclose(anatomy.matrix, host.grid.matrix):
        raise CohortError(name, "maps stored in another order than they are read",
                          "one grid", "Read them alike.")  # fmt: skip
    found = []
    for split in sorted({order.split for order in orders}):
        own = _laws(laws)[split]
        placement = place(host, own["growth"].prior)
        for order in (o for o in orders if o.split == split):
            if order.way == "warped":
                found.append(_warped(host, own["transplant"], order, subject.family))
                continue
            task = Task(order.number, "lesion", f"draw-{order.split}-{order.number}")
            try:
                drawn = draw_subject(placement, own[order.way], task)
            except CohortError:
                found.append(Made(order, given_up=True))
                continue
            pieces: tuple[Piece, ...] = ()
            if order.compared:
                mask = drawn.grown[0].mask_on(host.grid)
                pieces = pieces_of_mask(host, mask, subject.family, drawn.specs[0].donor)
            judged = () if order.way == FREE_OF_RULES else judge(anatomy, drawn.specs, drawn.grown)
            refused = tuple(sorted(drawn.refused.items()))
            found.append(Made(order, pieces, tuple(judged), refused))
    return found


def _warped(host: Host, law: Law, order: Order, family: str) -> Made:
    rng = np.random.default_rng([law.seed, order.number, 5])
    donor = law.donors[choose_donor(law.donors, law.prior.size.draw(rng), rng)]
    mask = mask_of(warped(host, donor, rng), host.grid)
    return Made(order, pieces_of_mask(host, mask, family, donor.subject))
