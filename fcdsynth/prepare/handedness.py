"""Do the two placements in a NIfTI header, sform and qform, agree, and about left and right?"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.grid import Grid

_TOLERANCE_MM = 1.0


def placements(path: Path) -> dict[str, NDArray[np.float64]]:
    """The placements that a NIfTI-1 header declares, as 4 x 4 matrices to RAS+ mm.

    Returns:
        ``qform`` and ``sform``, each only where its code is above 0; nothing for other formats.
    """
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        head = stream.read(348)
    order = next((o for o in "<>" if len(head) == 348 and _int(head, o) == 348), None)
    if order is None:
        return {}
    pixdim = np.array(struct.unpack_from(f"{order}8f", head, 76), dtype=float)
    qform_code, sform_code = struct.unpack_from(f"{order}2h", head, 252)
    numbers = np.array(struct.unpack_from(f"{order}18f", head, 256), dtype=float)
    found = {}
    if qform_code > 0:
        found["qform"] = _from_quaternion(numbers[:3], numbers[3:6], pixdim)
    if sform_code > 0:
        found["sform"] = np.vstack([numbers[6:].reshape(3, 4), [0, 0, 0, 1]])
    return found


def _int(head: bytes, order: str) -> int:
    return int(struct.unpack_from(f"{order}i", head)[0])


def _from_quaternion(
    bcd: NDArray[np.float64], offset: NDArray[np.float64], pixdim: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Method 2 of the NIfTI-1 standard (nifti1.h, 2003)."""
    b, c, d = bcd
    a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
    turn = np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )
    third = -1.0 if pixdim[0] < 0 else 1.0
    matrix = np.eye(4)
    matrix[:3, :3] = turn * (pixdim[1:4] * [1.0, 1.0, third])
    matrix[:3, 3] = offset
    return matrix


def header_dispute(path: Path, grid: Grid) -> str:
    """What sform and qform of a file disagree on, in words; empty when they agree.

    Args:
        path: NIfTI file.
        grid: Its grid, for the shape.
    """
    found = placements(path)
    if len(found) < 2:
        return ""
    matrices = [found["sform"], found["qform"]]
    if any(abs(np.linalg.det(m[:3, :3])) < 1e-9 or not np.isfinite(m).all() for m in matrices):
        return "sform or qform cannot be inverted"
    first, second = (np.linalg.det(m[:3, :3]) > 0 for m in matrices)
    if first != second:
        return "sform and qform disagree about left and right"
    corners = [Grid.of(grid.shape, m).corners_mm() for m in matrices]
    gap = float(np.linalg.norm(corners[0] - corners[1], axis=1).max())
    return f"sform and qform place it up to {gap:.0f} mm apart" if gap > _TOLERANCE_MM else ""
