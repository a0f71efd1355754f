"""The verb ledger log: the history of masks, in words."""

from __future__ import annotations

from fcdsynth.ledger.questions import history
from fcdsynth.ledger.store import Ledger


def log(ledger: str, subject: str | None = None, label: str | None = None) -> str:
    """Tell who changed what, when, on what evidence, seeing what, in how many minutes.

    Args:
        ledger: The ledger's file.
        subject: Only what is about this subject.
        label: Only what is about this label version, such as ``sub-01@0123456789ab``.

    Returns:
        One line an event.

    Raises:
        LedgerError: If the ledger cannot be read, or holds no such subject or label.
    """
    with Ledger.open(ledger) as opened:
        lines = [
            f"{step.event.seq:>6}  {step.event.time[:19].replace('T', ' ')}  "
            f"{step.event.actor:<12} {step.words}"
            for step in history(opened, subject, label)
        ]
    return "\n".join(lines)
