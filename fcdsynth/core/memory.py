"""How many processes this machine has the cores and the memory for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_GIB = 2.0**30
_SPARE_GIB = 0.5
_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Workers:
    """A number of processes, and what held it down.

    Args:
        number: At least 1.
        limit: A sentence that says why it is fewer than asked for; empty when it is not.
    """

    number: int
    limit: str = ""


def free_gib(proc: Path = _PROC, cgroups: Path = _CGROUPS) -> float | None:
    """Memory that can still be taken, in GiB: the machine's, or what this process's groups leave.

    A container or a batch job is killed at the limit of its control group, whatever the machine
    has left; every group above it can hold a limit too.

    Args:
        proc: The proc file system.
        cgroups: Where control groups (version 2, or 1 with a memory controller) are mounted.

    Returns:
        GiB, or None where the system does not say (no Linux).
    """
    found = [*_machine(proc), *_groups(proc, cgroups)]
    return max(min(found), 0.0) / _GIB if found else None


def _machine(proc: Path) -> Iterator[float]:
    try:
        lines = (proc / "meminfo").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            yield float(value.split()[0]) * 1024


def _groups(proc: Path, cgroups: Path) -> Iterator[float]:
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            top, names = cgroups, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = cgroups / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        place = top / path.lstrip("/")
        for folder in (place, *place.parents):
            yield from _left_in(folder, *names)
            if folder == top:
                break


def _left_in(folder: Path, limit: str, usage: str, cache: str) -> Iterator[float]:
    try:
        most = (folder / limit).read_text().strip()
        used = float((folder / usage).read_text())
        rows = (folder / "memory.stat").read_text().splitlines()
    except OSError:
        return
    if most != "max":
        # The kernel drops cached files before it kills anyone.
        cached = sum(float(row.split()[1]) for row in rows if row.split()[0] == cache)
        yield float(most) - used + cached


def cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def affordable(wanted: int, gib_each: float, free: float | None) -> Workers:
    """Bound a number of processes by memory.

    Args:
        wanted: Processes asked for; 0 for as many as there are cores.
        gib_each: Peak memory of one, GiB.
        free: Memory that can be taken, GiB; None when unknown, and then nothing is bounded.
    """
    asked = wanted or cores()
    if free is None:
        return Workers(asked)
    fit = max(1, int((free - _SPARE_GIB) / gib_each))
    if fit < asked:
        return Workers(
            fit,
            f"{fit} of {asked} processes: each takes about {gib_each:.1f} GiB and "
            f"{free:.1f} GiB are free",
        )
    if free < gib_each:
        return Workers(
            1, f"one process takes about {gib_each:.1f} GiB and only {free:.1f} GiB are free"
        )
    return Workers(asked)
