"""Loaded subjects kept on disk: read once, mapped into memory by every later fit and fold."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fcdsynth.core.provenance import hash_path
from fcdsynth.detector.patches import LoadedSubject

_ARRAYS = ("image", "lesion", "focus", "brain")
_VERSION = 1  # grows when loading changes what a subject looks like


def cache_key(files: Sequence[Path], inputs: Sequence[str], told: Sequence[Any]) -> str:
    """Hash of all that decides a loaded subject: its files' bytes and the settings.

    Args:
        files: The subject's files.
        inputs: Names of the channels.
        told: Whatever else decides it, as plain values.
    """
    text = json.dumps([_VERSION, *inputs, *told, *(hash_path(file) for file in files)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def cached(folder: Path, key: str, name: str, load: Callable[[], LoadedSubject]) -> LoadedSubject:
    """A subject from the cache, put there first where it is not.

    Several processes may ask for one subject at once: each writes its own copy, and the first
    to finish is kept.

    Args:
        folder: The cache.
        key: From `cache_key`.
        name: Subject id.
        load: Makes the subject.

    Returns:
        The subject, its arrays mapped from disk.
    """
    place = folder / f"{name}-{key}"
    if not place.is_dir():
        made = load()
        scratch = folder / f".{name}-{key}.{os.getpid()}"
        scratch.mkdir(parents=True, exist_ok=True)
        for array in _ARRAYS:
            np.save(scratch / f"{array}.npy", getattr(made, array))
        facts = {"kind": made.kind, "synthetic": made.synthetic}
        (scratch / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
        try:
            scratch.rename(place)
        except OSError:
            if not place.is_dir():
                raise
            shutil.rmtree(scratch)
    image, lesion, focus, brain = (np.load(place / f"{a}.npy", mmap_mode="r") for a in _ARRAYS)
    facts = json.loads((place / "facts.json").read_text(encoding="utf-8"))
    return LoadedSubject(
        name, facts["kind"], image, lesion, np.array(focus), np.array(brain), facts["synthetic"]
    )
