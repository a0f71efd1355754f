"""The witness: a small file beside a ledger that says how long it was."""

from __future__ import annotations

import json
from pathlib import Path

from fcdsynth.core.whole import write_whole
from fcdsynth.ledger.chain import Head


def witness_path(path: Path) -> Path:
    """The witness of a ledger."""
    return path.with_name(path.name + ".head")


def write_witness(path: Path, head: Head) -> None:
    """Write a ledger's witness, unless it already tells of a later event."""
    before = read_witness(path)
    if before is None or before.seq < head.seq:
        record = json.dumps({"seq": head.seq, "hash": head.hash})
        write_whole(witness_path(path), record + "\n")


def read_witness(path: Path) -> Head | None:
    """What the witness says; None when there is none that can be read."""
    try:
        record = json.loads(witness_path(path).read_text(encoding="utf-8"))
        return Head(int(record["seq"]), str(record["hash"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
