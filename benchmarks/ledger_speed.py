"""How fast a ledger is: events appended with fsync, one by one and together, and verified."""

from __future__ import annotations

import os
import time
from pathlib import Path

from figures import Figures

from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.ledger.records import LabelMade, LabelStatus, Scored, SubjectAdded, label_id
from fcdsynth.ledger.store import Ledger
from fcdsynth.ledger.verify import inspect


def measure_ledger(figures: Figures, work: Path, events: int, single: int) -> None:
    """Add the figures of the ledger.

    Args:
        figures: Where to.
        work: Folder to write in; on the disk that is to be measured.
        events: Events of the ledger that is verified.
        single: Events that are appended one by one, each with an fsync of its own.
    """
    path = work / "speed.db"
    for left in work.glob("speed.db*"):
        left.unlink()
    with Ledger.create(path) as ledger:
        label = _label(ledger)
        start = time.perf_counter()
        for k in range(single):
            ledger.append(Scored(label, "m", "margin", float(k)), "benchmark")
        alone = single / (time.perf_counter() - start)
        left = events - ledger.head.seq
        start, batch = time.perf_counter(), 500
        for first in range(0, left, batch):
            scores = [Scored(label, "m", "margin", float(k))
                      for k in range(first, min(first + batch, left))]  # fmt: skip
            ledger.extend(scores, "benchmark")
        together = left / (time.perf_counter() - start)
    syncs = _syncs(work, single)
    start = time.perf_counter()
    faults = inspect(path)
    seconds = time.perf_counter() - start
    if faults.faults:
        raise SystemExit(f"the ledger is not whole: {faults.faults[:3]}")
    figures.add("ledger_verify_seconds", seconds, events, (seconds, seconds), at_most=5.0)
    figures.add("ledger_appends_per_second", together, left, (together, together), at_least=500)
    figures.add("ledger_appends_one_by_one_per_second", alone, single, (alone, alone))
    figures.add("disk_fsyncs_per_second", syncs, single, (syncs, syncs))
    figures.notes.append(
        "ledger_appends_per_second is for 500 events in one transaction, which is one fsync; one "
        "by one it is the disk's own rate of fsyncs that limits"
    )


def _label(ledger: Ledger) -> str:
    import numpy as np

    grid = Grid.of((8, 8, 8), [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    digest = ledger.store_mask(Volume(np.indices((8, 8, 8)).sum(0) < 9, grid))
    label = label_id("sub-1", digest)
    ledger.extend([SubjectAdded("sub-1", "patient", "real"),
                   LabelMade(label, "sub-1", digest, "human", 2),
                   LabelStatus(label, "active", "benchmark")], "benchmark")  # fmt: skip
    return label


def _syncs(work: Path, number: int) -> float:
    """What the disk itself does: small appends to a file, each with an fsync."""
    path = work / "fsyncs"
    with path.open("wb", buffering=0) as file:
        start = time.perf_counter()
        for _ in range(number):
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
        seconds = time.perf_counter() - start
    path.unlink()
    return number / seconds
