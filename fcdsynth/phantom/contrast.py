"""Tissue brightness on T1w and FLAIR by scanner, and the painting of a part map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.grid import Grid
from fcdsynth.phantom.fields import SmoothField
from fcdsynth.phantom.mimics import MimicSpec, draw_mimics
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.pose import axes_of

CONTRASTS = ("t1w", "flair")
# Mean brightness relative to white matter on T1w and to cortex on FLAIR, as on 3 T MPRAGE and
# on fat-saturated 3D inversion-recovery spin echo; spread is the share that varies in space.
_MEANS: dict[str, dict[Part, float]] = {
    "t1w": {
        Part.AIR: 0.0, Part.CSF: 0.22, Part.CORTEX: 0.66, Part.WHITE: 1.0, Part.DEEP_GREY: 0.79,
        Part.VENTRICLE: 0.19, Part.LOWER_GREY: 0.66, Part.LOWER_WHITE: 0.95, Part.BONE: 0.12,
        Part.MARROW: 0.72, Part.FAT: 1.12, Part.MUSCLE: 0.48, Part.SKIN: 0.62, Part.MUCOSA: 0.55,
        Part.EYE: 0.18, Part.VESSEL: 0.36,
    },
    "flair": {
        Part.AIR: 0.0, Part.CSF: 0.20, Part.CORTEX: 1.0, Part.WHITE: 0.76, Part.DEEP_GREY: 0.92,
        Part.VENTRICLE: 0.13, Part.LOWER_GREY: 0.97, Part.LOWER_WHITE: 0.80, Part.BONE: 0.10,
        Part.MARROW: 0.36, Part.FAT: 0.52, Part.MUSCLE: 0.42, Part.SKIN: 0.60, Part.MUCOSA: 0.95,
        Part.EYE: 0.12, Part.VESSEL: 0.22,
    },
}  # fmt: skip
_SPREAD: dict[Part, float] = {
    Part.AIR: 0.0, Part.CSF: 0.10, Part.CORTEX: 0.035, Part.WHITE: 0.025, Part.DEEP_GREY: 0.04,
    Part.VENTRICLE: 0.05, Part.LOWER_GREY: 0.03, Part.LOWER_WHITE: 0.035, Part.BONE: 0.3,
    Part.MARROW: 0.25, Part.FAT: 0.15, Part.MUSCLE: 0.12, Part.SKIN: 0.1, Part.MUCOSA: 0.2,
    Part.EYE: 0.05, Part.VESSEL: 0.3,
}  # fmt: skip
_NOISE = {"t1w": (0.018, 0.035), "flair": (0.022, 0.045)}
_LOUDER_AT_1_5_T = 1.5
_VOXEL = {"t1w": (0.8, 1.2), "flair": (1.0, 1.3)}
_FIRST_VOXEL = {"t1w": 1.0, "flair": 1.1}


@dataclass(frozen=True)
class Site:
    """One scanner: what is the same for all its subjects.

    Args:
        number: From 1.
        name: Name of the site, written as the institution.
        manufacturer: Name in the sidecars.
        serial: Serial number of the scanner.
        field_t: Field strength in tesla.
        means: Brightness by contrast and part.
        scale: Factor to stored integers, by contrast.
        noise: Noise relative to the reference tissue, by contrast.
        bias: Strength of the bias field, by contrast.
        axes: Order and direction of the stored array axes, by contrast.
        voxel: Voxel size relative to the one asked for, by contrast.
        kept: Share of the phase-encoding lines that is read, by contrast.
        apodised: Whether they are weighted down towards the end, by contrast.
    """

    number: int
    name: str
    manufacturer: str
    serial: str
    field_t: float
    means: Mapping[str, tuple[float, ...]]
    scale: Mapping[str, float]
    noise: Mapping[str, float]
    bias: Mapping[str, float]
    axes: Mapping[str, str]
    voxel: Mapping[str, float]
    kept: Mapping[str, float]
    apodised: Mapping[str, bool]


def draw_site(seed: int, number: int) -> Site:
    """Draw a scanner; the same seed and number give the same one in every cohort."""
    rng = np.random.default_rng([seed, 2, number])
    makers = ("Siemens", "Philips", "GE")
    means = {}
    for contrast in CONTRASTS:
        base = np.array([_MEANS[contrast][part] for part in Part])
        means[contrast] = tuple(float(v) for v in base * np.exp(rng.normal(0, 0.045, base.size)))
    sagittal = "PSR" if number % 2 else "PIR"
    field_t = 3.0 if number % 3 else 1.5
    louder = _LOUDER_AT_1_5_T if field_t == 1.5 else 1.0
    scale = {c: float(rng.uniform(260, 900)) for c in CONTRASTS}
    noise = {c: float(rng.uniform(*_NOISE[c]) * louder) for c in CONTRASTS}
    bias = {c: float(rng.uniform(0.06, 0.14)) for c in CONTRASTS}
    axes = {"t1w": sagittal, "flair": sagittal if rng.random() < 0.5 else "LAS"}
    voxel = {c: float(np.round(rng.uniform(*_VOXEL[c]), 2)) for c in CONTRASTS}
    return Site(
        number=number,
        name=f"Phantom site {number}",
        manufacturer=makers[(number - 1) % len(makers)],
        serial=f"{90000 + 10 * number + seed % 10}",
        field_t=field_t,
        means=means,
        scale=scale,
        noise=noise,
        bias=bias,
        axes=axes,
        voxel=voxel if number > 1 else dict(_FIRST_VOXEL),
        kept={c: float(np.round(rng.uniform(0.75, 1.0), 2)) for c in CONTRASTS},
        apodised={c: bool(rng.random() < 0.4) for c in CONTRASTS},
    )


@dataclass(frozen=True)
class ContrastSpec:
    """What differs between subjects of one scanner: tissue brightness and texture.

    Args:
        tissue_factors: Factor on the brightness of each part, by contrast.
        mimics: Bright places that are no lesions.
        seed: Seed of texture and bias.
    """

    tissue_factors: Mapping[str, tuple[float, ...]]
    mimics: MimicSpec
    seed: int


def draw_contrast(rng: np.random.Generator) -> ContrastSpec:
    """Draw what one subject looks like beside its scanner's means."""
    factors = {
        c: tuple(float(v) for v in np.exp(rng.normal(0, 0.015, len(Part)))) for c in CONTRASTS
    }
    return ContrastSpec(factors, draw_mimics(rng), int(rng.integers(2**31)))


