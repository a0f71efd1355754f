"""Where anatomies are read from: the ICBM152 maps of nilearn, or FreeSurfer-style label maps."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.volume import Volume, canonical, read_labels, read_volume
from fcdsynth.phantom import regions, shells
from fcdsynth.phantom.anatomy import Anatomy
from fcdsynth.phantom.parts import BRAIN, OUTER_LABELS_FROM, UNKNOWN, Part, from_freesurfer

TEMPLATE = "icbm152"
TEMPLATE_SCALE = 0.935  # MNI152 brains are larger than living ones (1.9 l against 1.5 l)
# Extents of the ICBM152 cerebral cortex in MNI mm, to which label maps are brought.
_CORTEX_LOWER_MM = np.array([-71.0, -105.0, -48.0])
_CORTEX_UPPER_MM = np.array([71.0, 71.0, 81.0])
_BELOW_CORTEX_MM = 68.0
_FAT_MM = 4.5
_FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


@functools.lru_cache(maxsize=1)
def load_template() -> Anatomy:
    """The ICBM152 2009a symmetric brain that nilearn ships, with room for a skull around it.

    Raises:
        CohortError: If the files of nilearn cannot be read.
    """
    folder = resources.files("nilearn.datasets") / "data"
    maps = []
    for kind in ("gm", "wm", "t1"):
        with resources.as_file(folder / _FILE.format(kind)) as path:
            maps.append(canonical(read_volume(path)))
    grey, white = ((v.array / 255).astype(np.float32) for v in maps[:2])
    grid = maps[0].grid
    brain = maps[2].array > 0
    to_vox = np.asarray(np.linalg.inv(grid.matrix), np.float64)
    x, y, z = (
        np.arange(n, dtype=np.float32) + np.float32(grid.matrix[i, 3])
        for i, n in enumerate(grid.shape)
    )
    mm = (x[:, None, None], y[None, :, None], z[None, None, :])
    outside = shells.measure_outside(grid.to_mm(np.argwhere(brain)))
    everywhere = np.stack(np.broadcast_arrays(*mm)).reshape(3, -1)
    depth = -outside.at(everywhere).reshape(grid.shape)
    parts = regions.template_parts(grey, white, brain, depth, mm)
    return Anatomy(TEMPLATE, parts, to_vox, TEMPLATE_SCALE, shells.HEAD_LOWER_MM,
                   shells.HEAD_UPPER_MM, (grey, white), outside)  # fmt: skip


def list_label_maps(folder: Path | str) -> tuple[Path, ...]:
    """Label maps of a folder, by name.

    Raises:
        SettingsError: If it holds no NIfTI file.
    """
    files = tuple(sorted(Path(folder).glob("*.nii.gz")))
    if not files:
        raise SettingsError(
            "anatomies", f"no *.nii.gz file in {folder}", "a folder of FreeSurfer-style label maps",
            "Give another folder, or leave the setting out to use the ICBM152 brain.",
        )  # fmt: skip
    return files


def _known_parts(volume: Volume) -> NDArray[np.uint8]:
    parts = from_freesurfer(volume.array)
    unknown = parts == UNKNOWN
    if unknown.any():  # a rare label takes the part of its nearest neighbour
        nearest = ndimage.distance_transform_edt(
            unknown, return_distances=False, return_indices=True
        )
        parts = parts[tuple(nearest)]
    return parts


def _lay_muscle(parts: NDArray[np.uint8], spacing_mm: tuple[float, float, float]) -> None:
    """Tell muscle from fat by depth below the skin, in place: label maps hold one soft tissue."""
    step = tuple(max(1, round(2 / s)) for s in spacing_mm)
    coarse = parts[:: step[0], :: step[1], :: step[2]]
    size = tuple(n * s for n, s in zip(step, spacing_mm, strict=True))
    solid = (coarse != Part.AIR) & (coarse != Part.SKIN)
    depth = ndimage.distance_transform_edt(solid, sampling=size)
    deep = depth > _FAT_MM
    for axis, n in enumerate(step):
        deep = np.repeat(deep, n, axis=axis)[tuple(slice(m) for m in parts.shape)]
    parts[deep & (parts == Part.FAT)] = Part.MUSCLE


def load_labels(path: Path) -> Anatomy:
    """A FreeSurfer-style label map; skull and scalp are added where it has none.

    Raises:
        CohortError: If the file cannot be read or holds no cerebral cortex and white matter.
    """
    changed = path.stat().st_mtime_ns if path.exists() else 0
    return _load_labels(path, changed)


@functools.lru_cache(maxsize=1)
def _load_labels(path: Path, changed_ns: int) -> Anatomy:
    volume = read_labels(path)
    parts = _known_parts(volume)
    counts = np.bincount(parts.ravel(), minlength=len(Part)) * volume.grid.voxel_ml
    if counts[Part.CORTEX] < 50 or counts[Part.WHITE] < 50:
        raise CohortError(
            str(path),
            f"{counts[Part.CORTEX]:.0f} ml of cortex, {counts[Part.WHITE]:.0f} ml of white matter",
            "a FreeSurfer-style label map of a whole brain (cortex 3 and 42, white 2 and 41)",
            "Remove the file from the anatomies folder.",
        )
    cortex = volume.grid.to_mm(np.argwhere(parts == Part.CORTEX))
    lower, upper = np.percentile(cortex, [0.02, 99.98], axis=0)
    stretch = (_CORTEX_UPPER_MM - _CORTEX_LOWER_MM) / (upper - lower)
    from_canonical = np.diag([*(1 / stretch), 1.0])
    from_canonical[:3, 3] = lower - _CORTEX_LOWER_MM / stretch
    to_vox = np.asarray(np.linalg.inv(volume.grid.matrix) @ from_canonical, np.float64)
    scale = float(1 / np.cbrt(np.prod(stretch)))
    has_head = bool((volume.array >= OUTER_LABELS_FROM).any() and counts[Part.BONE] > 50)
    if has_head:
        _lay_muscle(parts, volume.grid.spacing_mm)
        head = volume.grid.to_mm(np.argwhere(parts != Part.AIR)[::7])
        ends = (np.percentile(head, [0.05, 99.95], axis=0) - from_canonical[:3, 3]) * stretch
        ends[0, 2] = max(ends[0, 2], _CORTEX_LOWER_MM[2] - _BELOW_CORTEX_MM)
        low, high = (tuple(float(v) for v in row) for row in ends)
        return Anatomy(path.name, parts, to_vox, scale, low, high)  # type: ignore[arg-type]
    parts[parts == Part.CSF] = Part.AIR
    brain = volume.grid.to_mm(np.argwhere(np.isin(parts, BRAIN)))
    outside = shells.measure_outside((brain - from_canonical[:3, 3]) * stretch)
    return Anatomy(path.name, parts, to_vox, scale, shells.HEAD_LOWER_MM, shells.HEAD_UPPER_MM,
                   outside=outside)  # fmt: skip
