"""What headers cannot tell: images without content, and masks that lie beside the brain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fcdsynth.core.errors import CohortError
from fcdsynth.core.volume import Volume, read_volume

_IMAGES = {"t1w": "T1w", "flair": "FLAIR"}
_LEAST_INSIDE = 0.1


def check_voxels(subject: str, sources: Mapping[str, Path]) -> None:
    """Refuse images that are empty, constant or hold what is no number.

    Args:
        subject: Subject id, for messages.
        sources: Absolute path of each raw file by key; only t1w and flair are looked at.

    Raises:
        CohortError: Naming the subject and the file.
    """
    for key, name in _IMAGES.items():
        if key not in sources:
            continue
        path = sources[key]
        try:
            array = read_volume(path).array
        except CohortError as error:
            raise CohortError(
                subject, f"{path.name}: {error.found}", error.expected, error.remedy
            ) from error
        low, high = float(array.min()), float(array.max())
        if low == high:
            what = "nothing but zeros" if low == 0 else f"one value everywhere ({low:g})"
            raise CohortError(
                subject, f"{path.name}: {what}", f"a {name} image of a head",
                "Export the image again or remove the subject.",
            )  # fmt: skip


def inside_brain(subject: str, lesion: Volume, brain: Volume) -> float:
    """Share of a lesion mask that lies in the brain, both on one grid.

    Raises:
        CohortError: If hardly any of it does: then the mask is another subject's, or moved.
    """
    share = float(brain.array[lesion.array].mean()) if lesion.array.any() else 0.0
    if share < _LEAST_INSIDE:
        where = lesion.grid.to_mm(np.argwhere(lesion.array)).mean(axis=0)
        place = ", ".join(f"{mm:.0f}" for mm in where)
        raise CohortError(
            subject, f"a lesion mask of which {share:.0%} lies in the brain (centre {place} mm)",
            "a mask in this subject's brain",
            "Check that the mask belongs to this subject and to this scan.",
        )  # fmt: skip
    return share
