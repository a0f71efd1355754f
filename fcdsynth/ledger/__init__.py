"""The append-only record of labels, reviews and releases, in one SQLite file."""
