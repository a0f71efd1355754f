"""What a lesion does to brightness, scaled so that its contrast is what was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.phantom.acquisition import blurred
from fcdsynth.phantom.contrast import Painter
from fcdsynth.phantom.lesion import JUXTACORTICAL_MM, Lesion
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.pose import axes_of

RING_MM = (2.0, 12.0)


@dataclass(frozen=True)
class Achieved:
    """Contrast of a lesion as painted, before noise and bias.

    Args:
        change_sd: Mean change over the lesion in robust standard deviations of the ring.
        ring_sd: That standard deviation, in brightness, noise included.
        ring_z: Mean of the lesion against the mean of the ring, in the same unit.
    """

    change_sd: float
    ring_sd: float
    ring_z: float


def ring_of(lesion: Lesion) -> NDArray[np.bool_]:
    """Healthy cortex and juxtacortical white matter 2 to 12 mm from the lesion."""
    away = ndimage.distance_transform_edt(lesion.share < 0.2) * lesion.grid.spacing_mm[0]
    kind = (lesion.parts == Part.CORTEX) | (
        (lesion.parts == Part.WHITE) & (lesion.border_mm <= JUXTACORTICAL_MM)
    )
    return np.asarray(kind & (away >= RING_MM[0]) & (away <= RING_MM[1]))


def _robust_sd(values: NDArray[np.float32]) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


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

    # The balloon cells of type IIb shine below the cortex; type IIa changes the cortex itself.
    below = 1.0 if spec.subtype == "IIb" else 0.55
    profile = spec.cortex_share * lesion.grey + below * (1 - lesion.grey)
    profile = profile * lesion.share * (1 + 0.2 * texture)

    def seen(array: NDArray[np.floating]) -> NDArray[np.float32]:
        return blurred(array.astype(np.float32, copy=False), voxel_mm, lesion.grid)

    mask, ring = lesion.mask, ring_of(lesion)
    healthy = seen(before)
    ring_sd = float(np.hypot(_robust_sd(healthy[ring]), noise))
    gain = float(seen(profile)[mask].mean())
    if flair:
        geometry = float((seen(after) - healthy)[mask].mean())
        size = (spec.contrast_sd * ring_sd - geometry) / gain
    else:
        size = spec.t1w_sd * ring_sd / gain
    after = np.maximum(after + np.float32(size) * profile, 0).astype(np.float32)
    painted[lesion.box] = after
    final = seen(after)
    change = float((final - healthy)[mask].mean())
    against = float(final[mask].mean() - healthy[ring].mean())
    return Achieved(change / ring_sd, ring_sd, against / ring_sd)
