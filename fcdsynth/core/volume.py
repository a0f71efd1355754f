"""Volume: an array with its grid; the only module that reads and writes image files."""

from __future__ import annotations

import hashlib
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from numpy.typing import NDArray

from fcdsynth.core.errors import CohortError, GeometryError
from fcdsynth.core.grid import Grid

_READ_ERRORS = (ImageFileError, OSError, EOFError, ValueError, zlib.error)


@dataclass(frozen=True, eq=False)
class Volume:
    """A three-dimensional array on a grid.

    Args:
        array: Values, shape (x, y, z).
        grid: Its lattice in world space.

    Raises:
        GeometryError: If the array does not have the grid's shape.
    """

    array: NDArray[Any]
    grid: Grid

    def __post_init__(self) -> None:
        if self.array.shape != self.grid.shape:
            raise GeometryError(
                "volume",
                f"an array of shape {self.array.shape}",
                f"{self.grid.shape}",
                "Give the array and the grid of one image.",
            )


def _unreadable(path: Path, error: Exception | None = None) -> CohortError:
    cause = "no such file" if error is None else f"{type(error).__name__}: {error}"
    return CohortError(
        str(path), cause, "a readable NIfTI image", "Restore the file or remove the subject."
    )


def _load(path: Path) -> Any:
    if not path.exists():
        raise _unreadable(path)
    try:
        return nib.load(path)
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def _grid(path: Path, image: Any) -> Grid:
    shape = tuple(image.shape)
    if len(shape) < 3 or any(size != 1 for size in shape[3:]):
        raise CohortError(
            str(path),
            f"an image of shape {shape}",
            "three dimensions",
            "Split or convert the image so that it holds one volume.",
        )
    return Grid.of(shape, image.affine)


def read_grid(path: Path | str) -> Grid:
    """Read shape and affine from the header of an image, without its voxels.

    Raises:
        CohortError: If the file is absent, unreadable or not one three-dimensional volume.
    """
    path = Path(path)
    return _grid(path, _load(path))


def read_volume(path: Path | str) -> Volume:
    """Read an image as float32, scaling applied.

    Raises:
        CohortError: If the file is absent, damaged, not one volume, or holds no finite number.
    """
    path = Path(path)
    image = _load(path)
    grid = _grid(path, image)
    try:
        array = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error
    array = array.reshape(grid.shape)
    if not np.isfinite(array).all():
        raise CohortError(
            str(path),
            f"{int((~np.isfinite(array)).sum())} voxels that are NaN or infinite",
            "finite intensities",
            "Export the image again or remove the subject.",
        )
    return Volume(array, grid)


def read_labels(path: Path | str) -> Volume:
    """Read a label map as int16 (values rounded).

    Raises:
        CohortError: As `read_volume`.
    """
    whole = _whole_numbers(Path(path))
    if whole is not None:
        return Volume(whole.array.astype(np.int16), whole.grid)
    volume = read_volume(path)
    return Volume(np.rint(volume.array).astype(np.int16), volume.grid)


def _whole_numbers(path: Path) -> Volume | None:
    """An image as it is stored, where it is stored as unscaled bytes or int16; quicker so."""
    image = _load(path)
    stored = image.get_data_dtype()
    slope, inter = getattr(image.header, "get_slope_inter", lambda: (None, None))()
    if stored not in (np.uint8, np.int16) or slope not in (None, 1) or inter not in (None, 0):
        return None
    grid = _grid(path, image)
    try:
        array = np.asanyarray(image.dataobj)
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error
    return Volume(array.reshape(grid.shape), grid)


def read_mask(path: Path | str) -> Volume:
    """Read a mask as bool: voxels above one half of the largest value.

    Raises:
        CohortError: As `read_volume`.
    """
    volume = _whole_numbers(Path(path)) or read_volume(path)
    top = float(volume.array.max())
    return Volume(volume.array > max(top, 1e-6) / 2, volume.grid)


def write_volume(path: Path | str, volume: Volume) -> Path:
    """Write a volume as NIfTI: bool as uint8, integers as int16, everything else as float32.

    sform and qform hold the same affine with one code; axes that are not at right angles go
    into the sform alone. The file appears under its name only when it is whole; equal volumes
    give equal bytes.
    """
    path = Path(path)
    array = volume.array
    if array.dtype == bool:
        array = array.astype(np.uint8)
    elif array.dtype != np.uint8:
        array = array.astype(
            np.int16 if np.issubdtype(array.dtype, np.integer) else np.float32, copy=False
        )
    image = nib.Nifti1Image(array, volume.grid.matrix)
    image.header.set_data_dtype(array.dtype)
    image.header.set_xyzt_units("mm")
    image.set_sform(volume.grid.matrix, code=1)
    if volume.grid.right_angled:
        image.set_qform(volume.grid.matrix, code=1)
    else:
        # A quaternion cannot hold shear: a qform would place the image elsewhere than the sform,
        # and ITK would believe it. Without one ITK refuses the file instead.
        image.set_qform(None, code=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    nib.save(image, partial)
    os.replace(partial, path)
    return path


def voxel_hash(volume: Volume) -> str:
    """SHA-256 of shape and values as float32: the same voxels whatever the header says."""
    values = np.ascontiguousarray(volume.array, dtype=np.float32)
    return hashlib.sha256(repr(values.shape).encode() + values.tobytes()).hexdigest()


def canonical(volume: Volume) -> Volume:
    """Flip and swap array axes so that they point right, anterior, superior; no resampling."""
    turns = nib.io_orientation(volume.grid.matrix)
    array = nib.apply_orientation(volume.array, turns)
    matrix = volume.grid.matrix @ nib.orientations.inv_ornt_aff(turns, volume.grid.shape)
    return Volume(array, Grid.of(array.shape, matrix))
