"""Is an image file whole? Told from its length, without unpacking it."""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

from fcdsynth.core.errors import CohortError, FcdsynthError, GeometryError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import read_grid

_CHUNK = 1 << 20


def check_whole(path: Path, subject: str) -> Grid:
    """Read an image's header and see whether the file holds all the voxels it announces.

    A gzip file ends with the length of its content; where that disagrees with the header the
    file is unpacked to make sure.

    Args:
        path: A NIfTI image, packed or not.
        subject: Who it belongs to, for messages.

    Returns:
        The image's grid.

    Raises:
        CohortError: If the file is absent, a link to nothing, unreadable, not one volume, or
            cut short.
    """
    if path.is_symlink() and not path.exists():
        raise CohortError(
            subject, f"{path.name}, a link whose content is not here", "the image itself",
            "Fetch it (datalad get, or git annex get).",
        )  # fmt: skip
    try:
        grid = read_grid(path)
    except FcdsynthError as error:
        about = f"{error.subject} " if isinstance(error, GeometryError) else ""
        raise CohortError(
            subject, f"{path.name}: {about}{error.found}", error.expected, error.remedy
        ) from error
    wanted = _announced_bytes(path)
    if wanted is None:
        return grid
    held = _held_bytes(path, wanted)
    if held < wanted:
        raise CohortError(
            subject, f"{path.name} cut short: {held} of {wanted} bytes", "a whole image file",
            "Copy or download the file again.",
        )  # fmt: skip
    return grid


def _announced_bytes(path: Path) -> int | None:
    """Length of the unpacked file by its NIfTI header; None for other formats."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        head = stream.read(540)
    for order in "<>":
        size = struct.unpack_from(f"{order}i", head)[0] if len(head) >= 348 else 0
        if size == 348:
            dim = struct.unpack_from(f"{order}8h", head, 40)
            bits = struct.unpack_from(f"{order}h", head, 72)[0]
            start = int(struct.unpack_from(f"{order}f", head, 108)[0])
        elif size == 540 and len(head) == 540:
            dim = struct.unpack_from(f"{order}8q", head, 16)
            bits = struct.unpack_from(f"{order}h", head, 14)[0]
            start = int(struct.unpack_from(f"{order}q", head, 168)[0])
        else:
            continue
        return int(start + prod(dim[1 : dim[0] + 1]) * bits // 8)
    return None


def _held_bytes(path: Path, wanted: int) -> int:
    if path.suffix != ".gz":
        return path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(-4, 2)
        length = struct.unpack("<I", stream.read(4))[0]
    if length == wanted % (1 << 32):
        return wanted
    held = 0
    try:
        with gzip.open(path) as packed:
            while chunk := packed.read(_CHUNK):
                held += len(chunk)
    except (EOFError, OSError, zlib.error):
        return min(held, wanted - 1)
    return held
