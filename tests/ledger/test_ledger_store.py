"""The store: whole or nothing, append-only, found out when changed, two writers, a full disk."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest
from written_labels import GRID, add_label, mask_of

from fcdsynth import cli
from fcdsynth.core.errors import LedgerError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume
from fcdsynth.ledger.chain import START, check_chain
from fcdsynth.ledger.records import LabelStatus, ReaderJoined, Reviewed, Scored
from fcdsynth.ledger.store import Ledger
from fcdsynth.ledger.verify import inspect
from fcdsynth.ledger.witness import read_witness, witness_path


@pytest.fixture
def path(tmp_path):
    with Ledger.create(tmp_path / "a.ledger") as ledger:
        for k in range(3):
            add_label(ledger, f"sub-{k}", k)
    return tmp_path / "a.ledger"


def test_what_was_written_is_read_back(path):
    with Ledger.open(path) as ledger:
        events = list(ledger.events())
        assert [e.seq for e in events] == list(range(1, 10))
        assert events[0].previous == START
        assert check_chain(events) == (ledger.head, ())
        label = ledger.state.active["sub-1"]
        back = ledger.mask(ledger.state.labels[label].mask)
        assert (back.array == mask_of(1).array).all()
        assert back.grid.close_to(GRID)
        assert read_witness(path) == ledger.head


def test_a_mask_is_kept_once_and_its_hash_knows_voxels_and_grid(path):
    with Ledger.open(path) as ledger:
        n = len(ledger.mask_hashes())
        same = ledger.store_mask(mask_of(1))
        assert len(ledger.mask_hashes()) == n
        moved = Grid.of(GRID.shape, GRID.matrix + _shift())
        assert ledger.store_mask(Volume(mask_of(1).array, moved)) != same
        assert ledger.store_mask(mask_of(99)) != same


def _shift():
    change = np.zeros((4, 4))
    change[0, 3] = 1.0
    return change


@pytest.mark.parametrize("statement", [
    "UPDATE event SET payload = '{}' WHERE seq = 2", "DELETE FROM event WHERE seq = 9",
    "INSERT OR REPLACE INTO event SELECT seq, time, 'me', verb, payload, previous, hash FROM event"
    " WHERE seq = 9",
    "INSERT INTO event VALUES (20, '', '', '', '', '', '')", "DELETE FROM mask",
    "UPDATE mask SET voxels = x'00'",
    "INSERT OR REPLACE INTO mask SELECT hash, grid, x'00' FROM mask LIMIT 1",
])  # fmt: skip
def test_changes_are_refused_by_the_file_itself(path, statement):
    with sqlite3.connect(path) as db, pytest.raises(sqlite3.IntegrityError, match=r"append|gaps"):
        db.execute(statement)


def tamper(path, *statements):
    db = sqlite3.connect(path)
    for name, kind in db.execute("SELECT name, type FROM sqlite_master").fetchall():
        if kind == "trigger":
            db.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def test_a_changed_event_a_gap_and_removed_triggers_are_named(path, capsys):
    tamper(path, "UPDATE event SET actor = 'someone' WHERE seq = 4",
           "DELETE FROM event WHERE seq = 6")  # fmt: skip
    found = inspect(path)
    told = "; ".join(found.faults)
    assert "event 4 was changed after it was written" in told
    assert "events 6 to 6 are missing" in told
    assert "triggers were removed" in told
    assert cli.main(["ledger", "verify", str(path)]) == 1
    assert "event 4 was changed" in capsys.readouterr().err


def test_a_cut_tail_shows_against_the_witness_or_an_earlier_head(path, capsys):
    with Ledger.open(path) as ledger:
        head = ledger.head
    tamper(path, "DELETE FROM event WHERE seq > 7")
    assert "events 8 to 9 are lost: the witness tells of 9" in inspect(path).faults
    witness_path(path).unlink()
    assert not [f for f in inspect(path).faults if "lost" in f]
    assert cli.main(["ledger", "verify", str(path), "--head", str(head)]) == 1
    assert "events 8 to 9 are lost: the head given tells of 9" in capsys.readouterr().err
    assert cli.main(["ledger", "verify", str(path), "--head", "9"]) == 1
    assert "SEQ:HASH" in capsys.readouterr().err


def test_a_rewritten_tail_of_the_same_length_shows_too(path):
    tamper(path, "DELETE FROM event WHERE seq = 9")
    with Ledger.open(path) as ledger:
        ledger.append(ReaderJoined("r1", "other history"), "test")
    assert "event 9 is not the one that the witness tells of" in inspect(path).faults


def test_a_truncated_file_and_a_damaged_mask_are_told_with_what_is_lost(path, tmp_path):
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    short = tmp_path / "short.ledger"
    shutil.copy(path, short)
    shutil.copy(witness_path(path), witness_path(short))
    os.truncate(short, path.stat().st_size // 3)
    try:
        told = "; ".join(inspect(short).faults)
    except LedgerError as error:
        told = str(error)
    assert "9" in told
    assert "witness" in told
    tamper(path, "UPDATE mask SET voxels = (SELECT voxels FROM mask ORDER BY hash LIMIT 1)")
    assert any("voxels of another mask" in f for f in inspect(path).faults)


def test_a_whole_ledger_says_so_with_its_head(path, capsys):
    assert cli.main(["ledger", "verify", str(path)]) == 0
    out = capsys.readouterr().out
    assert "whole, 9 events, 3 masks, head 9:" in out
    head = out.split("head ")[1].strip()
    assert cli.main(["ledger", "verify", str(path), "--head", head]) == 0


WRITER = """
import sys
from fcdsynth.ledger.store import Ledger
from fcdsynth.ledger.records import Scored
ledger = Ledger.open(sys.argv[1])
label = ledger.state.active["sub-0"]
print("ready", flush=True)
k = 0
while True:
    ledger.append(Scored(label, "m", "c", float(k)), "writer")
    k += 1
