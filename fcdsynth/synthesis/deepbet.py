"""The networks that deepbet's wheel ships, found without importing the package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

DEEPBET = "deepbet"
FOLDER = "data/models"


def network_file(name: str) -> Path | None:
    """Path of one of its TorchScript files, None where it is not there.

    Importing the package would import a graphical interface.

    Args:
        name: Name of the file.
    """
    try:
        path = Path(str(distribution(DEEPBET).locate_file(f"{FOLDER}/{name}")))
    except PackageNotFoundError:
        return None
    return path if path.is_file() else None
