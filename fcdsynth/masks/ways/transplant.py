"""Transplant: a training lesion, re-grown in the ribbon of another anatomy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.frame import frame_at
from fcdsynth.masks.growing.front import Box, Cost, advance
from fcdsynth.masks.growing.grown import Grown, soft_of
from fcdsynth.masks.host import Host
from fcdsynth.masks.spec import LesionSpec
from fcdsynth.masks.ways.donor import Donor

_STEEPNESS = 1.5  # k in cost = c exp(k d), per mm
_NEAREST_MM, _FARTHEST_MM = -2.0, 8.0  # distances beyond which the cost changes no more
_TURN_DEG = 20.0
_STREAM = 7


def transplant(host: Host, spec: LesionSpec, donor: Donor) -> Grown:
    """Grow a donor's lesion again at a spec's seed, through the host's own ribbon.

    The lesion is laid into the host (`host_to_donor`); a front then starts at the seed with cost
    per mm c exp(k d), d the signed distance to the laid lesion (limited to -2 to 8 mm), so it
    first fills what of the host's ribbon and juxtacortical white matter lies inside and spends
    the rest of the volume close around. So the result is in one piece, of exact volume and never
    over fluid, however little the two cortices agree.

    Args:
        host: The anatomy.
        spec: Seed, size and random choices. Its front settings count for how deep white matter
            may be entered; a track is not grown.
        donor: The lesion.

    Raises:
        NoRoom: If the front cannot reach ``size_vox`` voxels.
    """
    front = advance(host, spec.centre_vox, spec.size_vox, _cost_of(host, spec, donor),
                    spec.growth.juxtacortical_mm)  # fmt: skip
    soft = soft_of(front.time)
    return Grown(front.vox, soft, np.zeros(len(soft), dtype=bool))


def host_to_donor(host: Host, spec: LesionSpec, donor: Donor) -> NDArray[np.float64]:
    """World matrix (4, 4) from the host to the donor that lays the lesion at the spec's seed.

    Seed comes on seed, inward normal on inward normal and fold on fold, at the scale that makes
    the volumes agree. The spec's own seed decides which way along and across the fold (so half of
    all lesions are mirrored) and turns by up to 20 degrees about the normal.
    """
    rng = np.random.default_rng([spec.seed, _STREAM])
    along, across = rng.choice((-1.0, 1.0), size=2)
    turn = Rotation.from_rotvec([np.deg2rad(rng.uniform(-_TURN_DEG, _TURN_DEG)), 0, 0])
    inside = turn.as_matrix() @ np.diag([1.0, along, across])
    linear = donor.frame @ inside.T @ frame_at(host, spec.centre_vox).T / _scale(spec, donor)
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = donor.seed_mm - linear @ host.grid.to_mm(spec.centre_vox)
    return matrix


def laid_distance_mm(host: Host, spec: LesionSpec, donor: Donor, box: Box) -> NDArray[np.float32]:
    """Signed distance of a box's voxels to the laid lesion, host mm, negative inside.

    Far outside the value only says that it is far.
    """
    first = np.eye(4)
    first[:3, 3] = [s.start for s in box]
    matrix = np.linalg.inv(donor.grid.matrix) @ host_to_donor(host, spec, donor)
    matrix = matrix @ host.grid.matrix @ first
    found = ndimage.affine_transform(
        donor.distance_mm, matrix[:3, :3], matrix[:3, 3],
        tuple(s.stop - s.start for s in box), order=1, mode="nearest",
    )  # fmt: skip
    return np.asarray(found * np.float32(_scale(spec, donor)), dtype=np.float32)


def _scale(spec: LesionSpec, donor: Donor) -> float:
    return float(np.cbrt(spec.volume_ml / donor.volume_ml))


def _cost_of(host: Host, spec: LesionSpec, donor: Donor) -> Cost:
    def cost(box: Box) -> NDArray[np.float32]:
        distance = laid_distance_mm(host, spec, donor, box).clip(_NEAREST_MM, _FARTHEST_MM)
        white = host.tissue[box] == Tissue.WHITE_MATTER
        tissue = np.where(white, np.float32(spec.growth.white_cost), np.float32(1))
        return np.asarray(tissue * np.exp(np.float32(_STEEPNESS) * distance))

    return cost
