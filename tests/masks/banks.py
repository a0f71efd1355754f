"""Anatomies made in code: two banks of a sulcus, and a folded head of 2 mm voxels."""

from __future__ import annotations

import numpy as np

from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.host import make_host
from fcdsynth.masks.spec import Growth, LesionSpec


def two_banks(sheet="csf", spacing_mm=1.0):
    """White, cortex, a one-voxel sheet, cortex, white along x; the sheet reaches every edge.

    ``csf``: the sheet is CSF; ``staircase``: a diagonal CSF sheet whose voxels touch by edges;
    ``hidden``: no CSF is labelled, the banks touch.
    """
    shape = (31, 31, 31)
    i, j, _ = np.indices(shape)
    middle = 15 + (j - 15 if sheet == "staircase" else 0)
    gap = np.abs(i - middle)
    tissue = np.full(shape, Tissue.WHITE_MATTER, dtype=np.int16)
    tissue[gap <= 4] = Tissue.CORTEX
    if sheet != "hidden":
        tissue[gap == 0] = Tissue.CSF
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = [200, 0, 0]  # far from the mid-plane: one hemisphere
    grid = Grid.of(shape, affine)
    brain = np.ones(shape, dtype=bool)
    depth = np.zeros(shape, dtype=np.float32)
    host = make_host("banks", grid, tissue, brain, depth, t1w_to_mni=np.eye(4))
    return host, i - middle


def spec_at(host, voxel, size_vox, seed=0, **more):
    return LesionSpec(
        seed=seed, host=host.subject, kind="lesion", centre_vox=voxel,
        centre_mm=tuple(host.grid.to_mm(voxel)), centre_mni_mm=None, size_vox=size_vox,
        volume_ml=size_vox * host.grid.voxel_ml, growth=more.pop("growth", Growth()), **more,
    )  # fmt: skip


def folded_head(spacing_mm=2.0, size=64, lesion=None):
    """An ellipsoid brain whose surface folds into sulci, with ventricles and a lower part."""
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = -spacing_mm * (size - 1) / 2
    grid = Grid.of((size, size, size), affine)
    mm = grid.to_mm(np.stack(np.indices(grid.shape), -1))
    x, y, z = mm[..., 0], mm[..., 1], mm[..., 2]
    radius = np.linalg.norm(mm / [52.0, 58.0, 50.0], axis=-1)
    fold = 0.09 * np.sin(x / 5) * np.cos(y / 6 + z / 9)
    brain = radius < 1
    tissue = np.zeros(grid.shape, dtype=np.int16)
    tissue[brain] = Tissue.CSF
    tissue[radius < 0.9 + fold] = Tissue.CORTEX
    tissue[radius < 0.83 + fold] = Tissue.WHITE_MATTER
    tissue[np.linalg.norm((mm - [0, 0, -5]) / [24, 18, 10], axis=-1) < 1] = Tissue.DEEP_GREY
    tissue[np.linalg.norm((mm - [0, 0, 8]) / [14, 24, 7], axis=-1) < 1] = Tissue.VENTRICLE
    tissue[(z < -26) & (y < -8) & brain] = Tissue.INFRATENTORIAL
    tissue[~brain] = 0
    depth = ((1 - radius) * 50).clip(0).astype(np.float32)
    return make_host("folded", grid, tissue, brain, depth, lesion, np.eye(4))
