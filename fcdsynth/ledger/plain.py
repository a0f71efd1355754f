"""Records as JSON holds them, and back."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from enum import IntEnum, StrEnum
from typing import Any

from fcdsynth.core.errors import LedgerError
from fcdsynth.ledger.records import (
    Disagreed,
    Failed,
    ImageAdded,
    Influenced,
    LabelMade,
    LabelStatus,
    ModelTrained,
    ReaderJoined,
    Record,
    RegionMade,
    Released,
    Reviewed,
    RoundClosed,
    RoundPlanned,
    Scored,
    SubjectAdded,
    SyntheticMade,
)

RECORDS: Mapping[str, type[Record]] = types.MappingProxyType(
    {kind.verb: kind for kind in (
        SubjectAdded, ImageAdded, LabelMade, LabelStatus, ReaderJoined, RegionMade, Reviewed,
        Disagreed, Scored, Influenced, ModelTrained, SyntheticMade, RoundPlanned, RoundClosed,
        Failed, Released,
    )}
)  # fmt: skip


def to_plain(record: Record) -> dict[str, Any]:
    """A record as JSON can hold it."""
    return {f.name: _plain(getattr(record, f.name)) for f in fields(record)}


def from_plain(verb: str, payload: Mapping[str, Any]) -> Record:
    """Read back what `to_plain` gave; fields that a later version added take their defaults.

    Raises:
        LedgerError: If the verb is unknown or a field is absent.
    """
    kind = RECORDS.get(verb)
    if kind is None:
        raise LedgerError(
            f"event {verb!r}", "an unknown verb", ", ".join(RECORDS),
            "Read this ledger with the version of fcdsynth that wrote it, or a later one.",
        )  # fmt: skip
    hints = typing.get_type_hints(kind)
    given = {}
    for f in fields(kind):
        if f.name in payload:
            value = payload[f.name]
            is_tuple = typing.get_origin(hints[f.name]) is tuple
            given[f.name] = tuple(value) if is_tuple else value
    try:
        return kind(**given)
    except TypeError as error:
        raise LedgerError(
            f"event {verb!r}", str(error), "all fields of the record",
            "Export the ledger and look at this event.",
        ) from error  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, StrEnum):
        return str(value)
    return int(value) if isinstance(value, IntEnum) else value
