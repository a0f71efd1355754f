"""The other baseline of the literature: a real mask, moved, bent and clipped to the brain.

After MONAI's MAISI (Guo et al. 2024), whose mask augmentation draws an affine and an elastic warp
(white noise filtered with sigma 5 to 8 and multiplied by 100 to 200), clips to the closed organ,
draws again unless 80 % of the volume stays, and closes the result. Ranges of the affine differ
from organ to organ there; shifts of 20 are its lung's, scales of 0.2 its brain tumour's, turns of
30 degrees lie between its 5 degrees (most organs) and 180 (one axis of the lung).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from fcdsynth.core.errors import CohortError
from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.growing.field import gaussian_field
from fcdsynth.masks.host import Host
from fcdsynth.masks.ways.donor import Donor

TURN_DEG, SCALE, SHIFT_MM = 30.0, 0.2, 20.0
SIGMA, MAGNITUDE = (5.0, 8.0), (100.0, 200.0)  # voxels of 1 mm
KEEP = 0.8
TRIES = 200
CLOSE_MM = 2.0  # MAISI closes by a cube of 5 voxels of about 1 mm, 2 to each side


def warped(host: Host, donor: Donor, rng: np.random.Generator) -> NDArray[np.int64]:
    """Move a training mask into another brain as augmentation does, blind to its folds.

    The mask starts where it lies in MNI space, or at a random ribbon voxel where that is unknown.

    Args:
        host: The anatomy; its cerebrum is the organ, its ribbon serves an unknown start only.
        donor: The lesion.
        rng: Source of randomness.

    Returns:
        Voxels of the mask on the host's grid, in array order, shape (n, 3). It may hold fluid.

    Raises:
        CohortError: If 200 draws all leave the brain.
    """
    centre_mm, turn_to_donor = _start(host, donor, rng)
    organ = host.brain & (host.tissue != Tissue.INFRATENTORIAL)
    for _ in range(TRIES):
        turn = Rotation.from_euler("xyz", rng.uniform(-TURN_DEG, TURN_DEG, 3), degrees=True)
        scale = rng.uniform(1 - SCALE, 1 + SCALE, 3)
        centre = centre_mm + rng.uniform(-SHIFT_MM, SHIFT_MM, 3)
        linear = turn_to_donor @ (turn.as_matrix() / scale)
        low, inside = _paint(host, donor, centre, linear, rng)
        if not inside.any():
            continue
        box = tuple(slice(int(a), int(a) + n) for a, n in zip(low, inside.shape, strict=True))
        kept = inside & organ[box]
        # Of the moved volume; MAISI compares with the volume before, which scales change.
        if kept.sum() < KEEP * inside.sum():
            continue
        pad = [max(1, round(CLOSE_MM / mm)) for mm in host.grid.spacing_mm]
        closed = ndimage.binary_closing(
            np.pad(kept, [(n, n) for n in pad]), np.ones([2 * n + 1 for n in pad])
        )
        inner = tuple(slice(n, -n) for n in pad)
        whole = closed[inner] & organ[box]
        return np.asarray(np.argwhere(whole) + low)
    raise CohortError(host.subject, f"{TRIES} places outside the brain",
                      "a place for the donor's mask", "Use another host.")  # fmt: skip


def _start(
    host: Host, donor: Donor, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the donor's centroid comes to lie in the host's world, and the turn (3, 3) back."""
    centroid = donor.points_mm.mean(axis=0)
    if host.t1w_to_mni is None or donor.t1w_to_mni is None:
        voxel = host.ribbon_vox[rng.integers(len(host.ribbon_vox))]
        return host.grid.to_mm(voxel), np.eye(3)
    to_donor = np.linalg.inv(donor.t1w_to_mni) @ host.t1w_to_mni
    point = np.linalg.inv(to_donor) @ np.append(centroid, 1)
    # Sizes of the two heads are left alone: only the turn.
    left, _, right = np.linalg.svd(to_donor[:3, :3])
    return point[:3], left @ right


def _paint(
    host: Host, donor: Donor, centre_mm: NDArray[np.float64], linear: NDArray[np.float64],
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:  # fmt: skip
    """First voxel of a box in the host, and the bent mask in it."""
    points = donor.points_mm
    centroid = points.mean(axis=0)
    radius_mm = float(np.linalg.norm(points - centroid, axis=1).max()) * (1 + SCALE) + 10
    spacing, grid = np.asarray(host.grid.spacing_mm), host.grid
    middle = np.rint(grid.to_vox(centre_mm)).astype(int)
    reach = np.ceil(radius_mm / spacing).astype(int)
    low = np.clip(middle - reach, 0, np.asarray(grid.shape) - 1)
    high = np.clip(middle + reach + 1, low + 1, grid.shape)
    shape = tuple(int(n) for n in high - low)
    index = np.stack(np.indices(shape), axis=-1) + low
    bent = grid.to_mm(index) + _elastic_mm(shape, (spacing[0], spacing[1], spacing[2]), rng)
    where = donor.grid.to_vox((bent - centre_mm) @ linear.T + centroid)
    found = ndimage.map_coordinates(
        donor.mask.astype(np.uint8), np.moveaxis(where, -1, 0), order=0, mode="constant"
    )
    return low, found.astype(bool)


def _elastic_mm(
    shape: tuple[int, ...], spacing: tuple[float, float, float], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Displacements (x, y, z, 3), mm.

    Uniform noise in [-1, 1] on voxels of 1 mm has variance 1/3; a Gaussian filter leaves
    1 / (2 sigma sqrt(pi))^3 of it and the covariance of a Gaussian field of correlation length
    sigma sqrt(2). So drawn, the warp does not hang on the host's voxel size.
    """
    sigma, magnitude = rng.uniform(*SIGMA), rng.uniform(*MAGNITUDE)
    size_mm = magnitude * np.sqrt(1 / 3 / (2 * sigma * np.sqrt(np.pi)) ** 3)
    fields = [
        gaussian_field(int(rng.integers(2**63)), (0.0, 0.0, 0.0), shape, spacing,
                       sigma * np.sqrt(2))
        for _ in range(3)
    ]  # fmt: skip
    return np.asarray(size_mm * np.stack(fields, axis=-1), dtype=np.float64)
