"""From round to round: what reviews taught, and what is remembered of every mask.

A round is flag, reviews, adopt. The next flag is given the folder of the last and the ledger that
holds the reviews. It learns the probability that a mask is wrong from them (`certainty`), weighs
its channels by their hits (`weights`), smooths each mask's suspicion over rounds as long as the
mask stays the same, and lets masks rest that were confirmed or looked at twice (`memory`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from fcdsynth.core.errors import LedgerError, RunError, SettingsError
from fcdsynth.core.volume import Volume
from fcdsynth.ledger.maskstore import pack
from fcdsynth.ledger.records import Reviewed as Review
from fcdsynth.ledger.records import Scored, label_id
from fcdsynth.ledger.state import State
from fcdsynth.ledger.store import Ledger
from fcdsynth.relabel.certainty import Reviewed
from fcdsynth.relabel.further import PLANTED, Further, mixed
from fcdsynth.relabel.fusion import Verdict
from fcdsynth.relabel.memory import Memory
from fcdsynth.relabel.weights import ChannelRecord, Outcome

STATE = "state.json"
_CHANGED = ("edit", "reject")
_DECIDED = ("accept", *_CHANGED)


@dataclass(frozen=True)
class Rounds:
    """What earlier rounds left; a value: every method returns a new one.

    Args:
        memory: Smoothed suspicion and looks, by subject.
        record: What reviews said of each channel; None before the first.
        scores: Score of each label version in the last round.
        credits: Share of each channel in that score's place in the queue.
        reviews: Reviews so far, with the score that the mask had.
        taken: Ids of the reviews that were taken in.
    """

    memory: Memory = field(default_factory=Memory)
    record: ChannelRecord | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    credits: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reviews: tuple[Reviewed, ...] = ()
    taken: frozenset[str] = frozenset()

    @classmethod
    def read(cls, folder: Path) -> Rounds:
        """What a folder of flag left.

        Raises:
            RunError: If it left nothing of the kind.
        """
        path = folder / STATE
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            record = told["record"]
            return cls(
                Memory.from_plain(told["memory"]),
                ChannelRecord.from_plain(record) if record else None,
                told["scores"], told["credits"],
                tuple(Reviewed(**row) for row in told["reviews"]), frozenset(told["taken"]),
            )  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                str(path), f"{type(error).__name__}: {error}", "the state that flag wrote",
                "Give --previous the folder of an earlier flag with the rule learned.",
            ) from error  # fmt: skip

    def write(self, folder: Path) -> None:
        """Write it for the next round."""
        told = {
            "memory": self.memory.plain(),
            "record": self.record.plain() if self.record else None,
            "scores": dict(self.scores),
            "credits": {label: dict(shares) for label, shares in self.credits.items()},
            "reviews": [asdict(review) for review in self.reviews],
            "taken": sorted(self.taken),
        }
        (folder / STATE).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")

    def after(self, state: State) -> Rounds:
        """The next round, with the reviews of masks that were scored in the last.

        Reviews of planted copies say nothing of the cohort's own masks, and those that left it
        open (unsure) decide nothing: neither is taken in.
        """
        new = [r for name, r in state.reviews.items()
               if name not in self.taken and r.label in self.scores
               and r.source != "planted" and r.after in _DECIDED]  # fmt: skip
        memory = self.memory
        for review in new:
            subject = state.labels[review.label].subject
            if review.after in _CHANGED:
                memory = memory.edited(subject, review.new_label or review.label)
            else:
                memory = memory.confirmed(subject, review.label)
        return replace(
            self, memory=memory.next_round(), record=self._learned(new),
            reviews=(*self.reviews, *(
                Reviewed(self.scores[r.label], r.after in _CHANGED, r.source == "audit")
                for r in new
            )),
            taken=self.taken | {r.review for r in new},
        )  # fmt: skip

    def _learned(self, reviews: Sequence[Review]) -> ChannelRecord | None:
        if not reviews:
            return self.record
        names = sorted({name for shares in self.credits.values() for name in shares})
        record = self.record or ChannelRecord.of(names or [PLANTED])
        # A channel that is asked for the first time joins without a past.
        for name in names:
            if name not in record.hits:
                record = replace(record, hits={**record.hits, name: 0.0},
                                 misses={**record.misses, name: 0.0})  # fmt: skip
        return record.after([
            Outcome(self.credits.get(r.label, {PLANTED: 1.0}), r.after in _CHANGED)
            for r in reviews
        ])  # fmt: skip

    def observed(
        self, versions: Mapping[str, str], raw: Mapping[str, Verdict],
        ordered: Mapping[str, Verdict], credits: Mapping[str, Mapping[str, float]],
    ) -> Rounds:  # fmt: skip
        """After this round's scores.

        Args:
            versions: Label version of each subject's mask.
            raw: Verdicts, whose scores P(wrong) rests on.
            ordered: The same with the scores that order the queue.
            credits: Share of each channel in them, by subject.
        """
        memory = self.memory.observe(
            {s: (versions[s], v.score) for s, v in ordered.items() if s in versions}
        )
        return replace(
            self, memory=memory,
            scores={versions[s]: v.score for s, v in raw.items() if s in versions},
            credits={versions[s]: shares for s, shares in credits.items() if s in versions},
        )  # fmt: skip

    def smoothed(self, ordered: Mapping[str, Verdict]) -> dict[str, Verdict]:
        """Verdicts ordered by what is remembered, with this round in it."""
        return {
            s: replace(v, score=self.memory.report(s)) if s in self.memory.traces else v
            for s, v in ordered.items()
        }

    def rests(self, subject: str) -> str:
        """Why a mask is not to be asked about now, in words; empty when it may."""
        if self.memory.may_look(subject):
            return ""
        trace = self.memory.traces[subject]
        if trace.looks >= self.memory.settings.looks:
            return f"looked at {trace.looks} times; wait for new evidence"
        return f"confirmed; rests until round {trace.rests_until + 1}"

    def records(
        self, versions: Mapping[str, str], raw: Mapping[str, Verdict], further: Further,
        order: Sequence[str], model: str,
    ) -> list[Scored]:  # fmt: skip
        """What the ledger is told of this round, in the order of the queue.

        Args:
            versions: Label version of each subject's mask.
            raw: Verdicts.
            further: Values of the further channels.
            order: Subjects of the queue.
            model: Name of the maps.
        """
        weights = self.record.weights if self.record else {}
        number = self.memory.round
        found = []
        for rank, subject in enumerate(order, start=1):
            if subject not in versions or subject not in raw:
                continue
            label, verdict = versions[subject], raw[subject]
            found.append(
                Scored(label, model, PLANTED, verdict.score, number, p_err=verdict.p_err,
                       weight=weights.get(PLANTED), ema=self.memory.report(subject), rank=rank)
            )  # fmt: skip
            found += [
                Scored(label, model, name, values[subject], number, weight=weights.get(name))
                for name, values in further.values.items()
                if values.get(subject, float("nan")) == values.get(subject)
            ]
        return found


def read_state(ledger: str | None) -> State | None:
    """What a ledger says; None without one.

    Raises:
        LedgerError: If it cannot be read.
    """
    if ledger is None:
        return None
    with Ledger.open(ledger) as opened:
        return opened.state


def begin(previous: str | None, state: State | None, rule: str) -> Rounds:
    """What this round begins with.

    Args:
        previous: Folder of the last round; None in the first.
        state: What the ledger says; None without one.
        rule: The rule of this round.

    Raises:
        RunError: If the folder holds no round.
        SettingsError: If rounds are asked of another rule than learned.
    """
    if (previous or state) and rule != "learned":
        raise SettingsError(
            "previous, ledger", f"rule {rule}", "the rule learned, whose scores can be remembered",
            "Give --rule learned (12 masks or more), or leave both out.",
        )  # fmt: skip
    past = Rounds.read(Path(previous)) if previous else Rounds()
    if previous is None:
        return past
    return past.after(state) if state else replace(past, memory=past.memory.next_round())


def remember(
    past: Rounds, raw: Mapping[str, Verdict], further: Further, channels: Sequence[str],
    masks: Mapping[str, Volume], state: State | None,
) -> tuple[Rounds, dict[str, Verdict]]:  # fmt: skip
    """Take in a round's scores; the verdicts that order its queue.

    Args:
        past: From `begin`.
        raw: Verdicts of this round.
        further: Values of the further channels.
        channels: Which of them count.
        masks: Masks by patient.
        state: What the ledger says; None without one.

    Raises:
        LedgerError: If a mask is not in the ledger.
        SettingsError: If a channel is unknown or was not measured.
    """
    versions = versions_of(masks)
    for subject, label in versions.items() if state else ():
        if state is not None and label not in state.labels:
            raise LedgerError(
                subject, "a mask that the ledger does not hold", "the masks recorded there",
                "Run fcdsynth ledger record on this cohort first.",
            )  # fmt: skip
    ordered, credits = mixed(raw, further, channels, past.record)
    now = past.observed(versions, raw, ordered, credits)
    return now, now.smoothed(ordered)


def tell(
    ledger: str, now: Rounds, masks: Mapping[str, Volume], raw: Mapping[str, Verdict],
    further: Further, order: Sequence[str], model: str,
) -> None:  # fmt: skip
    """Write a round's scores into the ledger, see `Rounds.records`.

    Raises:
        LedgerError: If the ledger cannot be written.
    """
    with Ledger.open(ledger) as opened:
        opened.extend(now.records(versions_of(masks), raw, further, order, model), "fcdsynth flag")


def versions_of(masks: Mapping[str, Volume]) -> dict[str, str]:
    """Id of the label version that each mask is, by subject."""
    return {subject: label_id(subject, pack(mask)[0]) for subject, mask in masks.items()}
