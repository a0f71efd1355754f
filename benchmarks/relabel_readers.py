"""What a plan's minutes confirm with simulated readers, against checks at random.

Goal: at least 1.5 times as many confirmed errors a minute as random checks. Whether the plan's
expectation holds is told beside it. The truth of the masks must be known, so they are phantoms or
masks with planted errors; the reader is simulated, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from figures import Figures

from fcdsynth.relabel.budget.belief import Belief, Beliefs
from fcdsynth.relabel.budget.candidates import Setting, inspections
from fcdsynth.relabel.budget.choose import ChoiceSettings, choose
from fcdsynth.relabel.budget.expected import expect
from fcdsynth.relabel.budget.inputs import Row
from fcdsynth.relabel.budget.minutes import MinutesLaw
from fcdsynth.relabel.budget.work import INSPECT, PLANTED, Work

RESAMPLES = 2000


@dataclass(frozen=True)
class Session:
    """What one simulated session gave.

    Args:
        wrong: Wrong masks that the reader changed: confirmed errors.
        changed: All masks that the reader changed, false alarms too.
        minutes: Minutes spent, planted errors included.
    """

    wrong: int
    changed: int
    minutes: float


def measure_readers(
    figures: Figures,
    queue: Sequence[tuple[str, float, float]],
    truth: Mapping[str, bool],
    minutes: float = 120.0,
    reader_error: float = 0.1,
    law: MinutesLaw | None = None,
    base_rate: float = 0.2,
    repeats: int = 200,
    seed: int = 0,
    prefix: str = "",
) -> None:
    """Add the figures of a plan's inspections against random checks of the same masks.

    In every repeat the plan is drawn anew (audit, planted errors, order), and the reader's
    judgements and minutes are drawn, the minutes from a log-normal law; random checks get the
    same minutes, the same reader and no planted errors, so that the plan pays for its own
    quality control.

    Args:
        figures: Where to.
        queue: Subject, p_err and volume in ml of every mask.
        truth: Whether each subject's mask is wrong.
        minutes: Minutes of a session.
        reader_error: Share of masks that the reader misjudges, wrong and right ones alike.
        law: Law of the reader's minutes, which the plan knows; the assumed one when None.
        base_rate: Share of wrong masks that p_err rests on.
        repeats: Simulated sessions.
        seed: Seed.
        prefix: Put before the figures' names.
    """
    law = law or MinutesLaw()
    rows = [Row(subject, p, "", volume) for subject, p, volume in queue]
    # As if the reader had been tested on a hundred planted errors.
    errs = Belief(reader_error, round(100 * reader_error), 100)
    work, _ = inspections(rows, Setting(Beliefs(errs), law))
    planned, random, expected = [], [], []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        settings = ChoiceSettings(minutes, break_even=errs.mean, seed=seed * repeats + repeat)
        items = choose(work, settings).of(INSPECT)
        real = [item for item in items if item.source != PLANTED]
        expected.append(
            expect([i.p_err or 0.0 for i in real], Belief(base_rate), errs, repeat, 1000)
        )
        planned.append(_read(items, truth, reader_error, law, rng))
        drawn = [work[i] for i in rng.permutation(len(work))]
        random.append(_read(_until(drawn, minutes), truth, reader_error, law, rng))
    ratio = _rate(planned) / _rate(random)
    ends = _interval(planned, random, np.random.default_rng([seed, 1]))
    figures.add(f"{prefix}errors_per_minute_ratio", ratio, repeats, ends, at_least=1.5)
    low, high = (float(np.mean([getattr(e, end) for e in expected])) for end in ("low", "high"))
    said = float(np.mean([e.changed for e in expected]))
    figures.add(f"{prefix}plan_expected_errors", said, repeats, (low, high))
    got = [session.changed for session in planned]
    spread = np.quantile(got, [0.025, 0.975])
    figures.add(f"{prefix}plan_got_errors", float(np.mean(got)), repeats, (spread[0], spread[1]))
    inside = sum(e.low <= s.changed <= e.high for e, s in zip(expected, planned, strict=True))
    figures.add_share(f"{prefix}plan_within_interval", inside, repeats)
    figures.notes.append(
        f"simulated readers: {len(rows)} masks, {sum(truth[r.subject] for r in rows)} wrong, "
        f"{minutes:g} minutes, the reader errs at {reader_error:.0%}; the plan's and the random "
        f"checks' confirmed errors a minute are {_rate(planned):.3f} and {_rate(random):.3f}; "
        "expected and got count false alarms too"
    )


def _until(drawn: Sequence[Work], minutes: float) -> list[Work]:
    found: list[Work] = []
    for item in drawn:
        if item.minutes <= minutes:
            found.append(item)
            minutes -= item.minutes
    return found


def _read(
    items: Sequence[Work], truth: Mapping[str, bool], reader_error: float, law: MinutesLaw,
    rng: np.random.Generator,
) -> Session:  # fmt: skip
    """A reader works through a list."""
    wrong = changed = 0
    # The law gives means; times scatter around their median.
    times = [i.minutes * float(np.exp(rng.normal(-(law.sigma**2) / 2, law.sigma))) for i in items]
    for item in items:
        errs = rng.random() < reader_error
        if item.source != PLANTED:
            changed += truth[item.subject] != errs
            wrong += truth[item.subject] and not errs
    return Session(int(wrong), int(changed), sum(times))


def _rate(sessions: Sequence[Session]) -> float:
    return sum(s.wrong for s in sessions) / sum(s.minutes for s in sessions)


def _interval(
    planned: Sequence[Session], random: Sequence[Session], rng: np.random.Generator
) -> tuple[float, float]:
    """95 % bootstrap interval over repeats of the ratio of rates."""
    a = np.array([(s.wrong, s.minutes) for s in planned], dtype=float)
    b = np.array([(s.wrong, s.minutes) for s in random], dtype=float)
    ratios = []
    for _ in range(RESAMPLES):
        chosen = rng.integers(len(a), size=len(a))
        x, y = a[chosen].sum(axis=0), b[chosen].sum(axis=0)
        ratios.append((x[0] / x[1]) / max(y[0] / y[1], 1e-9))
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)
