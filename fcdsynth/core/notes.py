"""Notes: files to which one line of JSON is added at a time, and nothing is taken out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fcdsynth.core.errors import RunError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


def add_notes(path: Path, notes: Iterable[DataclassInstance]) -> None:
    """Add notes at the end of a file, one line each."""
    with path.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(asdict(note)) + "\n" for note in notes)


def read_notes(path: Path, make: Callable[[dict[str, Any]], T], what: str) -> tuple[T, ...]:
    """All notes of a file, in order; none when there is no file.

    Args:
        path: The file.
        make: A note from its line's record.
        what: What each line should be, for the error.

    Raises:
        RunError: If a line cannot be read, naming it.
    """
    if not path.is_file():
        return ()
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(make(json.loads(line)))
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(
                f"{path}, line {number}", f"{type(error).__name__}: {error}", what,
                "Restore the file; nothing else knows the looks.",
            ) from error  # fmt: skip
    return tuple(found)