@dataclass(frozen=True, eq=False)
class Painter:
    """Paints part maps in one contrast of one subject.

    Args:
        means: Brightness by part.
        seed: Seed of the texture.
        grid: Axis-aligned RAS grid of the whole head.
    """

    means: NDArray[np.float32]
    seed: tuple[int, ...]
    grid: Grid

    def texture(self, axes: tuple[NDArray[np.float64], ...]) -> NDArray[np.float32]:
        """Unit-spread texture on a lattice given by world coordinates (mm)."""
        broad = SmoothField.over(self.grid, (*self.seed, 1), 22.0).on(axes)
        fine = SmoothField.over(self.grid, (*self.seed, 2), 4.0).on(axes)
        return np.float32(0.8) * broad + np.float32(0.6) * fine

    def paint(self, parts: NDArray[np.uint8], texture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Brightness of parts, shape (x, y, z)."""
        spread = np.array([_SPREAD[part] for part in Part], dtype=np.float32) * self.means
        return np.asarray(self.means[parts] + spread[parts] * texture, np.float32)

    def paint_as(self, part: Part, texture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Brightness that every voxel would have if it were of one part."""
        painted = self.means[part] * (1 + np.float32(_SPREAD[part]) * texture)
        return np.asarray(painted, np.float32)


def painter(site: Site, spec: ContrastSpec, contrast: str, grid: Grid) -> Painter:
    """The painter of one subject and contrast."""
    means = np.asarray(site.means[contrast]) * np.asarray(spec.tissue_factors[contrast])
    number = CONTRASTS.index(contrast)
    return Painter(means.astype(np.float32), (spec.seed, number), grid)


def bias_field(
    site: Site, spec: ContrastSpec, contrast: str, grid: Grid, on: Grid | None = None
) -> NDArray[np.float32]:
    """Smooth multiplicative receive field.

    Args:
        site: The scanner.
        spec: The subject's looks.
        contrast: ``t1w`` or ``flair``.
        grid: Axis-aligned grid of the whole head.
        on: Another axis-aligned grid of the same world to have its values on.
    """
    number = CONTRASTS.index(contrast)
    seed = (spec.seed, 10 + number)
    field = SmoothField.over(grid, seed, 85.0).on(axes_of(on or grid))
    return np.asarray(np.exp(np.float32(site.bias[contrast]) * field), np.float32)
