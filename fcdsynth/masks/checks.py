"""Rejection tests of a drawn mask, each with a name, and the counts of what they refused."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.tissue import CEREBRAL, Tissue
from fcdsynth.masks.growing.grown import Grown, shape_in
from fcdsynth.masks.host import Host
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.novelty import Gallery
from fcdsynth.masks.placement import Placement
from fcdsynth.masks.spec import LesionSpec

NO_ROOM = "R5_volume"


@dataclass(frozen=True)
class Limits:
    """Thresholds of the rejection tests.

    Args:
        holes: Largest share of the volume enclosed as holes (R1).
        foreign: Largest share outside cortex and white matter (R3).
        hemisphere: Least share in one hemisphere (R4).
        margin_vox: Least distance to the edge of the grid (R10).
        tries: Attempts before a draw is given up (R11).

    Raises:
        SettingsError: If a value is out of range.
    """

    holes: float = 0.02
    foreign: float = 0.01
    hemisphere: float = 0.99
    margin_vox: int = 1
    tries: int = 50

    def __post_init__(self) -> None:
        shares_fit = all(0 <= s <= 1 for s in (self.holes, self.foreign, self.hemisphere))
        if not shares_fit or self.margin_vox < 0 or self.tries < 1:
            raise SettingsError("limits", str(self), "shares in [0, 1], margin >= 0, tries >= 1",
                                "Change the setting.")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Candidate:
    """A made mask with what it is tested against.

    Args:
        placement: Host, prior and site law on its ribbon.
        spec: What was made.
        grown: The mask.
        limits: Thresholds.
        bounds_ml: Volumes between which it must lie, to a voxel.
        gallery: Training masks that it must not copy; None where there are none.
        targeted: Whether its lobe or side was asked for: the site law has no say then.
    """

    placement: Placement
    spec: LesionSpec
    grown: Grown
    limits: Limits
    bounds_ml: tuple[float, float]
    gallery: Gallery | None = None
    targeted: bool = False

    @property
    def host(self) -> Host:
        """The anatomy."""
        return self.placement.host

    @property
    def prior(self) -> LesionPrior:
        """What lesions are like."""
        return self.placement.prior

    def at(self, array: NDArray[Any], without_track: bool = False) -> NDArray[Any]:
        """Values of a host's map at the mask's voxels."""
        vox = self.grown.vox[~self.grown.on_track] if without_track else self.grown.vox
        return np.asarray(array[tuple(vox.T)])


def _one_component(c: Candidate) -> bool:
    mask = c.grown.in_box
    pieces = int(cc3d.connected_components(mask.astype(np.uint8), connectivity=26).max())
    holes = int((ndimage.binary_fill_holes(mask) & ~mask).sum())
    return pieces == 1 and holes <= c.limits.holes * len(c.grown.vox)


def _ribbon_fraction(c: Candidate) -> bool:
    # The track runs through white matter by design.
    labels = c.at(c.host.tissue, without_track=True)
    return labels.size > 0 and float((labels == Tissue.CORTEX).mean()) >= c.prior.ribbon_floor


def _tissue_share(c: Candidate) -> bool:
    own = np.isin(c.at(c.host.tissue), CEREBRAL)
    return float((~own).mean()) <= c.limits.foreign


def _one_hemisphere(c: Candidate) -> bool:
    share = float(c.at(c.host.right).mean())
    return max(share, 1 - share) >= c.limits.hemisphere


def _volume(c: Candidate) -> bool:
    size, voxel = len(c.grown.vox), c.host.grid.voxel_ml
    low, high = c.bounds_ml
    return size == c.spec.size_vox and low - voxel <= size * voxel <= high + voxel


def _shape(c: Candidate) -> bool:
    if c.prior.shapes is None:
        return True
    descriptors = shape_in(c.host, c.grown).descriptors()
    return bool(c.prior.shapes.distance2(descriptors) <= c.prior.shapes.limit)


def _site(c: Candidate) -> bool:
    floor = c.prior.site_floor
    if floor is None or c.targeted:
        return True
    nearest = c.placement.nearest(c.grown.vox.mean(axis=0))
    density = c.placement.site[nearest] * len(c.host.ribbon_vox)
    return bool(density > 0 and math.log(density) >= floor)


def _novel(c: Candidate) -> bool:
    if c.gallery is None:
        return True
    points = c.host.grid.to_mm(c.grown.vox)
    nearest = c.gallery.nearest(points, c.host.to_mni(c.grown.vox), c.spec.donor)
    return not c.gallery.is_copy(nearest)


def _no_overlap(c: Candidate) -> bool:
    return not bool(c.at(c.host.lesion).any())


def _in_view(c: Candidate) -> bool:
    if not c.at(c.host.brain).all():
        return False
    margin = c.limits.margin_vox
    return all(
        s.start >= margin and s.stop <= n - margin
        for s, n in zip(c.grown.box, c.host.grid.shape, strict=True)
    )


TESTS: Mapping[str, Callable[[Candidate], bool]] = {
    "R1_one_component": _one_component,
    "R2_ribbon_fraction": _ribbon_fraction,
    "R3_tissue_share": _tissue_share,
    "R4_one_hemisphere": _one_hemisphere,
    NO_ROOM: _volume,
    "R6_shape": _shape,
    "R7_site": _site,
    "R8_novelty": _novel,
    "R9_no_overlap": _no_overlap,
    "R10_in_view": _in_view,
}
# The ellipsoid of the literature knows nothing of cortex; what it is asked is little.
ELLIPSOID_TESTS = frozenset({NO_ROOM, "R8_novelty", "R9_no_overlap", "R10_in_view"})


def first_failure(candidate: Candidate) -> str | None:
    """Name of the first test that a mask fails, None when it passes all that apply to it."""
    ellipsoid = candidate.spec.method == "ellipsoid"
    applies = ELLIPSOID_TESTS if ellipsoid else TESTS
    return next(
        (name for name, test in TESTS.items() if name in applies and not test(candidate)), None
    )


def give_up(host: str, volume_ml: float, refused: Counter[str], tries: int) -> CohortError:
    """The error of a draw that ran out of tries (R11), naming the test that failed most."""
    worst, count = refused.most_common(1)[0]
    return CohortError(
        host, f"no acceptable place for a mask of {volume_ml:.2f} ml in {tries} tries; "
        f"{worst} refused {count} of them", "a mask that passes every rejection test",
        "Look at this host's tissue map, leave the host out, or give a prior of smaller lesions.",
    )  # fmt: skip
