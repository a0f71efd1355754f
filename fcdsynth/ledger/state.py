"""State: what all events together say now, kept up to date event by event."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from fcdsynth.ledger.chain import START, Event, Head
from fcdsynth.ledger.plain import (
    from_plain,
)
from fcdsynth.ledger.records import (
    Disagreed,
    LabelMade,
    LabelStatus,
    ModelTrained,
    ReaderJoined,
    Record,
    Released,
    Reviewed,
    RoundClosed,
    RoundPlanned,
    SubjectAdded,
    SyntheticMade,
)
from fcdsynth.ledger.words import (
    LabelOrigin,
    Status,
)


@dataclass
class State:
    """What is known after the event `head`; changed only by `apply`.

    Args:
        head: The last event applied.
        subjects: By id, as last recorded.
        readers: By pseudonym, as last recorded.
        labels: Label versions by id.
        status: Status of each.
        active: Active label version of each subject that has one.
        versions: Label versions of each subject, oldest first.
        reviews: By id.
        reviews_of: Ids of the reviews of each label version, oldest first.
        disagreements: In order.
        models: By name.
        saw: Models that each label version trained.
        synthetic: Synthetic labels by id.
        planned: Rounds by number.
        closed: Rounds by number.
        releases: By name.
        images: Hashes of images, ``subject modality`` to hash.
    """

    head: Head = field(default_factory=lambda: Head(0, START))
    subjects: dict[str, SubjectAdded] = field(default_factory=dict)
    readers: dict[str, ReaderJoined] = field(default_factory=dict)
    labels: dict[str, LabelMade] = field(default_factory=dict)
    status: dict[str, Status] = field(default_factory=dict)
    active: dict[str, str] = field(default_factory=dict)
    versions: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    reviews: dict[str, Reviewed] = field(default_factory=dict)
    reviews_of: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    disagreements: list[Disagreed] = field(default_factory=list)
    models: dict[str, ModelTrained] = field(default_factory=dict)
    saw: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    synthetic: dict[str, SyntheticMade] = field(default_factory=dict)
    planned: dict[int, RoundPlanned] = field(default_factory=dict)
    closed: dict[int, RoundClosed] = field(default_factory=dict)
    releases: dict[str, Released] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)

    def apply(self, event: Event) -> None:
        """Take in the next event."""
        if event.verb in _PASSED_OVER:
            self.head = Head(event.seq, event.hash)
            return
        self.take(from_plain(event.verb, event.fields))
        self.head = Head(event.seq, event.hash)

    def take(self, record: Record) -> None:
        """Take in what a record says."""
        match record:
            case SubjectAdded():
                self.subjects[record.subject] = record
            case ReaderJoined():
                self.readers[record.reader] = record
            case LabelMade():
                self.labels[record.label] = record
                never = record.origin in (LabelOrigin.SYNTHETIC, LabelOrigin.PLANTED)
                self.versions[record.subject].append(record.label)
                self.status[record.label] = Status.NEVER if never else Status.SUPERSEDED
            case LabelStatus():
                self._change(record)
            case Reviewed():
                self.reviews[record.review] = record
                self.reviews_of[record.label].append(record.review)
            case Disagreed():
                self.disagreements.append(record)
            case ModelTrained():
                self.models[record.model] = record
                for label in record.labels:
                    self.saw[label].append(record.model)
            case SyntheticMade():
                self.synthetic[record.label] = record
            case RoundPlanned():
                self.planned[record.round] = record
            case RoundClosed():
                self.closed[record.round] = record
            case Released():
                self.releases[record.release] = record
            case _:
                if hasattr(record, "modality"):
                    key = f"{getattr(record, 'subject', '')} {record.modality}"
                    self.images[key] = str(getattr(record, "image", ""))

    def _change(self, record: LabelStatus) -> None:
        subject = self.labels[record.label].subject
        status = Status(record.status)
        before = self.active.get(subject)
        if status is Status.ACTIVE:
            if before is not None and before != record.label:
                self.status[before] = Status.SUPERSEDED
            self.active[subject] = record.label
        elif before == record.label:
            del self.active[subject]
        self.status[record.label] = status

    def rank_of(self, label: str) -> int:
        """Evidence rank of a label version."""
        return self.labels[label].evidence_rank

    def minutes_of(self, number: int) -> dict[str, float]:
        """Minutes of a round's reviews by task."""
        found: dict[str, float] = defaultdict(float)
        for review in self.reviews.values():
            if review.round == number:
                found[review.task] += review.seconds_active / 60
        return dict(found)


# Kinds that nothing is derived from: they are read from the events when asked for.
_PASSED_OVER = frozenset({"region made", "scored", "influenced", "failed"})
