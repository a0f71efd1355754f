"""What a lesion does to brightness, scaled so that its contrast is what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.phantom.acquisition import blurred
from fcdsynth.phantom.contrast import Painter
from fcdsynth.phantom.lesion import Lesion
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.pose import axes_of
from fcdsynth.phantom.surroundings import JUXTACORTICAL_MM

RING_MM = (2.0, 12.0)
_JUNCTION_MM = 0.5  # half the width over which the cortex's change gives way to the one below


@dataclass(frozen=True)
class Achieved:
    """Contrast of a lesion as painted, before noise and bias.

    Args:
        change_sd: Mean change over the lesion in standard deviations of the same tissue in the
            ring, counted towards dark where the spec asks for a dark mid-cortex.
        cortex_sd: Mean change in the cortex of the lesion, 0 where it has none.
        below_sd: Mean change below the cortex, 0 where the lesion has none.
        ring_sd: That standard deviation, in brightness: robust, partial volume left out, noise
            of one voxel included.
        ring_z: Mean of the lesion against that of the same tissue in the ring, in that unit.
    """

    change_sd: float
    cortex_sd: float
    below_sd: float
    ring_sd: float
    ring_z: float


def ring_of(lesion: Lesion) -> NDArray[np.bool_]:
    """Healthy cortex and juxtacortical white matter 2 to 12 mm from the lesion."""
    away = ndimage.distance_transform_edt(lesion.share < 0.2) * lesion.grid.spacing_mm[0]
    kind = lesion.free & (lesion.border_mm <= JUXTACORTICAL_MM)
    return np.asarray(kind & (away >= RING_MM[0]) & (away <= RING_MM[1]))


def _robust_sd(values: NDArray[np.float32]) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def flair_profile(lesion: Lesion) -> NDArray[np.float32]:
    """FLAIR change by depth, 1 at its strongest: of either sign in the cortex, a rise below.

    The two are told apart by the border as it was: what lies between is a mixture.
    """
    spec = lesion.spec
    inside = 1 / (1 + np.exp(np.clip(lesion.border_mm / _JUNCTION_MM, -30, 30)))
    strongest = max(abs(spec.cortex_share), spec.below_share)
    cortex, below = spec.cortex_share / strongest, spec.below_share / strongest
    return np.asarray((cortex * inside + below * (1 - inside)) * lesion.share, np.float32)


def _tissue_law(
    sharp: NDArray[np.float32], healthy: NDArray[np.float32], lesion: Lesion
) -> tuple[float, float]:
    """Mean and robust standard deviation that the lesion's tissue would have, were it healthy.

    Cortex and white matter of the ring are taken apart and weighted by what of each is in the
    lesion: most of what differs on FLAIR lies between them, and between cortex and CSF, and
    says nothing about how much a tissue varies. So the deviation is that of brightness before
    voxels mix tissues.
    """
    ring = ring_of(lesion)
    cortex = lesion.border_mm < 0
    shares = {True: float(cortex[lesion.mask].mean())}
    shares[False] = 1 - shares[True]
    laws = {}
    for kind in (True, False):
        own = ring & (cortex == kind)
        if own.any() and shares[kind] > 0:
            laws[kind] = float(healthy[own].mean()), _robust_sd(sharp[own])
    weights = np.array([shares[kind] for kind in laws])
    means, sds = np.array(list(laws.values())).T
    weights = weights / weights.sum()
    return float(weights @ means), float(np.sqrt(weights @ sds**2))


def paint_lesion(
    painted: NDArray[np.float32], lesion: Lesion, painter: Painter, flair: bool,
    voxel_mm: float, noise: float,
) -> Achieved:  # fmt: skip
    """Change a painted head in place.

    On FLAIR the size of the added change is solved for, so that with thickening and blurring
    the mean change over the lesion, at the scan's voxel size, is the wanted number of
    standard deviations. On T1w the wanted change comes on top of thickening and blurring.

    Args:
        painted: Brightness of the head without bias, shape of the head's grid.
        lesion: The lesion.
        painter: What painted the head.
        flair: Whether the contrast is FLAIR (T1w otherwise).
        voxel_mm: Voxel size of the scan.
        noise: Standard deviation of the noise, in brightness.
    """
    spec = lesion.spec
    texture = painter.texture(axes_of(lesion.grid))
    before = painted[lesion.box].copy()
    grey = painter.paint_as(Part.CORTEX, texture)
    white = painter.paint_as(Part.WHITE, texture)
    mixed = lesion.grey * grey + (1 - lesion.grey) * white
    after = before + lesion.changed * (mixed - before)
    profile = (flair_profile(lesion) if flair else lesion.share) * (1 + np.float32(0.2) * texture)

    def seen(array: NDArray[np.floating]) -> NDArray[np.float32]:
        return blurred(array.astype(np.float32, copy=False), voxel_mm, lesion.grid)

    mask = lesion.mask
    sign = np.where(profile < 0, -1, 1)[mask] if flair else np.ones(int(mask.sum()), int)
    healthy = seen(before)
    ring_mean, ring_sd = _tissue_law(before, healthy, lesion)
    ring_sd = float(np.hypot(ring_sd, noise))
    gain = float((sign * seen(profile)[mask]).mean())
    if flair:
        geometry = float((sign * (seen(after) - healthy)[mask]).mean())
        size = (spec.contrast_sd * ring_sd - geometry) / gain
    else:
        size = spec.t1w_sd * ring_sd / gain
    after = np.maximum(after + np.float32(size) * profile, 0).astype(np.float32)
    painted[lesion.box] = after
    final = seen(after)
    change = (final - healthy)[mask] / ring_sd
    cortex = lesion.border_mm[mask] < 0
    return Achieved(
        change_sd=float((sign * change).mean()),
        cortex_sd=float(change[cortex].mean()) if cortex.any() else 0.0,
        below_sd=float(change[~cortex].mean()) if not cortex.all() else 0.0,
        ring_sd=ring_sd,
        ring_z=(float(final[mask].mean()) - ring_mean) / ring_sd,
    )
