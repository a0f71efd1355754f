"""Where anatomies are read from: the ICBM152 maps of nilearn, or FreeSurfer-style label maps."""

from __future__ import annotations

import functools
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.grid import Grid
from fcdsynth.core.volume import Volume, canonical, read_labels, read_volume
from fcdsynth.phantom import lobemap, regions, shells
from fcdsynth.phantom.anatomy import Anatomy
from fcdsynth.phantom.landmarks import turn_to_mni
from fcdsynth.phantom.parts import (
    BRAIN,
    OUTER_LABELS_FROM,
    UNKNOWN,
    Part,
    from_freesurfer,
    side_of,
)
from fcdsynth.phantom.ribbon import measure_ribbon
from fcdsynth.phantom.ventricles import Ventricles, measure_ventricles

TEMPLATE = "icbm152"
TEMPLATE_SCALE = 0.935  # MNI152 brains are larger than living ones (1.9 l against 1.5 l)
# Extents of the ICBM152 cerebral cortex in MNI mm, to which label maps are brought.
_CORTEX_LOWER_MM = np.array([-71.0, -105.0, -48.0])
_CORTEX_UPPER_MM = np.array([71.0, 71.0, 81.0])
_BELOW_CORTEX_MM = 68.0
_FAT_MM = 4.5
_FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"


@functools.lru_cache(maxsize=1)
def template_maps() -> tuple[Volume, Volume, Volume]:
    """Grey matter share, white matter share and T1 of the ICBM152 2009a brain, RAS+.

    Raises:
        CohortError: If the files of nilearn cannot be read.
    """
    folder = resources.files("nilearn") / "datasets" / "data"  # importing datasets takes seconds
    maps = []
    for kind in ("gm", "wm", "t1"):
        with resources.as_file(folder / _FILE.format(kind)) as path:
            maps.append(canonical(read_volume(path)))
    return (maps[0], maps[1], maps[2])


@functools.lru_cache(maxsize=1)
def load_template() -> Anatomy:
    """The ICBM152 2009a symmetric brain that nilearn ships, with room for a skull around it.

    Raises:
        CohortError: If the files of nilearn cannot be read.
    """
    maps = template_maps()
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
    lobes = np.zeros(parts.shape, dtype=np.uint8)
    lobes[brain] = lobemap.labels_at(grid.to_mm(np.argwhere(brain)))
    shares = tuple(np.rint(v.array).astype(np.uint8) for v in maps[:2])
    return Anatomy(
        TEMPLATE, parts, lobes, to_vox, TEMPLATE_SCALE, shells.HEAD_LOWER_MM,
        shells.HEAD_UPPER_MM, measure_ribbon(parts, (TEMPLATE_SCALE,) * 3),
        _ventricles_of(parts, to_vox), shares, outside,
    )  # type: ignore[arg-type]  # fmt: skip


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
    found = np.argwhere(parts == UNKNOWN)
    if len(found):  # a rare label takes the part of its nearest neighbour
        box = tuple(
            slice(max(a - 1, 0), b + 2) for a, b in zip(found.min(0), found.max(0), strict=True)
        )
        local = parts[box]
        nearest = ndimage.distance_transform_edt(
            local == UNKNOWN, return_distances=False, return_indices=True
        )
        parts[box] = local[tuple(nearest)]
    return parts


def _cropped(volume: Volume) -> Volume:
    """The box that holds all labels, so that empty space costs nothing."""
    lower, upper = [], []
    for axis in range(3):
        other = tuple(a for a in range(3) if a != axis)
        found = np.flatnonzero((volume.array != 0).any(axis=other))
        lower.append(max(int(found[0]) - 1, 0) if len(found) else 0)
        upper.append(int(found[-1]) + 2 if len(found) else volume.array.shape[axis])
    array = volume.array[tuple(slice(a, b) for a, b in zip(lower, upper, strict=True))]
    affine = volume.grid.matrix.copy()
    affine[:3, 3] = volume.grid.to_mm(lower)
    return Volume(np.ascontiguousarray(array), Grid.of(array.shape, affine))


def _ventricles_of(parts: NDArray[np.uint8], to_vox: NDArray[np.float64]) -> Ventricles:
    index = np.argwhere(parts == Part.VENTRICLE)
    cell_ml = float(abs(np.linalg.det(np.linalg.inv(to_vox[:3, :3])))) / 1000
    return measure_ventricles(_canonical_mm(index, to_vox), cell_ml)


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

    Its lobes are found by a registration to the ICBM152 brain, some ten seconds of work.

    Raises:
        CohortError: If the file cannot be read or holds no cerebral cortex and white matter.
    """
    volume = _cropped(read_labels(path))
    parts = _known_parts(volume)
    counts = np.bincount(parts.ravel(), minlength=len(Part)) * volume.grid.voxel_ml
    if counts[Part.CORTEX] < 50 or counts[Part.WHITE] < 50:
        raise CohortError(
            str(path),
            f"{counts[Part.CORTEX]:.0f} ml of cortex, {counts[Part.WHITE]:.0f} ml of white matter",
            "a FreeSurfer-style label map of a whole brain (cortex 3 and 42, white 2 and 41)",
            "Remove the file from the anatomies folder.",
        )
    average = lobemap.average_brain(*template_maps()[:2])
    place = _fit(parts, volume.grid, turn_to_mni(volume))
    to_vox = np.asarray(np.linalg.inv(place @ volume.grid.matrix), np.float64)
    scale = float(1 / np.cbrt(abs(np.linalg.det(place[:3, :3]))))
    lobes = lobemap.lobe_map(parts, side_of(volume.array), volume.grid, place, average)
    has_head = bool((volume.array >= OUTER_LABELS_FROM).any() and counts[Part.BONE] > 50)
    ends = np.array([shells.HEAD_LOWER_MM, shells.HEAD_UPPER_MM])
    outside = None
    if has_head:
        _lay_muscle(parts, volume.grid.spacing_mm)
        head = np.argwhere(parts != Part.AIR)[::7]
        ends = np.percentile(_canonical_mm(head, to_vox), [0.05, 99.95], axis=0)
        ends[0, 2] = max(ends[0, 2], _CORTEX_LOWER_MM[2] - _BELOW_CORTEX_MM)
    else:
        parts[parts == Part.CSF] = Part.AIR
        brain = np.argwhere(np.isin(parts, BRAIN))
        outside = shells.measure_outside(_canonical_mm(brain, to_vox))
    low, high = (tuple(float(v) for v in row) for row in ends)
    return Anatomy(
        path.name, parts, lobes, to_vox, scale, low, high,  # type: ignore[arg-type]
        measure_ribbon(parts, volume.grid.spacing_mm), _ventricles_of(parts, to_vox),
        outside=outside,
    )  # fmt: skip


def _fit(parts: NDArray[np.uint8], grid: Grid, turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """World to canonical space: turned, then stretched to the extent of the average cortex."""
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    cortex = grid.to_mm(np.argwhere(parts == Part.CORTEX)) @ matrix[:3, :3].T
    lower, upper = np.percentile(cortex, [0.02, 99.98], axis=0)
    stretch = (_CORTEX_UPPER_MM - _CORTEX_LOWER_MM) / (upper - lower)
    matrix[:3, :3] *= stretch[:, None]
    matrix[:3, 3] = _CORTEX_LOWER_MM - lower * stretch
    return matrix


def _canonical_mm(vox: NDArray[np.intp], to_vox: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.linalg.inv(to_vox)
    return np.asarray(vox @ matrix[:3, :3].T + matrix[:3, 3])
