"""Random changes of a training patch, drawn first and done afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.tissue import CEREBRAL

_KNOTS = 3  # displacement is drawn at this many points along each side
_LEAST, _MOST = 0.01, 1.0  # prepared intensities inside a brain


@dataclass(frozen=True, eq=False)
class Light:
    """Gamma and bias field of each contrast: two contrasts of one head do not share a coil.

    Args:
        gamma: Exponent per contrast.
        slopes: Logarithm of the field at the ends of the three axes, shape (contrast, 3).
        bows: The same for its quadratic part, shape (contrast, 3).
    """

    gamma: NDArray[np.float64]
    slopes: NDArray[np.float64]
    bows: NDArray[np.float64]


def draw_light(rng: np.random.Generator, contrasts: int, most: float) -> Light:
    """Draw gammas within ``exp(+-most)`` and fields that nowhere pass ``exp(+-most)``."""
    gamma = np.exp(rng.uniform(-most, most, contrasts))
    slopes = rng.uniform(-most, most, (contrasts, 3)) / 6
    return Light(gamma, slopes, rng.uniform(-most, most, (contrasts, 3)) / 6)


def relit(image: NDArray[np.float32], light: Light) -> NDArray[np.float32]:
    """Change prepared intensities; a voxel outside the brain, 0, stays 0.

    The context is blanked out of what comes out here, so that context and target stay one image.

    Args:
        image: Shape (contrast, x, y, z), in [0, 1].
        light: Of as many contrasts.
    """
    axes = [np.linspace(-1, 1, n) for n in image.shape[1:]]
    made = np.empty_like(image)
    for number, channel in enumerate(image):
        x, y, z = (
            a * ends + (a * a * 2 - 1) * bow
            for a, ends, bow in zip(axes, light.slopes[number], light.bows[number], strict=True)
        )
        field = x[:, None, None] + y[None, :, None] + z[None, None, :]
        changed = np.clip(channel ** light.gamma[number] * np.exp(field), _LEAST, _MOST)
        made[number] = np.where(channel > 0, changed, 0)
    return made


@dataclass(frozen=True, eq=False)
class Bend:
    """A smooth displacement of a cubic patch.

    Args:
        knots: Displacement at the knots in voxels, shape (3, 3, 3, 3), axis first.
        reach: Voxels of surroundings that `bent` needs on each side.
    """

    knots: NDArray[np.float64]
    reach: int

    def straightened(self) -> Bend:
        """One that moves nothing, for arrays with the same surroundings."""
        return Bend(np.zeros_like(self.knots), self.reach)


def draw_bend(rng: np.random.Generator, most_vox: float) -> Bend:
    """Draw a displacement of at most a number of voxels along each axis."""
    knots = rng.uniform(-most_vox, most_vox, (3, _KNOTS, _KNOTS, _KNOTS))
    return Bend(knots, int(np.ceil(most_vox)))


def most_bend(crop: int) -> float:
    """Displacement, in voxels, up to which a patch of this side is stretched by half at most."""
    return (crop - 1) / (_KNOTS - 1) / 4


def bent(arrays: dict[str, NDArray[Any]], bend: Bend) -> dict[str, NDArray[Any]]:
    """Move image and labels alike, each voxel by a whole number of voxels.

    Interpolation would take grain out of the target, and the texture loss would then teach the
    generator to draw too smooth. Moved by whole voxels every value stays a measured one; where the
    rounded displacement steps, a layer is doubled or dropped.

    Args:
        arrays: Shape (..., x, y, z) each, with ``bend.reach`` voxels of surroundings.
        bend: The displacement.

    Returns:
        The arrays without their surroundings.
    """
    shape = next(iter(arrays.values())).shape[-3:]
    inner = tuple(n - 2 * bend.reach for n in shape)
    at = np.meshgrid(*[np.linspace(0, _KNOTS - 1, n) for n in inner], indexing="ij")
    index = tuple(
        np.rint(ndimage.map_coordinates(knots, at, order=1)).astype(np.int64)
        + np.arange(bend.reach, bend.reach + n).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, (knots, n) in enumerate(zip(bend.knots, inner, strict=True))
    )
    return {name: array[(..., *index)] for name, array in arrays.items()}


def strengthened(
    image: NDArray[np.float32],
    tissue: NDArray[Any],
    lesion: NDArray[np.bool_],
    ring: NDArray[np.bool_],
    gains: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Make a lesion stand out more, or less, in each contrast.

    In each tissue the lesion's mean difference from the ring is taken times a gain; what is added
    fades over the lesion's border. A few dozen lesions show a few dozen strengths: without the
    ones in between, the generator learns lesions by heart and not what a style code means.

    Args:
        image: Prepared intensities, shape (contrast, x, y, z).
        tissue: Labels, shape (x, y, z).
        lesion: Mask, same shape.
        ring: Its surroundings, same shape.
        gains: One per contrast; 1 changes nothing.
    """
    fading = ndimage.gaussian_filter(lesion.astype(np.float32), 1.0, mode="nearest")
    made = image.copy()
    for label in CEREBRAL:
        inside, around = (lesion & (tissue == label)), (ring & ~lesion & (tissue == label))
        if not (inside.any() and around.any()):
            continue
        for channel, old, gain in zip(made, image, gains, strict=True):
            step = float(old[inside].mean() - old[around].mean())
            here = tissue == label
            channel[here] += np.float32((gain - 1) * step) * fading[here]
    return np.where(image > 0, np.clip(made, _LEAST, _MOST), 0).astype(np.float32)
