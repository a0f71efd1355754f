"""Text files that are whole or absent."""

from __future__ import annotations

from pathlib import Path


def write_whole(path: Path, text: str) -> Path:
    """Write under another name first, so that a half-written file never looks whole."""
    partial = path.with_name(f".partial-{path.name}")
    partial.write_text(text, encoding="utf-8")
    return partial.replace(path)
