"""Subjects that could not be prepared: a table on the screen, a file, a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fcdsynth.core.errors import CohortError, FcdsynthError
from fcdsynth.core.progress import WorkerKilled
from fcdsynth.prepare.faults import show_faults

FILE = "failures.json"


@dataclass(frozen=True)
class Failure:
    """Why one subject was left out.

    Args:
        subject: Subject id.
        found: What was found, the file first where it is one file's fault.
        expected: What was expected instead.
        remedy: What to do.
    """

    subject: str
    found: str
    expected: str
    remedy: str

    @classmethod
    def of(cls, subject: str, error: Exception) -> Failure:
        """Make it from whatever a subject's work raised."""
        if isinstance(error, FcdsynthError):
            about = error.subject.removeprefix(subject).strip(" :")
            found = f"{about}: {error.found}" if about else error.found
            return cls(subject, found, error.expected, error.remedy)
        if isinstance(error, WorkerKilled):
            return cls(
                subject, "its process was killed by the system, most often for lack of memory",
                "a process that ends by itself",
                "Use fewer --workers or a larger --spacing, or give the job more memory.",
            )  # fmt: skip
        return cls(subject, f"{type(error).__name__}: {error}", "a subject that can be prepared",
                   "Please report this.")  # fmt: skip

    def error(self) -> CohortError:
        """The failure as an error."""
        return CohortError(self.subject, self.found, self.expected, self.remedy)


def write_failures(folder: Path, failures: Sequence[Failure]) -> None:
    """Write ``failures.json``, an empty list when there is none."""
    text = json.dumps([asdict(failure) for failure in failures], indent=2) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8")


def read_failures(folder: Path) -> list[Failure]:
    """Read back what `write_failures` wrote; none where there is no file."""
    path = folder / FILE
    if not path.is_file():
        return []
    rows: list[Mapping[str, str]] = json.loads(path.read_text(encoding="utf-8"))
    return [Failure(**row) for row in rows]


def raise_failures(failures: Sequence[Failure], cohort: str, n_subjects: int) -> None:
    """Show the failures in a table and raise one error for them all.

    Raises:
        CohortError: The failure itself when there is one, else an error that counts them.
    """
    if len(failures) == 1:
        raise failures[0].error()
    show_faults([failure.error() for failure in failures], cohort)
    raise CohortError(
        cohort, f"{len(failures)} of {n_subjects} subjects that cannot be prepared "
        f"({some(failures)})", "subjects that can be prepared",
        "Mend what the table above lists, or leave those subjects out, and prepare again.",
    )  # fmt: skip


def some(failures: Sequence[Failure]) -> str:
    """The first few names."""
    names = [failure.subject for failure in failures]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} others" if len(names) > 8 else "")
