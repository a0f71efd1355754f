"""The verb ledger verify: whether a ledger is whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fcdsynth.core.errors import LedgerError, SettingsError
from fcdsynth.ledger.chain import Event, Fault, Head, check_chain
from fcdsynth.ledger.schema import TRIGGERS
from fcdsynth.ledger.store import Ledger
from fcdsynth.ledger.witness import read_witness


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Args:
        head: Where the chain ends.
        events: Number of events that can be read.
        masks: Number of masks.
        faults: What is wrong, in words; empty for a whole ledger.
        witness: The witness, None without one.
    """

    head: Head
    events: int
    masks: int
    faults: tuple[str, ...]
    witness: Head | None


def verify(ledger: str, head: str | None = None) -> str:
    """Check a ledger: its pages, triggers, chain of hashes, masks, and that no tail was cut off.

    A cut tail shows against the witness beside the ledger (``LEDGER.head``) or a head that was
    printed, exported or released earlier.

    Args:
        ledger: The ledger's file.
        head: ``SEQ:HASH`` of an earlier time that must be on the chain.

    Returns:
        How much there is, and the head.

    Raises:
        LedgerError: If the ledger is not whole; it says what is wrong and what is lost.
        SettingsError: If the head is not SEQ:HASH.
    """
    found = inspect(Path(ledger), _parse(head))
    if found.faults:
        raise LedgerError(
            ledger, "; ".join(found.faults), "a whole ledger",
            f"{found.events} events and {found.masks} masks can be read. Go back to a copy or an "
            "export that holds what is missing, and keep this file.",
        )  # fmt: skip
    return (f"{ledger}: whole, {found.events} events, {found.masks} masks, "
            f"head {found.head}")  # fmt: skip


def inspect(path: Path, expected: Head | None = None) -> Verdict:
    """Look at a ledger without writing into it.

    Raises:
        LedgerError: If it cannot be opened at all.
    """
    witness = read_witness(path)
    try:
        ledger = Ledger.open(path)
    except LedgerError as error:
        known = f"the witness tells of {witness.seq} events" if witness else "there is no witness"
        raise LedgerError(
            error.subject, f"{error.found}; {known}", error.expected, error.remedy
        ) from error
    faults: list[str] = []
    pages = ledger.integrity()
    if pages != "ok":
        faults.append(f"damaged pages ({pages})")
    missing = set(TRIGGERS) - ledger.triggers()
    if missing:
        faults.append(f"triggers were removed: {', '.join(sorted(missing))}")
    events = list(ledger.events())
    end, broken = check_chain(events)
    faults += [_told(fault) for fault in broken[:5]]
    if len(broken) > 5:
        faults.append(f"and {len(broken) - 5} more")
    for claim, name in ((witness, "the witness"), (expected, "the head given")):
        faults += _cut(events, claim, name)
    masks = ledger.mask_hashes()
    for digest in masks:
        try:
            ledger.mask(digest)
        except LedgerError as error:
            faults.append(f"{error.subject}: {error.found}")
    absent = {label.mask for label in ledger.state.labels.values()} - set(masks)
    faults += [f"mask {digest[:12]} of a label is missing" for digest in sorted(absent)]
    return Verdict(end, len(events), len(masks), tuple(faults), witness)


def _told(fault: Fault) -> str:
    return f"event {fault.seq} {fault.what}"


def _cut(events: list[Event], claim: Head | None, name: str) -> list[str]:
    if claim is None or claim.seq == 0:
        return []
    last = events[-1].seq if events else 0
    if claim.seq > last:
        lost = f"events {last + 1} to {claim.seq}" if claim.seq > last + 1 else f"event {claim.seq}"
        return [f"{lost} are lost: {name} tells of {claim.seq}"]
    at = [event for event in events if event.seq == claim.seq]
    if at and at[0].hash != claim.hash:
        return [f"event {claim.seq} is not the one that {name} tells of"]
    return []


def _parse(head: str | None) -> Head | None:
    if head is None:
        return None
    try:
        return Head.parse(head)
    except ValueError as error:
        raise SettingsError(
            "head", head, "SEQ:HASH as verify prints it", "Copy it whole."
        ) from error
