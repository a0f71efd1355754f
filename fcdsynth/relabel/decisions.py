"""What signed reviews make of each active label: the rule of adoption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fcdsynth.ledger.records import LabelStatus, Reviewed
from fcdsynth.ledger.rules import may
from fcdsynth.ledger.state import State
from fcdsynth.ledger.words import Status


@dataclass(frozen=True)
class Decision:
    """What becomes of a subject's active label.

    Args:
        subject: The subject.
        label: The label version that was reviewed.
        outcome: ``kept``, ``edited``, ``withdrawn`` or ``disputed``.
        changes: Status changes to be written, in order.
        reason: In words.
        voices: The reviews that decided.
    """

    subject: str
    label: str
    outcome: str
    changes: tuple[LabelStatus, ...]
    reason: str
    voices: tuple[Reviewed, ...] = ()


def decide(state: State) -> tuple[Decision, ...]:
    """Decide about every subject whose active or disputed label has signed reviews.

    The last signed review of a disagreement decides; a disputed label waits for one. Without one,
    readers who agree decide together, and readers who differ leave the label disputed. *Unsure*
    decides nothing. A review that rests on too little for what it asks leaves the label disputed
    too (the evidence-rank rule). Reviews that nobody signed are never taken.
    """
    found = []
    disputed = {state.labels[name].subject: name for name, status in state.status.items()
                if status is Status.DISPUTED}  # fmt: skip
    for subject, label in sorted({**disputed, **state.active}.items()):
        signed = [state.reviews[name] for name in state.reviews_of.get(label, ())]
        signed = [r for r in signed if r.signed and r.task != "synthetic"]
        voices = [r for r in signed if r.task == "disagreement" and r.after != "unsure"][-1:]
        if not voices and subject in state.active:
            voices = [r for r in _last_of_each_reader(signed) if r.after != "unsure"]
        if voices:
            decision = _decide(state, subject, label, voices)
            if decision.outcome == "disputed" and subject not in state.active:
                continue  # as it was
            found.append(replace(decision, voices=tuple(voices)))
    return tuple(found)


def _decide(state: State, subject: str, label: str, voices: Sequence[Reviewed]) -> Decision:
    said = {(r.after, r.new_label) for r in voices}
    last = voices[-1]
    if len(said) > 1:
        told = ", ".join(f"{r.reader} {r.after}" for r in voices)
        return _disputed(subject, label, f"readers differ: {told}")
    if last.after == "accept":
        reason = f"accepted by {_names(voices)}"
        # It needs no evidence to let stand what stood.
        back = () if subject in state.active else (
            LabelStatus(label, Status.ACTIVE.value, reason),)  # fmt: skip
        return Decision(subject, label, "kept", back, reason)
    action = "edit" if last.after == "edit" else "remove"
    strongest = max(voices, key=lambda r: r.evidence_rank)
    if not may(action, strongest.evidence_rank, state.rank_of(label)):
        why = (f"a review of evidence rank {strongest.evidence_rank} would {action} a label of "
               f"rank {state.rank_of(label)}")  # fmt: skip
        return _disputed(subject, label, why)
    reason = f"{last.reason or last.after}, by {_names(voices)}"
    if action == "edit":
        changes = (LabelStatus(last.new_label, Status.ACTIVE.value, reason, strongest.review),)
        return Decision(subject, label, "edited", changes, reason)
    changes = (LabelStatus(label, Status.WITHDRAWN.value, reason, strongest.review),)
    return Decision(subject, label, "withdrawn", changes, reason)


def _disputed(subject: str, label: str, reason: str) -> Decision:
    change = LabelStatus(label, Status.DISPUTED.value, reason)
    return Decision(subject, label, "disputed", (change,), reason)


def _last_of_each_reader(reviews: Sequence[Reviewed]) -> list[Reviewed]:
    return list({r.reader: r for r in reviews}.values())


def _names(reviews: Sequence[Reviewed]) -> str:
    return ", ".join(r.reader for r in reviews)
