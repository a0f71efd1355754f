"""The words that records may use."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class LabelOrigin(StrEnum):
    """Who made a label."""

    HUMAN = "human"
    EDITED = "edited-model"
    CONSENSUS = "consensus"
    SYNTHETIC = "synthetic"
    PLANTED = "planted"


class Status(StrEnum):
    """What a label version counts for now."""

    ACTIVE = "active"
    SUPERSEDED = "superseded"
    DISPUTED = "disputed"
    WITHDRAWN = "withdrawn"
    NEVER = "never active"  # synthetic and planted ones


class Rank(IntEnum):
    """What a label rests on (reference/relabelling.md 2.11, own design)."""

    MODEL = 0  # a model, or synthetic
    BLIND_READ = 1  # one blinded MRI read
    REPORT = 2  # MRI read with the report
    CONCORDANT = 3  # intracranial EEG, or concordant PET or SPECT
    HISTOLOGY = 4  # histology and resection cavity


DECISIONS = ("accept", "edit", "reject", "unsure")
TASKS = ("new", "inspect", "synthetic", "disagreement", "failure")
SOURCES = ("suspected", "audit", "planted", "")
REASONS = (
    "", "too large", "too small", "wrong place", "wrong side", "missed lesion", "not a lesion",
    "wrong subject or registration", "image quality", "cannot tell on MRI alone",
)  # fmt: skip
