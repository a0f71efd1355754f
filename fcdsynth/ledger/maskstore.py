"""Masks by content: what is hashed, and how a mask is packed."""

from __future__ import annotations

import hashlib
import json
import zlib

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import LedgerError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume

_DIGITS = 4


def pack(mask: Volume) -> tuple[str, str, bytes]:
    """Hash, grid as JSON, and voxels of a boolean mask.

    The hash is over shape, affine (mm, rounded to 4 digits, so that a file read back has the
    same) and voxels.
    """
    affine = np.round(mask.grid.matrix, _DIGITS) + 0.0  # no negative zeros
    grid = json.dumps({"shape": list(mask.grid.shape), "affine": affine.tolist()})
    bits = np.packbits(np.ascontiguousarray(mask.array, dtype=bool))
    digest = hashlib.sha256(grid.encode() + bits.tobytes()).hexdigest()
    return digest, grid, zlib.compress(bits.tobytes(), 6)


def unpack(digest: str, grid: str, voxels: bytes) -> Volume:
    """The mask again.

    Raises:
        LedgerError: If voxels or grid are not those of the hash.
    """
    try:
        bits = np.frombuffer(zlib.decompress(voxels), dtype=np.uint8)
        record = json.loads(grid)
        shape = tuple(record["shape"])
        array: NDArray[np.bool_] = np.unpackbits(bits)[: int(np.prod(shape))].astype(bool)
        mask = Volume(array.reshape(shape), Grid.of(shape, record["affine"]))
        whole = hashlib.sha256(grid.encode() + bits.tobytes()).hexdigest() == digest
    except (zlib.error, ValueError, KeyError) as error:
        raise _damaged(digest, f"{type(error).__name__}: {error}") from error
    if not whole:
        raise _damaged(digest, "voxels of another mask")
    return mask


def _damaged(digest: str, found: str) -> LedgerError:
    return LedgerError(f"mask {digest[:12]}", found, "the mask that was stored",
                       "Take the mask from a copy or an export of the ledger.")  # fmt: skip
