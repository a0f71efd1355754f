"""Simulate one subject from its spec: images, the annotator's mask and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.core.volume import Volume
from fcdsynth.phantom import acquisition, appearance
from fcdsynth.phantom.bank import take
from fcdsynth.phantom.bright import find_bright
from fcdsynth.phantom.contrast import CONTRASTS, Site, bias_field, painter
from fcdsynth.phantom.head import make_head
from fcdsynth.phantom.illness import fall_ill, outlined_elsewhere
from fcdsynth.phantom.lesiontruth import LesionTruth
from fcdsynth.phantom.parts import BRAIN, to_tissue
from fcdsynth.phantom.patch import Patch
from fcdsynth.phantom.pose import axes_of, mirror_matrix
from fcdsynth.phantom.scans import Protocol, protocol_of
from fcdsynth.phantom.spec import SubjectSpec

_CLOSING_MM = 10.0


@dataclass(frozen=True, eq=False)
class Simulated:
    """One simulated subject.

    Args:
        t1w: int16 volume; its world is the subject's.
        flair: int16 volume on its own grid, the head moved a little against the header.
        tissue: True tissue labels (`fcdsynth.core.tissue`) on the T1w grid, 0 outside the brain.
        lobes: Lobe and side labels (`fcdsynth.measure.lobes`) of cortex and cerebral white
            matter on the T1w grid, those of the anatomy itself.
        mimics: Bright places on FLAIR that are no lesions, on the T1w grid: 1 caps, 2 spots.
        protocols: Geometry of the two acquisitions, by contrast.
        head: Grid of the whole head in the T1w world.
        flair_to_t1w: 4 x 4 matrix from the FLAIR's world to the T1w's.
        mirror: 4 x 4 matrix that mirrors the T1w's world about the head's mid-plane, warp left out.
        jacobian_min: Smallest relative Jacobian of the deformation.
        truth: Exact lesion mask on the T1w grid, None for controls.
        roi: The annotator's mask on the FLAIR grid, None for controls and missed lesions.
        measures: Truth about the main lesion and both masks by name; empty for controls.
        centre_mm: Centre of mass of the main lesion in the T1w world, empty for controls.
        lesions: Truth about each lesion, the main one first.
    """

    t1w: Volume
    flair: Volume
    tissue: Volume
    lobes: Volume
    mimics: Volume
    protocols: dict[str, Protocol]
    head: Grid
    flair_to_t1w: NDArray[np.float64]
    mirror: NDArray[np.float64]
    jacobian_min: float
    truth: Volume | None
    roi: Volume | None
    measures: dict[str, float]
    centre_mm: tuple[float, ...]
    lesions: tuple[LesionTruth, ...]


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


def tissue_on(parts: NDArray[np.uint8], head: Grid, grid: Grid) -> Volume:
    """Tissue labels of a head's parts on a scan's grid, fluid in the sulci as CSF."""
    labels = to_tissue(acquisition.look_up(parts, head, grid, np.eye(4), order=0).astype(np.uint8))
    brain = _brain_mask(parts, head, grid)
    labels[~brain & (labels == Tissue.CSF)] = 0
    labels[brain & (labels == 0)] = Tissue.CSF
    return Volume(labels, grid)


def outline_of(spec: SubjectSpec, spacing_mm: float, bank: Path) -> tuple[Patch, ...]:
    """A patient's outline as drawn without a planted error, for one that it is mixed up with."""
    if spec.annotator is None:
        return ()
    head = make_head(spec.pose, spec.shell, take(bank, spec.anatomy), spacing_mm)
    return outlined_elsewhere(spec.lesions, spec.annotator, head)


def simulate(
    spec: SubjectSpec, site: Site, spacing_mm: float, bank: Path,
    other: Sequence[Patch] | None = None,
) -> Simulated:  # fmt: skip
    """Make a subject's images and truth.

    Args:
        spec: The subject.
        site: Its scanner.
        spacing_mm: Voxel size asked for; scanners have voxels somewhat smaller or larger.
        bank: Folder that holds its anatomy, see `fcdsynth.phantom.bank.fill_bank`.
        other: Outline of the patient it is mixed up with, where its annotator says so.

    Raises:
        CohortError: If the lesion could not be made with a mask on both grids.
    """
    made = make_head(spec.pose, spec.shell, take(bank, spec.anatomy), spacing_mm)
    head, parts = made.grid, made.parts
    ill = fall_ill(spec.id, spec.lesions, spec.annotator, made, other)
    bright = find_bright(spec.contrast.mimics, made)
    protocols = {c: protocol_of(spec.scans[c], spacing_mm, site.axes[c]) for c in CONTRASTS}

    volumes: dict[str, Volume] = {}
    measures: dict[str, float] = {}
    achieved: dict[str, list[appearance.Achieved]] = {}
    for contrast in CONTRASTS:
        flair = contrast == "flair"
        protocol = protocols[contrast]
        paint = painter(site, spec.contrast, contrast, head)
        painted = paint.paint(parts, paint.texture(axes_of(head)))
        bright.paint(painted, flair)
        noise = site.noise[contrast]
        achieved[contrast] = [
            appearance.paint_lesion(painted, one, paint, flair, protocol.mean_mm, noise)
            for one in ill.lesions
        ]
        for got in achieved[contrast][:1]:
            measures[f"{contrast}_change_sd"] = got.change_sd
            measures[f"{contrast}_ring_z"] = got.ring_z
        bright.paint_regions(painted, made, flair)
        painted *= bias_field(site, spec.contrast, contrast, head)
        scan = spec.scans[contrast]
        grid = acquisition.scan_grid(scan, head, protocol)
        volumes[contrast] = acquisition.scan(painted, head, grid, scan, protocol, noise,
                                             site.scale[contrast])  # fmt: skip
    t1w, flair_scan = volumes["t1w"].grid, spec.scans["flair"]
    to_t1w = acquisition.motion_matrix(flair_scan, head)
    truth = roi = None
    if ill.lesions:
        truth = ill.truth_on(t1w)
        roi = ill.outlined_on(volumes["flair"].grid, to_t1w)
        ill.thicken(parts)
        if not truth.array.any() or (roi is not None and not roi.array.any()):
            raise CohortError(
                spec.id, "a lesion without a voxel", "a lesion of at least one voxel",
                f"Use a spacing below {spacing_mm} mm.",
            )  # fmt: skip
        measures["volume_ml"] = float(truth.array.sum() * t1w.voxel_ml)
        measures["drawn_ml"] = float(roi.array.sum() * roi.grid.voxel_ml) if roi else 0.0
    return Simulated(
        volumes["t1w"], volumes["flair"], tissue_on(parts, head, t1w),
        Volume(acquisition.look_up(made.lobes, head, t1w, np.eye(4), order=0), t1w),
        Volume(acquisition.look_up(bright.labels(made), head, t1w, np.eye(4), order=0), t1w),
        protocols,
        head, to_t1w, mirror_matrix(spec.pose), made.jacobian_min, truth, roi, measures,
        ill.lesions[0].centre_mm if ill.lesions else (), ill.truths(achieved),
    )  # fmt: skip
