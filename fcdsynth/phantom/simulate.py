"""Simulate one subject from its spec: images, the annotator's mask and the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.phantom import acquisition, annotator, appearance, lesion
from fcdsynth.phantom.anatomy import Anatomy
from fcdsynth.phantom.contrast import CONTRASTS, Site, bias_field, painter
from fcdsynth.phantom.head import make_head
from fcdsynth.phantom.parts import BRAIN, Part, to_tissue
from fcdsynth.phantom.pose import axes_of
from fcdsynth.phantom.sources import TEMPLATE, load_labels, load_template
from fcdsynth.phantom.spec import SubjectSpec

FLAIR_VOXEL = 1.1  # FLAIR voxel size relative to T1w
_CLOSING_MM = 10.0


@dataclass(frozen=True, eq=False)
class Simulated:
    """One simulated subject.

    Args:
        t1w: int16 volume; its world is the subject's.
        flair: int16 volume on its own grid, the head moved a little against the header.
        tissue: True tissue labels (`fcdsynth.core.tissue`) on the T1w grid, 0 outside the brain.
        flair_to_t1w: 4 x 4 matrix from the FLAIR's world to the T1w's.
        jacobian_min: Smallest relative Jacobian of the warp.
        truth: Exact lesion mask on the T1w grid, None for controls.
        roi: The annotator's mask on the FLAIR grid, None for controls.
        measures: Truth about the lesion, numbers by name; empty for controls.
        centre_mm: Where the lesion was centred in the T1w world, empty for controls.
    """

    t1w: Volume
    flair: Volume
    tissue: Volume
    flair_to_t1w: NDArray[np.float64]
    jacobian_min: float
    truth: Volume | None
    roi: Volume | None
    measures: dict[str, float]
    centre_mm: tuple[float, ...]


def load_anatomy(name: str, folder: Path | None) -> Anatomy:
    """The anatomy of a spec: a label map of the folder, or the template."""
    return load_template() if name == TEMPLATE or folder is None else load_labels(folder / name)


def _brain_mask(parts: NDArray[np.uint8], head: Grid, grid: Grid) -> NDArray[np.bool_]:
    """Brain with the CSF in its sulci: closed by 10 mm, on the grid of a scan."""
    step = max(1, round(2.5 / head.spacing_mm[0]))
    coarse = np.isin(parts[::step, ::step, ::step], BRAIN)
    size = step * head.spacing_mm[0]
    reach = int(np.ceil(_CLOSING_MM / size)) + 1
    coarse = np.pad(coarse, reach)
    wide = ndimage.distance_transform_edt(~coarse) * size <= _CLOSING_MM
    closed = ndimage.distance_transform_edt(wide) * size > _CLOSING_MM
    closed |= coarse
    affine = head.matrix.copy()
    affine[:3, :3] *= step
    affine[:3, 3] = head.to_mm([-reach * step] * 3)
    coarse_grid = Grid.of(closed.shape, affine)
    share = acquisition.look_up(closed.astype(np.float32), coarse_grid, grid, np.eye(4))
    return share >= 0.5


def _tissue(parts: NDArray[np.uint8], head: Grid, grid: Grid) -> Volume:
    labels = to_tissue(acquisition.look_up(parts, head, grid, np.eye(4), order=0).astype(np.uint8))
    brain = _brain_mask(parts, head, grid)
    labels[~brain & (labels == Tissue.CSF)] = 0
    labels[brain & (labels == 0)] = Tissue.CSF
    return Volume(labels, grid)


def simulate(spec: SubjectSpec, site: Site, spacing_mm: float, folder: Path | None) -> Simulated:
    """Make a subject's images and truth.

    Args:
        spec: The subject.
        site: Its scanner.
        spacing_mm: Voxel size of T1w; FLAIR voxels are 1.1 times as long.
        folder: Folder of the label maps, None for the template.

    Raises:
        CohortError: If the lesion could not be made with a mask on both grids.
    """
    made = make_head(spec.pose, spec.shell, load_anatomy(spec.anatomy, folder), spacing_mm)
    head, parts, jacobian = made.grid, made.parts, made.jacobian_min
    grown = lesion.grow(spec.lesion, made) if spec.lesion else None
    del made

    volumes: dict[str, Volume] = {}
    measures: dict[str, float] = {}
    for contrast in CONTRASTS:
        flair = contrast == "flair"
        voxel_mm = spacing_mm * (FLAIR_VOXEL if flair else 1.0)
        paint = painter(site, spec.contrast, contrast, head)
        painted = paint.paint(parts, paint.texture(axes_of(head)))
        noise = site.noise[contrast]
        if grown:
            got = appearance.paint_lesion(painted, grown, paint, flair, voxel_mm, noise)
            measures[f"{contrast}_change_sd"] = got.change_sd
            measures[f"{contrast}_ring_z"] = got.ring_z
        painted *= bias_field(site, spec.contrast, contrast, head)
        scan = spec.scans[contrast]
        grid = acquisition.scan_grid(scan, head, voxel_mm, site.axes[contrast])
        volumes[contrast] = acquisition.scan(painted, head, grid, scan, noise,
                                             site.scale[contrast])  # fmt: skip
    t1w, flair_scan = volumes["t1w"].grid, spec.scans["flair"]
    truth = roi = None
    if grown and spec.annotator:
        share = np.zeros(head.shape, dtype=np.float32)
        share[grown.box] = grown.share
        truth = acquisition.share_mask(share, head, t1w, spec.scans["t1w"])
        share[grown.box] = annotator.outline(grown, spec.annotator)
        roi = acquisition.share_mask(share, head, volumes["flair"].grid, flair_scan)
        thick = (grown.parts == Part.WHITE) & (grown.grey > 0.5)
        parts[grown.box][thick] = Part.CORTEX
        if not truth.array.any() or not roi.array.any():
            raise CohortError(
                spec.id, "a lesion without a voxel", "a lesion of at least one voxel",
                f"Use a spacing below {spacing_mm} mm.",
            )  # fmt: skip
        measures["volume_ml"] = float(truth.array.sum() * t1w.voxel_ml)
        measures["drawn_ml"] = float(roi.array.sum() * roi.grid.voxel_ml)
    return Simulated(
        volumes["t1w"], volumes["flair"], _tissue(parts, head, t1w),
        acquisition.motion_matrix(flair_scan, head), jacobian, truth, roi, measures,
        grown.centre_mm if grown else (),
    )  # fmt: skip
