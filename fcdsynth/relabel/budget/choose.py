"""Choose: greedy by gain per minute, with floors, an audit, planted errors and stops.

Reference/relabelling.md 4b (own design). The audit is drawn at random from all masks that may be
inspected, before anything is chosen for its score, so that it tells the share of wrong masks
without bias.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fcdsynth.core.errors import SettingsError
from fcdsynth.ledger.words import TASKS
from fcdsynth.relabel.budget.work import (
    AUDIT,
    INSPECT,
    PLANTED,
    SECOND_LOOKS,
    Work,
)

_FEWEST_FOR_PLANTED = 10  # one planted error among fewer would be more than a tenth


@dataclass(frozen=True, slots=True)
class ChoiceSettings:
    """How minutes are shared out.

    Args:
        minutes: Minutes that there are.
        floor: Least share of them for every kind that has work.
        audit: Share of the inspections that are drawn at random.
        planted: Share of the inspections that are copies with a planted error, from 10 on.
        second_looks: Most share of the minutes for labels that exist, while others have work.
        most: Most items in all, against fatigue; 0 for no limit.
        break_even: P(err) below which a mask is not inspected for its score.
        seed: Seed of audit, planted errors and order.

    Raises:
        SettingsError: If a value is out of range.
    """

    minutes: float
    floor: float = 0.05
    audit: float = 0.1
    planted: float = 0.05
    second_looks: float = 0.5
    most: int = 0
    break_even: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (("minutes", 1.0, 1e5), ("floor", 0.0, 0.2), ("audit", 0.0, 1.0),
                                ("planted", 0.0, 0.1), ("second_looks", 0.0, 1.0),
                                ("most", 0, 10**6)):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(name, f"{value:g}", f"{low:g} to {high:g}", "Change it.")


@dataclass(frozen=True)
class Choice:
    """What is to be done.

    Args:
        items: The work, in the order of the list.
        next_item: The best one not chosen, None where none is worth its minutes.
        stops: Why each kind stopped, for kinds that had work.
    """

    items: tuple[Work, ...]
    next_item: Work | None
    stops: dict[str, str]

    @property
    def minutes(self) -> float:
        """Minutes of all items."""
        return sum(item.minutes for item in self.items)

    def of(self, kind: str) -> list[Work]:
        """Items of one kind."""
        return [item for item in self.items if item.kind == kind]


class _Filling:
    """A list that fills up: minutes, one item a patient, and the most items."""

    def __init__(self, settings: ChoiceSettings) -> None:
        self.settings = settings
        self.items: list[Work] = []
        self.subjects: set[str] = set()
        self.left = settings.minutes
        self.by_kind = dict.fromkeys(TASKS, 0.0)

    @property
    def second_looks(self) -> float:
        return sum(self.by_kind[kind] for kind in SECOND_LOOKS)

    @property
    def full(self) -> bool:
        return bool(self.settings.most) and len(self.items) >= self.settings.most

    def fits(self, item: Work) -> bool:
        return item.subject not in self.subjects and item.minutes <= self.left and not self.full

    def take(self, item: Work) -> None:
        self.items.append(item)
        self.subjects.add(item.subject)
        self.left -= item.minutes
        self.by_kind[item.kind] += item.minutes


def choose(work: Sequence[Work], settings: ChoiceSettings) -> Choice:
    """Share out the minutes.

    Args:
        work: Everything that could be done; inspections with source ``suspected``.
        settings: How.
    """
    rng = np.random.default_rng([settings.seed, 11])
    masks = sorted((w for w in work if w.kind == INSPECT), key=lambda w: w.subject)
    drawn = [masks[i] for i in rng.permutation(len(masks))]
    # Errors are planted in masks that are believed right: planted in wrong ones they say nothing.
    right = [w for w in drawn if (w.p_err or 0.0) <= np.median([m.p_err or 0.0 for m in masks])]
    audits = planted = 0
    while True:
        filling = _fill(work, drawn[:audits], right, planted, settings)
        n = sum(item.kind == INSPECT for item in filling.items)
        more_audits = min(max(math.ceil(settings.audit * n), audits), len(drawn))
        more_planted = max(math.ceil(settings.planted * n) * (n >= _FEWEST_FOR_PLANTED), planted)
        lacking = audits < len(drawn) and _lacks_floor(filling, drawn, settings)
        if (more_audits, more_planted) == (audits, planted) and not lacking:
            break
        audits = min(max(more_audits, audits + lacking), len(drawn))
        planted = more_planted
    return Choice(_in_order(filling.items, rng), *_rest(work, filling, settings))


def _fill(
    work: Sequence[Work], audits: Sequence[Work], right: Sequence[Work], planted: int,
    settings: ChoiceSettings,
) -> _Filling:  # fmt: skip
    filling = _Filling(settings)
    for item in audits:
        if filling.fits(item):
            filling.take(replace(item, source=AUDIT))
    free = [item for item in right if item.subject not in {a.subject for a in audits}]
    for item in free[:planted]:
        if filling.fits(item):
            filling.take(replace(item, source=PLANTED))
    ranked = _ranked(work, settings)
    for kind in sorted({w.kind for w in ranked}, key=TASKS.index):
        for item in (w for w in ranked if w.kind == kind):
            if filling.by_kind[kind] >= settings.floor * settings.minutes:
                break
            if filling.fits(item):
                filling.take(item)
    most_looks = settings.second_looks * settings.minutes
    has_others = any(w.kind not in SECOND_LOOKS for w in ranked)
    waiting = []  # second looks beyond their share, for minutes that nothing else can use
    for item in ranked:
        beyond = filling.second_looks + item.minutes > most_looks
        if has_others and item.kind in SECOND_LOOKS and beyond:
            waiting.append(item)
        elif filling.fits(item):
            filling.take(item)
    for item in waiting:
        if filling.fits(item):
            filling.take(item)
    return filling


def _ranked(work: Sequence[Work], settings: ChoiceSettings) -> list[Work]:
    """What pays, the most gain per minute first; equals in an order drawn by the seed."""
    rng = np.random.default_rng([settings.seed, 17])
    fixed = sorted(work, key=lambda w: (TASKS.index(w.kind), w.subject))
    drawn = [fixed[i] for i in rng.permutation(len(fixed))]
    return sorted((w for w in drawn if _pays(w, settings)), key=lambda w: -w.roi)


def _pays(item: Work, settings: ChoiceSettings) -> bool:
    if item.kind == INSPECT and (item.p_err or 0.0) < settings.break_even:
        return False
    return item.worth > 0


def _lacks_floor(filling: _Filling, drawn: Sequence[Work], settings: ChoiceSettings) -> bool:
    """Whether inspection is below its floor and another audited mask would fit.

    Below break-even no mask is inspected for its score; the floor then goes to the audit.
    """
    short = filling.by_kind[INSPECT] < settings.floor * settings.minutes
    return settings.audit > 0 and short and any(filling.fits(item) for item in drawn)


def _in_order(items: Sequence[Work], rng: np.random.Generator) -> tuple[Work, ...]:
    """Kinds one after the other, the most gain per minute first; at random within a kind.

    Neither place nor neighbours tell an audited or a planted item from a suspected one.
    """
    kinds: dict[str, list[Work]] = {}
    for item in sorted(items, key=lambda i: (TASKS.index(i.kind), i.subject)):
        kinds.setdefault(item.kind, []).append(item)

    def per_minute(kind: str) -> float:
        own = kinds[kind]
        return sum(i.worth for i in own) / sum(i.minutes for i in own)

    ordered = sorted(kinds, key=lambda kind: -per_minute(kind))
    return tuple(kinds[k][i] for k in ordered for i in rng.permutation(len(kinds[k])))


def _rest(
    work: Sequence[Work], filling: _Filling, settings: ChoiceSettings
) -> tuple[Work | None, dict[str, str]]:
    """The best item not chosen, and why each kind stopped."""
    free = [w for w in work if w.subject not in filling.subjects]
    paying = [w for w in _ranked(work, settings) if w.subject not in filling.subjects]
    stops = {}
    for kind in sorted({w.kind for w in work}, key=TASKS.index):
        own = [w for w in free if w.kind == kind]
        if any(w.kind == kind for w in paying):
            stops[kind] = f"the most items, {settings.most}" if filling.full else "minutes are used"
        elif not own:
            stops[kind] = "nothing is left"
        elif kind == INSPECT:
            best = max(w.p_err or 0.0 for w in own)
            stops[kind] = (f"break-even: the best mask left has P(err) {best:.3f}, a reader errs "
                           f"at {settings.break_even:.3f}")  # fmt: skip
        else:
            stops[kind] = "what is left would do more harm than good"
    return (paying[0] if paying else None), stops
