"""How often a locked test set was opened: one line per look, beside the plan."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fcdsynth.core.errors import RunError
from fcdsynth.core.notes import add_notes, read_notes
from fcdsynth.core.provenance import git_state
from fcdsynth.evaluation.blind.locked import AnalysisPlan, opened_file, read_plan


@dataclass(frozen=True, slots=True)
class Opening:
    """One look at the test set.

    Args:
        when: Local time with offset.
        plan_sha256: The plan that it was opened under.
        test_sha256: The test subjects.
        runs: Names of the runs that were scored.
        commit: Commit of the code, empty outside a git checkout; ``+`` when it was changed.
    """

    when: str
    plan_sha256: str
    test_sha256: str
    runs: tuple[str, ...]
    commit: str


def settle(path: Path | str, now: AnalysisPlan) -> tuple[AnalysisPlan, bool]:
    """Lock a plan where there is none, else hold a call to the one that is there.

    Args:
        path: File of the plan.
        now: What the call would do.

    Returns:
        The locked plan, and whether the test set may be opened: not by the call that locks.

    Raises:
        RunError: If the plan was edited, or its list of openings stands without it.
        SettingsError: As `AnalysisPlan.require`.
        CohortError: As `AnalysisPlan.require`.
    """
    if not Path(path).exists():
        now.lock(path)
        return now, False
    planned = read_plan(path)
    planned.require(now)
    return planned, True


def note_opened(path: Path | str, runs: Sequence[str]) -> None:
    """Note a look at the test set. To be called before it, so that a look that fails counts.

    Args:
        path: File of the locked plan.
        runs: Names of the runs that are scored.

    Raises:
        RunError: As `read_plan`, or if an earlier note cannot be read.
    """
    plan = read_plan(path)
    openings(path)
    git = git_state()
    commit = git.get("commit", "") + ("+" if git.get("changed") == "True" else "")
    when = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    note = Opening(when, plan.sha256, plan.test_sha256, tuple(runs), commit)
    add_notes(opened_file(path), [note])


def openings(path: Path | str) -> tuple[Opening, ...]:
    """All looks at the test set under a plan, in order.

    Raises:
        RunError: As `read_plan`, or if a note cannot be read or belongs to another plan.
    """
    plan = read_plan(path)
    notes = _notes(opened_file(path))
    foreign = [note for note in notes if note.plan_sha256 != plan.sha256]
    if foreign:
        raise RunError(
            str(opened_file(path)), f"a look under plan {foreign[0].plan_sha256[:12]}",
            f"looks under plan {plan.sha256[:12]}",
            "A plan was replaced after the test set was opened; give every plan its own file.",
        )  # fmt: skip
    return notes


def times_opened(path: Path | str) -> int:
    """How often the test set was opened under a plan.

    Raises:
        RunError: As `openings`.
    """
    return len(openings(path))


def opened_by_others(path: Path | str) -> dict[str, int]:
    """How often the same test subjects were opened under other plans of the same folder."""
    path = Path(path)
    plan = read_plan(path)
    counts = {}
    for other in sorted(path.parent.glob(opened_file("*").name)):
        if other != opened_file(path):
            same = sum(note.test_sha256 == plan.test_sha256 for note in _notes(other))
            if same:
                counts[other.name.removesuffix(opened_file("").name)] = same
    return counts


def account_of(path: Path | str) -> dict[str, Any]:
    """What a report says of its plan: content, hash, every opening, and one sentence on them.

    Raises:
        RunError: As `openings`.
    """
    plan, looks, others = read_plan(path), openings(path), opened_by_others(path)
    words = f"locked on {plan.locked_on}, sha256 {plan.sha256}, {_times(len(looks))}"
    if others:
        listed = ", ".join(f"{name}: {count}" for name, count in others.items())
        words += f"; the same test subjects were opened under other plans as well ({listed})"
    return {
        **plan.to_json(),
        "file": Path(path).name,
        "openings": [asdict(look) | {"runs": list(look.runs)} for look in looks],
        "opened_by_others": others,
        "words": words,
    }


def _times(count: int) -> str:
    return {0: "not opened", 1: "opened once"}.get(count, f"opened {count} times")


def _notes(path: Path) -> tuple[Opening, ...]:
    return read_notes(path, lambda told: Opening(**{**told, "runs": tuple(told["runs"])}),
                      "one note per look at the test set")  # fmt: skip
