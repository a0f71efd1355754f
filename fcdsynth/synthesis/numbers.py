"""Numbers that say what a synthetic subject looks like: contrast, change inside, change outside."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.tissue import Tissue
from fcdsynth.measure.ring import ring_contrast

FILE = "realism.csv"


def describe(
    before: NDArray[Any],
    after: NDArray[Any],
    lesion: NDArray[Any],
    region: NDArray[Any],
    tissue: NDArray[Any],
    contrasts: Sequence[str],
    ring: NDArray[Any] | None = None,
) -> dict[str, float]:
    """Measure one synthetic subject against its host.

    Args:
        before: The host's prepared intensities, shape (contrast, x, y, z).
        after: The synthetic ones, same shape.
        lesion: Mask, empty for a control, shape (x, y, z).
        region: Redrawn voxels, same shape.
        tissue: Labels, same shape.
        contrasts: Names of the image channels.
        ring: The lesion and the rim its contrast is measured against; ``region`` if None.

    Returns:
        For each contrast: lesion-against-ring contrast in the synthetic image and at the same
        place in the host, mean absolute change inside the region, roughness inside relative to
        the host's, and the largest change outside, which must be 0; NaN where all of the brain
        was redrawn.
    """
    around = region if ring is None else ring
    whole = bool(region[tissue != Tissue.BACKGROUND].all())
    numbers: dict[str, float] = {"region_vox": int(region.sum()), "lesion_vox": int(lesion.sum())}
    for name, old, new in zip(contrasts, before, after, strict=True):
        change = np.abs(new - old)
        numbers[f"{name}_contrast"] = ring_contrast(new, lesion, around, tissue)
        numbers[f"{name}_contrast_host"] = ring_contrast(old, lesion, around, tissue)
        numbers[f"{name}_change_inside"] = float(change[region].mean())
        numbers[f"{name}_roughness_ratio"] = _roughness(new, region) / max(
            _roughness(old, region), 1e-9
        )
        outside = float("nan") if whole else float(change[~region].max(initial=0.0))
        numbers[f"{name}_change_outside"] = outside
    return numbers


def _roughness(image: NDArray[Any], region: NDArray[Any]) -> float:
    # Differences of neighbours along the axes, both in the region.
    total, count = 0.0, 0
    for axis in range(3):
        both = np.take(region, range(1, region.shape[axis]), axis) & np.take(
            region, range(region.shape[axis] - 1), axis
        )
        steps = np.abs(np.diff(image, axis=axis))[both]
        total += float(steps.sum())
        count += steps.size
    return total / max(count, 1)


def write_table(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write ``realism.csv``, one row per synthetic subject."""
    write_rows(folder / FILE, rows, ".5f")


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], form: str) -> None:
    """Write rows as CSV; what a row lacks or does not know stays empty.

    Args:
        path: The file.
        rows: At least one.
        form: Format of fractions.
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _text(value, form) for key, value in row.items()})


def _text(value: Any, form: str) -> Any:
    if isinstance(value, float):
        return "" if np.isnan(value) else format(value, form)
    return value
