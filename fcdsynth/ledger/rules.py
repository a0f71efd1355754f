"""Rules that hold on every write: what must never get into the record."""

from __future__ import annotations

import re

from fcdsynth.core.errors import LedgerError
from fcdsynth.ledger.records import (
    Disagreed,
    ImageAdded,
    LabelMade,
    LabelStatus,
    ModelTrained,
    ReaderJoined,
    Record,
    Released,
    Reviewed,
    RoundClosed,
    SubjectAdded,
    SyntheticMade,
)
from fcdsynth.ledger.state import State
from fcdsynth.ledger.words import (
    DECISIONS,
    REASONS,
    SOURCES,
    TASKS,
    LabelOrigin,
    Rank,
    Status,
)

_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_NOT_REAL = (LabelOrigin.SYNTHETIC, LabelOrigin.PLANTED)
_SAME_MINUTES = 0.01


def check(state: State, record: Record) -> None:
    """Refuse a record that breaks a rule.

    Raises:
        LedgerError: If it does; nothing is written then.
    """
    match record:
        case SubjectAdded():
            _subject(record)
        case ImageAdded():
            _known(record.subject in state.subjects, record.subject, "image added", "subject")
        case ReaderJoined():
            _pseudonym(record.reader, "reader")
        case LabelMade():
            _label(state, record)
        case LabelStatus():
            _status(state, record)
        case Reviewed():
            _review(state, record)
        case Disagreed():
            _known(record.label in state.labels, record.label, "disagreed", "label")
            for review in record.reviews:
                _known(review in state.reviews, review, "disagreed", "review")
        case SyntheticMade():
            _synthetic(state, record)
        case ModelTrained():
            _model(state, record)
        case RoundClosed():
            _round(state, record)
        case Released():
            _release(state, record)


def may(action: str, review_rank: int, label_rank: int) -> bool:
    """The evidence-rank rule: what a review may do to a label (reference/relabelling.md 2.11).

    A review of rank r may edit the extent of a label of rank r + 1 or less, and remove only one
    of rank r or less: an MRI read never deletes a mask that histology stands behind.

    Args:
        action: ``edit`` or ``remove``.
        review_rank: 0 to 4.
        label_rank: 0 to 4.
    """
    return review_rank + (1 if action == "edit" else 0) >= label_rank


def _subject(record: SubjectAdded) -> None:
    _pseudonym(record.subject, "subject")
    if record.origin == "synthetic" and record.split in ("val", "test"):
        raise LedgerError(
            record.subject, f"a synthetic subject of split {record.split}", "train or none",
            "Evaluate on real subjects.",
        )  # fmt: skip


def _label(state: State, record: LabelMade) -> None:
    _known(record.subject in state.subjects, record.subject, "label made", "subject")
    if record.origin not in set(LabelOrigin):
        raise LedgerError(record.label, f"origin {record.origin!r}", ", ".join(LabelOrigin),
                          "Name one of them.")  # fmt: skip
    _between(record.label, "evidence_rank", record.evidence_rank, int(min(Rank)), int(max(Rank)))
    synthetic = state.subjects[record.subject].origin == "synthetic"
    if synthetic and record.origin not in _NOT_REAL:
        raise LedgerError(
            record.label, f"a label of origin {record.origin} for a synthetic subject",
            "synthetic or planted", "Record it as what it is.",
        )  # fmt: skip
    if record.origin in _NOT_REAL and record.evidence_rank != Rank.MODEL:
        raise LedgerError(record.label, f"evidence rank {record.evidence_rank}", "0",
                          "A synthetic or planted label rests on nothing.")  # fmt: skip
    if record.label in state.labels:
        raise LedgerError(record.label, "a label of this id already", "a new one",
                          "Give the version that is there a new status.")  # fmt: skip
    if record.parent:
        _known(record.parent in state.labels, record.parent, "label made", "parent label")
        other = state.labels[record.parent].subject
        if other != record.subject:
            raise LedgerError(record.label, f"a parent that is a label of {other}",
                              f"one of {record.subject}", "Name the right parent.")  # fmt: skip


def _status(state: State, record: LabelStatus) -> None:
    _known(record.label in state.labels, record.label, "label status", "label")
    if record.status not in set(Status):
        raise LedgerError(record.label, f"status {record.status!r}", ", ".join(Status),
                          "Name one of them.")  # fmt: skip
    label = state.labels[record.label]
    if record.status == Status.ACTIVE and label.origin in _NOT_REAL:
        raise LedgerError(
            record.label, f"a {label.origin} label to be made active", "a label that a human drew",
            "Planted and synthetic labels never become real ones.",
        )  # fmt: skip
    if record.status == Status.WITHDRAWN and not record.reason:
        raise LedgerError(record.label, "no reason", "a reason for the withdrawal", "Give one.")
    if record.review:
        _known(record.review in state.reviews, record.review, "label status", "review")
        _evidence(state, record)


