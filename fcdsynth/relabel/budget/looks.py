"""Looks: which masks were asked about enough, and which rest for now."""

from __future__ import annotations

from collections import defaultdict

from fcdsynth.ledger.records import Failed
from fcdsynth.ledger.store import Ledger
from fcdsynth.relabel.memory import MemorySettings


def seen_enough(
    ledger: Ledger, number: int, settings: MemorySettings | None = None
) -> dict[str, str]:
    """Subjects whose active mask is not to be asked about in a round, each with the reason.

    A mask gets two looks at most unless new evidence has come in since the last: another image
    of the subject, or another version of the mask. A mask that a reader confirmed rests for two
    rounds. The same rules as in ``fcdsynth.relabel.memory``.

    Args:
        ledger: The ledger.
        number: The round that is planned.
        settings: How many looks, and how long to rest.
    """
    settings = settings or MemorySettings()
    state = ledger.state
    looks: dict[str, int] = defaultdict(int)
    rests: dict[str, int] = {}
    for event in ledger.events():
        told = event.fields
        if event.verb == "image added":
            for label in state.versions.get(told["subject"], ()):
                looks[label] = 0
                rests.pop(label, None)
        elif event.verb == "reviewed" and told["task"] != "synthetic":
            looks[told["label"]] += 1
            if told["after"] == "accept" and told["round"]:
                rests[told["label"]] = told["round"] + settings.rest
    found = {}
    for subject, label in state.active.items():
        if looks[label] >= settings.looks:
            found[subject] = f"{looks[label]} looks without new evidence"
        elif rests.get(label, -1) >= number:
            found[subject] = f"confirmed, rests until round {rests[label] + 1}"
    return found


def last_failures(ledger: Ledger) -> dict[tuple[str, str, str], Failed]:
    """The last record of each subject, kind and region of failure."""
    found = {}
    for event in ledger.events("failed"):
        told = event.fields
        record = Failed(told["subject"], told["kind"], int(told["times"]),
                        tuple(told.get("models", ())), told.get("region", ""),
                        told.get("cause", "unknown"))  # fmt: skip
        found[record.subject, record.kind, record.region] = record
    return found
