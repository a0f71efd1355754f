"""Openings: which plan looked at the test subjects, with which arm of which draw, and when."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fcdsynth.core.errors import RunError
from fcdsynth.core.notes import add_notes, read_notes
from fcdsynth.core.provenance import git_state
from fcdsynth.study.plan import Draw, Plan
from fcdsynth.study.settings import Arm


@dataclass(frozen=True, slots=True)
class Opening:
    """The first look of one arm of one draw under one plan; later ones find its results.

    Args:
        plan: Hash of the plan.
        file: Name of its file.
        draw: Name of the draw.
        arm: Name of the arm.
        when: Local time with offset.
        commit: Commit of the code, empty outside a git checkout; ``+`` when it was changed.
    """

    plan: str
    file: str
    draw: str
    arm: str
    when: str
    commit: str


def note_opening(ledger: Path, plan: Plan, file: Path, draw: Draw, arm: Arm) -> None:
    """Note a look at test subjects. To be called before it, so that a look that fails counts.

    Args:
        ledger: The list, JSON lines.
        plan: The plan, locked.
        file: Its file.
        draw: The draw.
        arm: The arm.

    Raises:
        RunError: If the plan's file is gone, or an earlier note cannot be read.
    """
    if not file.is_file():
        raise RunError(str(file), "no such file", "the locked plan", "Restore it.")
    known = openings(ledger)
    if any((o.plan, o.draw, o.arm) == (plan.key, draw.name, arm.name) for o in known):
        return
    git = git_state()
    commit = git.get("commit", "")[:12] + ("+" if git.get("changed") == "True" else "")
    when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    note = Opening(plan.key, file.name, draw.name, arm.name, when, commit)
    add_notes(ledger, [note])


def add_openings(ledger: Path, notes: Sequence[Opening]) -> None:
    """Add looks that were taken elsewhere; those known are left out."""
    known = openings(ledger)
    add_notes(ledger, [note for note in notes if note not in known])


def openings(ledger: Path) -> tuple[Opening, ...]:
    """All looks, in order.

    Raises:
        RunError: If a line cannot be read.
    """
    return read_notes(ledger, lambda told: Opening(**told), "one note for each look")


def plans_opened(ledger: Path) -> int:
    """How many plans have looked at test subjects."""
    return len({opening.plan for opening in openings(ledger)})
