"""Ledger: one SQLite file that can only grow.

Every append is one transaction that holds the event and the mask it speaks of, made under the
file's write lock after whatever other writers appended meanwhile was read. A killed process, a
full disk or a lost second writer so leave the file with the event or without it, never with half
of it. Triggers refuse changes; the chain of hashes shows those made by someone who went around
them; and the witness, a small file beside the ledger with the last number and hash, shows a tail
that was cut off. The witness is rewritten when a ledger is closed and after every 100 events, not
at each (that would cost an fsync more), so it can lag behind by what was written since.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

from fcdsynth.core.errors import LedgerError
from fcdsynth.core.volume import Volume
from fcdsynth.ledger.chain import Event, Head, canonical, event_hash
from fcdsynth.ledger.maskstore import pack, unpack
from fcdsynth.ledger.plain import to_plain
from fcdsynth.ledger.records import LabelMade, Record
from fcdsynth.ledger.rules import check
from fcdsynth.ledger.schema import MAGIC, SCHEMA, VERSION
from fcdsynth.ledger.state import State
from fcdsynth.ledger.witness import write_witness

_WAIT_S = 60
_WITNESS_EVERY = 100


class Ledger:
    """An open ledger.

    Args:
        path: The file.
        connection: Its connection.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection
        self._state = State()
        self._witnessed = 0

    @classmethod
    def create(cls, path: Path | str) -> Ledger:
        """Start a new ledger.

        Raises:
            LedgerError: If the file exists or cannot be written.
        """
        path = Path(path)
        if path.exists():
            raise LedgerError(str(path), "a file already", "a new ledger's name",
                              "Open it, or choose another name.")  # fmt: skip
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            scratch = path.with_name(f".{path.name}.{os.getpid()}")
            with _connect(scratch) as db:
                db.executescript(SCHEMA)
            db.close()
            # In place whole or not at all; one of two that start at once wins.
            os.link(scratch, path)
        except FileExistsError:
            pass
        except (OSError, sqlite3.Error) as error:
            raise _unwritten(path, error) from error
        finally:
            scratch.unlink(missing_ok=True)
        return cls.open(path)

    @classmethod
    def open(cls, path: Path | str) -> Ledger:
        """Open a ledger and read what it says.

        Raises:
            LedgerError: If it is absent, no ledger, of a later version, or damaged.
        """
        path = Path(path)
        if not path.is_file():
            raise LedgerError(str(path), "no such file", "a ledger",
                              "Start one with fcdsynth ledger record.")  # fmt: skip
        try:
            db = _connect(path)
            (magic,) = db.execute("PRAGMA application_id").fetchone()
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if magic != MAGIC or version > VERSION:
                raise LedgerError(
                    str(path), f"application {magic:#x}, version {version}",
                    f"a ledger of version {VERSION} or earlier",
                    "Give the ledger's file, or a later version of fcdsynth.",
                )  # fmt: skip
            # On a network drive WAL cannot be had: SQLite then stays with its own journal.
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            found = cls(path, db)
            found._catch_up()
        except sqlite3.Error as error:
            raise LedgerError(
                str(path), f"{error}", "a whole ledger",
                "Run fcdsynth ledger verify on it, and go back to a copy.",
            ) from error  # fmt: skip
        return found

    @property
    def state(self) -> State:
        """What all events say, with those that other writers appended meanwhile."""
        self._catch_up()
        return self._state

    @property
    def head(self) -> Head:
        """The last event's number and hash."""
        return self.state.head

    def append(self, record: Record, actor: str, mask: Volume | None = None) -> Event:
        """Append a record, and the mask that it speaks of, or nothing at all.

        Args:
            record: What happened.
            actor: Who says so.
            mask: For a `LabelMade`: the boolean mask, kept under its hash.

        Raises:
            LedgerError: If a rule forbids it, or it cannot be written.
        """
        return self.extend([record], actor, () if mask is None else (mask,))[0]

    def extend(
        self, records: Sequence[Record], actor: str, masks: Sequence[Volume] = ()
    ) -> list[Event]:
        """Append several records and masks in one transaction: all of them, or nothing.

        A disk makes some hundred transactions last a second; what belongs together, such as
        the scores of a round, is written together.

        Args:
            records: What happened, in order; each may build on those before it.
            actor: Who says so.
            masks: Masks that they speak of.

        Raises:
            LedgerError: If a rule forbids one of them, or they cannot be written.
        """
        events: list[Event] = []
        try:
            with self._writing():
                for mask in masks:
                    self._keep(mask)
                for record in records:
                    events.append(self._add(record, actor))
        except BaseException:
            if events:  # the state knows of events that are not in the file
                self._state = State()
            raise
        if self._state.head.seq - self._witnessed >= _WITNESS_EVERY:
            self._witness()
        return events

    def _add(self, record: Record, actor: str) -> Event:
        check(self._state, record)
        if isinstance(record, LabelMade) and not self._has(record.mask):
            raise LedgerError(record.label, f"no mask {record.mask[:12]} in the ledger",
                              "the mask itself", "Give the mask with the record.")  # fmt: skip
        event = self._row(record, actor)
        self._db.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?)",
            (event.seq, event.time, event.actor, event.verb, event.payload, event.previous,
             event.hash),
        )  # fmt: skip
        self._state.apply(event)
        return event

    def store_mask(self, mask: Volume) -> str:
        """Keep a boolean mask; its hash comes back. One that is there already is not kept twice."""
        with self._writing():
            return self._keep(mask)

    def mask(self, digest: str) -> Volume:
        """A mask by its hash.

        Raises:
            LedgerError: If it is not there or damaged.
        """
        row = self._db.execute("SELECT grid, voxels FROM mask WHERE hash = ?", (digest,)).fetchone()
        if row is None:
            raise LedgerError(f"mask {digest[:12]}", "no such mask in the ledger", "one of its own",
                              "Give the hash of a label in this ledger.")  # fmt: skip
        return unpack(digest, *row)

    def mask_hashes(self) -> tuple[str, ...]:
        """Hashes of all masks."""
        return tuple(row[0] for row in self._db.execute("SELECT hash FROM mask ORDER BY hash"))

    def events(self, verb: str | None = None, after: int = 0) -> Iterator[Event]:
        """Events in order.

        Args:
            verb: Only those of this kind.
            after: Only those with a larger number.
        """
        where, values = "WHERE seq > ?", [after]
        rows = self._db.execute(
            f"SELECT * FROM event {where}" + (" AND verb = ?" if verb else "") + " ORDER BY seq",
            (*values, *([verb] if verb else [])),
        )  # fmt: skip
        return (Event(*row) for row in rows)

    def triggers(self) -> frozenset[str]:
        """Names of the triggers that are in place."""
        rows = self._db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        return frozenset(row[0] for row in rows)

    def integrity(self) -> str:
        """What SQLite says of the file's pages: ``ok``, or what is wrong."""
        return "; ".join(row[0] for row in self._db.execute("PRAGMA integrity_check(10)"))

    def close(self) -> None:
        """Write the witness and close the file."""
        self._witness()
        self._db.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._catch_up()
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise _unwritten(self.path, error) from error

    def _row(self, record: Record, actor: str) -> Event:
        try:
            payload = canonical(to_plain(record))
        except ValueError as error:
            raise LedgerError(
                f"{record.verb}", str(error), "finite numbers", "Leave it out."
            ) from error
        head = self._state.head
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        event = Event(head.seq + 1, time, actor, record.verb, payload, head.hash, "")
        return replace(event, hash=event_hash(event.seq, time, actor, record.verb, payload,
                                              head.hash))  # fmt: skip

    def _keep(self, mask: Volume) -> str:
        digest, grid, voxels = pack(mask)
        if not self._has(digest):
            self._db.execute("INSERT INTO mask VALUES (?, ?, ?)", (digest, grid, voxels))
        return digest

    def _has(self, digest: str) -> bool:
        return (
            self._db.execute("SELECT 1 FROM mask WHERE hash = ?", (digest,)).fetchone() is not None
        )

    def _catch_up(self) -> None:
        for event in self.events(after=self._state.head.seq):
            self._state.apply(event)

    def _witness(self) -> None:
        head = self._state.head
        if head.seq > self._witnessed:
            write_witness(self.path, head)
            self._witnessed = head.seq


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)


def _unwritten(path: Path, error: Exception) -> LedgerError:
    return LedgerError(
        str(path), f"{error}", "a ledger that can be written",
        "Nothing was written. Make room, or wait for the other writer, and try again.",
    )  # fmt: skip