"""


def test_a_killed_writer_leaves_a_whole_ledger(path):
    before = 9
    for pause in (0.02, 0.05, 0.11):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)],
                                  stdout=subprocess.PIPE, text=True)  # fmt: skip
        assert writer.stdout.readline().strip() == "ready"
        time.sleep(pause)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        found = inspect(path)
        assert found.faults == ()
        assert found.events >= before
        before = found.events
    assert before > 9


def write_many(path, name, n):
    with Ledger.open(path) as ledger:
        for k in range(n):
            ledger.append(ReaderJoined(f"{name}-{k}", "reader"), name)


def test_two_writers_make_one_chain(path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(path, name, 30)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    found = inspect(path)
    assert found.faults == ()
    assert found.events == 9 + 60
    with Ledger.open(path) as ledger:
        assert {f"a-{k}" for k in range(30)} | {f"b-{k}" for k in range(30)} == set(
            ledger.state.readers
        )


def test_a_full_disk_writes_nothing_and_says_so(path):
    ledger = Ledger.open(path)
    (pages,) = ledger._db.execute("PRAGMA page_count").fetchone()
    ledger._db.execute(f"PRAGMA max_page_count = {pages}")
    label = ledger.state.active["sub-0"]
    head = ledger.head
    with pytest.raises(LedgerError, match=r"full.*Nothing was written"):
        ledger.extend([Scored(label, "m" * 500, "c", float(k)) for k in range(400)], "test")
    assert ledger.head == head
    ledger._db.execute(f"PRAGMA max_page_count = {pages + 1000}")
    ledger.append(Scored(label, "m", "c", 1.0), "test")
    assert ledger.head.seq == head.seq + 1
    ledger.close()
    assert inspect(path).faults == ()


def test_several_records_are_written_all_or_none(path):
    with Ledger.open(path) as ledger:
        head, label = ledger.head, ledger.state.active["sub-0"]
        good, bad = Scored(label, "m", "c", 1.0), LabelStatus("nobody", "active")
        with pytest.raises(LedgerError, match="nobody"):
            ledger.extend([good, bad], "test")
        assert ledger.head == head
        assert "r9" not in ledger.state.readers
        events = ledger.extend([ReaderJoined("r9", "reader"), Reviewed(
            "v1", label, "r9", "inspect", "accept", "accept", 2)], "test")  # fmt: skip
        assert [e.seq for e in events] == [head.seq + 1, head.seq + 2]


def test_what_is_no_ledger_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="no such file"):
        Ledger.open(tmp_path / "none")
    (tmp_path / "text").write_text("not a database " * 100)
    with pytest.raises(LedgerError, match="whole ledger"):
        Ledger.open(tmp_path / "text")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE event (a)")
    other.commit()
    other.close()
    with pytest.raises(LedgerError, match="application 0x0"):
        Ledger.open(tmp_path / "other.db")
    Ledger.create(tmp_path / "new").close()
    with pytest.raises(LedgerError, match="a file already"):
        Ledger.create(tmp_path / "new")
    with Ledger.open(tmp_path / "new") as ledger:
        add_label(ledger, "sub-1", 1)
        label = ledger.state.active["sub-1"]
        with pytest.raises(LedgerError, match="finite"):
            ledger.append(Scored(label, "m", "c", float("nan")), "test")
