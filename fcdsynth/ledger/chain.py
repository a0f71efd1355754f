"""The hash chain: every event holds the hash of the one before it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

START = "0" * 64


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the ledger.

    Args:
        seq: Its number, from 1 without gaps.
        time: UTC, ISO 8601.
        actor: Who wrote it: a reader's pseudonym, or a verb of fcdsynth.
        verb: Kind of record.
        payload: The record as canonical JSON.
        previous: Hash of the event before, `START` for the first.
        hash: Hash of all of this.
    """

    seq: int
    time: str
    actor: str
    verb: str
    payload: str
    previous: str
    hash: str

    @property
    def fields(self) -> dict[str, Any]:
        """The payload, parsed."""
        return dict(json.loads(self.payload))


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: what was last written."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read ``SEQ:HASH`` back.

        Raises:
            ValueError: If it is nothing of the kind.
        """
        number, _, value = text.partition(":")
        if len(value) != len(START):
            raise ValueError(f"{text!r} is not SEQ:HASH")
        return cls(int(number), value)


def canonical(payload: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no spaces; NaN and infinity are refused.

    Raises:
        ValueError: If a number is not finite.
    """
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False,
                      allow_nan=False)  # fmt: skip


def event_hash(seq: int, time: str, actor: str, verb: str, payload: str, previous: str) -> str:
    """SHA-256 over all that an event says and the hash before it."""
    text = json.dumps([seq, time, actor, verb, payload, previous], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Fault:
    """Something wrong with a chain.

    Args:
        seq: Event at which it shows.
        what: In words.
    """

    seq: int
    what: str


def check_chain(events: Iterable[Event]) -> tuple[Head, tuple[Fault, ...]]:
    """Follow the chain from its start.

    Returns:
        Its end, and what is wrong: gaps, hashes that do not fit, links that do not hold.
    """
    head, faults = Head(0, START), []
    for event in events:
        if event.seq != head.seq + 1:
            between = f"{head.seq + 1} to {event.seq - 1}"
            faults.append(Fault(event.seq, f"events {between} are missing"))
        elif event.previous != head.hash:
            faults.append(Fault(event.seq, "does not follow from the event before it"))
        own = event_hash(event.seq, event.time, event.actor, event.verb, event.payload,
                         event.previous)  # fmt: skip
        if own != event.hash:
            faults.append(Fault(event.seq, "was changed after it was written"))
        head = Head(event.seq, event.hash)
    return head, tuple(faults)
