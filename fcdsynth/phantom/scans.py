"""How one subject was scanned: protocol, head movement and faults, drawn and written down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.phantom.contrast import CONTRASTS, Site

_THICK = 7 / 85  # patients of ds004199 with a 2D FLAIR of thick slices
_GHOSTS = {"t1w": 0.04, "flair": 0.06}
_RESTLESS = 0.15  # share of heads that moved more than usual between the two scans
_IN_PLANE = 0.8  # voxel size within thick slices, relative to the asked one


@dataclass(frozen=True)
class ScanSpec:
    """How one volume was acquired.

    Args:
        voxel: Voxel size relative to the one asked for.
        slice_mm: Slice thickness of a 2D acquisition, 0 for a 3D one.
        gap: Distance of slice centres relative to their thickness, at least 1.
        tilt_deg: Rotation of the slice block against the scanner, known to the header.
        offset_mm: Shift of the block's centre, known to the header.
        motion_deg: Rotation of the head since the T1w scan, unknown to the header.
        motion_mm: Shift of the head since the T1w scan, unknown to the header.
        kept: Share of the phase-encoding lines that was read.
        apodised: Whether they were weighted down towards the end.
        sway_mm: Amplitude of the head's movement while the lines were read; makes ghosts.
        sway_share: Sways relative to the number of lines: the distance of the first ghost
            relative to the field of view.
        sway_phase: Phase of the sway at its start, radians.
        seed: Seed of the noise.
    """

    voxel: float
    slice_mm: float
    gap: float
    tilt_deg: tuple[float, float, float]
    offset_mm: tuple[float, float, float]
    motion_deg: tuple[float, float, float]
    motion_mm: tuple[float, float, float]
    kept: float
    apodised: bool
    sway_mm: float
    sway_share: float
    sway_phase: float
    seed: int


@dataclass(frozen=True)
class Protocol:
    """Geometry of one acquisition at the spacing that was asked for.

    Args:
        axes: Direction of each array axis, such as ``PSR``.
        in_plane_mm: Voxel size along the first two axes.
        pitch_mm: Distance of slices: voxel size along the third axis.
        slice_mm: Thickness of a slice; smaller than the pitch where there is a gap.
        dimensions: ``2D`` or ``3D``, as in the sidecar's MRAcquisitionType.
    """

    axes: str
    in_plane_mm: float
    pitch_mm: float
    slice_mm: float
    dimensions: str

    @property
    def mean_mm(self) -> float:
        """Edge of a cube of the size of a voxel."""
        return float(np.cbrt(self.in_plane_mm**2 * self.slice_mm))


def draw_scans(rng: np.random.Generator, site: Site) -> dict[str, ScanSpec]:
    """Draw the two acquisitions of one subject at a scanner."""

    def triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
        return (float(values[0]), float(values[1]), float(values[2]))

    def direction(length: float) -> tuple[float, float, float]:
        vector = rng.standard_normal(3)
        return triple(vector / np.linalg.norm(vector) * length)

    scans = {}
    for contrast in CONTRASTS:
        flair = contrast == "flair"
        tilt, offset = triple(rng.normal(0, (4, 2, 2))), triple(rng.normal(0, 3, 3))
        motion_deg = motion_mm = (0.0, 0.0, 0.0)
        if flair and rng.random() < _RESTLESS:
            motion_deg, motion_mm = direction(rng.uniform(2, 5)), direction(rng.uniform(2, 5))
        elif flair:
            motion_deg = triple(rng.normal(0, 0.9, 3))
            motion_mm = triple(rng.normal(0, 1.2, 3))
        thick = flair and rng.random() < _THICK
        sways = rng.random() < _GHOSTS[contrast]
        scans[contrast] = ScanSpec(
            voxel=site.voxel[contrast],
            slice_mm=float(np.round(rng.uniform(3.5, 5), 1)) if thick else 0.0,
            gap=float(np.round(rng.uniform(1.05, 1.2), 2)) if thick else 1.0,
            tilt_deg=tilt,
            offset_mm=offset,
            motion_deg=motion_deg,
            motion_mm=motion_mm,
            kept=site.kept[contrast],
            apodised=site.apodised[contrast],
            sway_mm=float(rng.uniform(0.5, 1.2)) if sways else 0.0,
            sway_share=float(rng.uniform(0.06, 0.3)) if sways else 0.0,
            sway_phase=float(rng.uniform(0, 2 * np.pi)) if sways else 0.0,
            seed=int(rng.integers(2**31)),
        )
    return scans


def protocol_of(spec: ScanSpec, spacing_mm: float, axes: str) -> Protocol:
    """Geometry of a scan.

    Args:
        spec: The scan.
        spacing_mm: Voxel size that was asked for.
        axes: Direction of each array axis for 3D acquisitions; slices of 2D ones are axial.
    """
    if spec.slice_mm == 0:
        voxel = spec.voxel * spacing_mm
        return Protocol(axes, voxel, voxel, voxel, "3D")
    thickness = max(spec.slice_mm, 2 * spacing_mm)
    return Protocol("LAS", _IN_PLANE * spacing_mm, thickness * spec.gap, thickness, "2D")
