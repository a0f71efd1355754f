"""All faults of a BIDS folder, collected, shown in one table and raised as one error."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from fcdsynth.core.errors import CohortError, FcdsynthError

_WIDTH = 160


def show_faults(faults: Sequence[FcdsynthError], folder: str) -> None:
    """Print every fault as a row (subject, found, expected, remedy) on standard error."""
    console = Console(stderr=True)
    if not console.is_terminal:
        console = Console(stderr=True, width=_WIDTH)
    table = Table(title=f"{_count(faults)} in {folder}", box=box.SIMPLE_HEAD,
                  title_justify="left")  # fmt: skip
    for name in ("subject", "found", "expected", "remedy"):
        table.add_column(name, overflow="fold")
    for fault in faults:
        table.add_row(*(_plain(t) for t in (fault.subject, fault.found, fault.expected,
                                            fault.remedy)))  # fmt: skip
    console.print(table)


def _count(faults: Sequence[FcdsynthError]) -> str:
    return "1 fault" if len(faults) == 1 else f"{len(faults)} faults"


def _plain(text: str) -> str:
    """Text without what rich would take for markup."""
    return text.replace("[", "\\[")


def raise_faults(faults: Sequence[FcdsynthError], folder: str) -> None:
    """Show the faults and raise one error that counts them; do nothing when there are none.

    Raises:
        CohortError: If there is a fault.
    """
    if not faults:
        return
    show_faults(faults, folder)
    names = sorted({fault.subject for fault in faults})
    some = ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")
    raise CohortError(
        folder, f"{_count(faults)} ({some})", "a folder without faults",
        "Mend what the table above lists and index again; nothing was written.",
    )  # fmt: skip