def _evidence(state: State, record: LabelStatus) -> None:
    rank = state.reviews[record.review].evidence_rank
    subject = state.labels[record.label].subject
    if record.status == Status.WITHDRAWN:
        action, old = "remove", record.label
    elif record.status == Status.ACTIVE:
        action, old = "edit", state.active.get(subject, record.label)
    else:
        return
    if not may(action, rank, state.rank_of(old)):
        raise LedgerError(
            old, f"a review of evidence rank {rank} that would {action} a label of rank "
            f"{state.rank_of(old)}", "a review that rests on as much",
            f"Record the label as {Status.DISPUTED.value}, and ask for more evidence.",
        )  # fmt: skip


def _review(state: State, record: Reviewed) -> None:
    _known(record.label in state.labels, record.label, "reviewed", "label")
    _known(record.reader in state.readers, record.reader, "reviewed", "reader")
    for key, allowed in (("before", DECISIONS), ("after", DECISIONS), ("task", TASKS),
                         ("source", SOURCES), ("reason", REASONS)):  # fmt: skip
        if getattr(record, key) not in allowed:
            raise LedgerError(f"{record.review} {key}", repr(getattr(record, key)),
                              ", ".join(a for a in allowed if a), "Name one of them.")  # fmt: skip
    _between(record.review, "confidence", record.confidence, 0, 3)
    _between(record.review, "evidence_rank", record.evidence_rank, int(min(Rank)), int(max(Rank)))
    _between(record.review, "seconds_active", record.seconds_active, 0, 86400)
    if record.review in state.reviews:
        raise LedgerError(record.review, "a review of this id already", "a new id",
                          "Give every review an id of its own.")  # fmt: skip
    if record.new_label:
        _known(record.new_label in state.labels, record.new_label, "reviewed", "label")
        mine, theirs = (state.labels[n].subject for n in (record.label, record.new_label))
        if mine != theirs:
            raise LedgerError(record.review, f"a new label of {theirs}", f"one of {mine}",
                              "Name the right label.")  # fmt: skip
    if record.after == "edit" and not record.new_label:
        raise LedgerError(record.review, "an edit without a new label", "the label that was drawn",
                          "Write the new label first and name it.")  # fmt: skip


def _synthetic(state: State, record: SyntheticMade) -> None:
    _known(record.label in state.labels, record.label, "synthetic made", "label")
    if state.labels[record.label].origin != LabelOrigin.SYNTHETIC:
        raise LedgerError(record.label, f"origin {state.labels[record.label].origin}",
                          "synthetic", "Record the label as synthetic.")  # fmt: skip


def _model(state: State, record: ModelTrained) -> None:
    for label in record.labels:
        _known(label in state.labels, label, "model trained", "label")
        if state.labels[label].origin == LabelOrigin.PLANTED:
            raise LedgerError(record.model, f"planted label {label} in training", "real labels",
                              "Train without planted labels.")  # fmt: skip
    for name in {*record.subjects, *(state.labels[label].subject for label in record.labels)}:
        subject = state.subjects.get(name)
        if subject is None:
            continue
        line = [name, *subject.parents]
        held = [n for n in line if n in state.subjects and state.subjects[n].split == "test"]
        if held:
            raise LedgerError(
                record.model, f"{name} in training, " + (
                    "a test subject" if held == [name] else f"made from test subject {held[0]}"
                ), "subjects and parents outside the test set", "Train the model again without it.",
            )  # fmt: skip


def _round(state: State, record: RoundClosed) -> None:
    _known(record.round in state.planned, f"round {record.round}", "round closed", "round")
    for task, spent in state.minutes_of(record.round).items() | {
        (task, 0.0) for task in record.minutes if task not in state.minutes_of(record.round)
    }:
        said = record.minutes.get(task, 0.0)
        if abs(said - spent) > _SAME_MINUTES:
            raise LedgerError(
                f"round {record.round} {task}", f"{said:.2f} minutes",
                f"{spent:.2f}, the sum of its reviews", "Take the minutes from the reviews.",
            )  # fmt: skip


def _release(state: State, record: Released) -> None:
    for subject, label in record.labels.items():
        _known(label in state.labels, label, "released", "label")
        if state.labels[label].origin in _NOT_REAL and record.splits.get(subject) == "test":
            raise LedgerError(
                record.release, f"{state.labels[label].origin} label {label} in the test set",
                "real labels in the test set", "Take the subject out of the test set.",
            )  # fmt: skip
        if state.labels[label].origin == LabelOrigin.PLANTED:
            raise LedgerError(record.release, f"planted label {label}", "real labels",
                              "Release the mask that the errors were planted in.")  # fmt: skip


def _pseudonym(name: str, what: str) -> None:
    if not _PSEUDONYM.fullmatch(name):
        raise LedgerError(
            f"{what} {name!r}", "no pseudonym", "letters, digits and . _ + -, 64 at most",
            "Give pseudonyms; names stay in the key file.",
        )  # fmt: skip


def _known(holds: bool, name: str, verb: str, what: str) -> None:
    if not holds:
        raise LedgerError(f"{verb} {name}", f"no {what} of that name in the ledger",
                          f"a recorded {what}", f"Record the {what} first.")  # fmt: skip


def _between(name: str, key: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise LedgerError(f"{name} {key}", str(value), f"{low} to {high}", "Change it.")
