"""The tables of a ledger, and the triggers that let them only grow."""

VERSION = 1
MAGIC = 0x46434453  # "FCDS", SQLite's application_id
SCHEMA = f"""
PRAGMA application_id = {MAGIC};
PRAGMA user_version = {VERSION};
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, time TEXT NOT NULL, actor TEXT NOT NULL, verb TEXT NOT NULL,
    payload TEXT NOT NULL, previous TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE TABLE mask (hash TEXT PRIMARY KEY, grid TEXT NOT NULL, voxels BLOB NOT NULL);
CREATE TRIGGER event_kept BEFORE UPDATE ON event BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER event_stays BEFORE DELETE ON event BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER event_follows BEFORE INSERT ON event
WHEN NEW.seq != (SELECT coalesce(max(seq), 0) + 1 FROM event) BEGIN
    SELECT RAISE(ABORT, 'events are numbered without gaps'); END;
CREATE TRIGGER mask_kept BEFORE UPDATE ON mask BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER mask_stays BEFORE DELETE ON mask BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER mask_new BEFORE INSERT ON mask
WHEN EXISTS (SELECT 1 FROM mask WHERE hash = NEW.hash) BEGIN
    SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""
TRIGGERS = ("event_kept", "event_stays", "event_follows", "mask_kept", "mask_stays", "mask_new")
