"""Where a mask starts: a ribbon voxel by site law and depth slope."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from fcdsynth.masks.host import Host
from fcdsynth.masks.laws.depth import Places
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.spec import Growth, LesionSpec
from fcdsynth.masks.ways.ellipsoid import ellipsoid_centre
from fcdsynth.measure.lobes import LOBES, lobe_index


@dataclass(frozen=True, eq=False)
class Placement:
    """A host's ribbon with the probability of each voxel to be a seed.

    Args:
        host: The anatomy.
        prior: What lesions are like.
        site: Probability of each ribbon voxel by the site law alone, shape (n,).
        x_mm: MNI x of each ribbon voxel, shape (n,); None where unknown.
    """

    host: Host
    prior: LesionPrior
    site: NDArray[np.float64]
    x_mm: NDArray[np.float64] | None = None

    def probabilities(
        self, volume_ml: float, allowed: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Seed probabilities for a lesion of a volume: site law times depth slope.

        Args:
            volume_ml: The volume.
            allowed: Ribbon voxels that may be chosen, shape (n,); all by default.
        """
        weights = self.site * np.exp(self.prior.depth.log_weights(volume_ml, self._places))
        if allowed is not None:
            weights = np.where(allowed, weights, 0.0)
            if weights.sum() == 0:  # where the site law is blind it leaves the choice even
                weights = allowed.astype(float)
        return np.asarray(weights / weights.sum())

    @cached_property
    def _places(self) -> Places:
        return Places.of(self.host.ribbon_rank, self.x_mm)

    @cached_property
    def _tree(self) -> cKDTree:
        return cKDTree(self.host.ribbon_vox * np.asarray(self.host.grid.spacing_mm))

    def nearest(self, point_vox: NDArray[np.float64]) -> int:
        """Number of the ribbon voxel nearest to a point, given in voxels, shape (3,)."""
        return int(self._tree.query(point_vox * np.asarray(self.host.grid.spacing_mm))[1])

    def beside(self, vox: NDArray[np.int64], apart_mm: float) -> Placement:
        """The placement of a next lesion, which keeps away from one at some voxels (n, 3)."""
        return place(self.host.beside(vox, apart_mm), self.prior)


def place(host: Host, prior: LesionPrior) -> Placement:
    """Weigh a host's ribbon by the site law; uniform where the host's MNI position is unknown."""
    points = host.to_mni(host.ribbon_vox)
    count = len(host.ribbon_vox)
    site = np.full(count, 1 / count) if points is None else prior.site.weights(points)
    return Placement(host, prior, site, None if points is None else points[:, 0])


@dataclass(frozen=True)
class Wanted:
    """What is decided before a place is looked for, and kept over the tries.

    Args:
        kind: ``lesion`` or ``control``.
        volume_ml: Volume; rounded to whole voxels, at least one.
        subtype: Histological subtype.
        track: Whether a transmantle track is asked for.
        method: How the mask is made, see `fcdsynth.masks.spec.METHODS`.
        donor: Patient whose lesion is transplanted, with its number; None otherwise.
    """

    kind: str
    volume_ml: float
    subtype: str
    track: bool
    method: str = "growth"
    donor: tuple[str, int] | None = None


def draw_spec(
    placement: Placement,
    rng: np.random.Generator,
    wanted: Wanted,
    growth: Growth,
    allowed: NDArray[np.bool_] | None = None,
) -> LesionSpec:
    """Draw seed voxel and shape seed of a lesion.

    Args:
        placement: Host and probabilities.
        rng: Source of randomness.
        wanted: What is drawn.
        growth: How the front grows.
        allowed: Ribbon voxels where it may start, shape (n,); all by default. An ellipsoid
            starts anywhere in brain tissue.
    """
    host = placement.host
    if wanted.method == "ellipsoid":
        voxel = ellipsoid_centre(host, rng)
    else:
        cumulated = np.cumsum(placement.probabilities(wanted.volume_ml, allowed))
        pick = int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
        voxel = host.ribbon_vox[min(pick, len(cumulated) - 1)]
    x, y, z = (int(v) for v in voxel)
    mni = host.to_mni(np.asarray(voxel)[None])
    size_vox = max(1, round(wanted.volume_ml / host.grid.voxel_ml))
    donor, number = wanted.donor or ("", 0)
    return LesionSpec(
        seed=int(rng.integers(2**63)),
        host=host.subject,
        kind=wanted.kind,
        centre_vox=(x, y, z),
        centre_mm=_rounded(host.grid.to_mm(voxel)),
        centre_mni_mm=None if mni is None else _rounded(mni[0]),
        size_vox=size_vox,
        volume_ml=round(size_vox * host.grid.voxel_ml, 6),
        subtype=wanted.subtype,
        track=wanted.track and wanted.method == "growth",
        side="R" if host.right[x, y, z] else "L",
        lobe="" if mni is None else LOBES[int(lobe_index(mni[0]))],
        growth=growth,
        prior=placement.prior.digest,
        method=wanted.method,
        donor=donor,
        donor_lesion=number,
    )


def draw_wanted(
    prior: LesionPrior, rng: np.random.Generator, kind: str, volume_ml: float, method: str
) -> Wanted:
    """Draw subtype and whether a transmantle track is asked for.

    Args:
        prior: What lesions are like.
        rng: Source of randomness.
        kind: ``lesion`` or ``control``.
        volume_ml: The volume.
        method: How the mask is made.
    """
    names, shares = zip(*prior.subtypes, strict=True)
    subtype = str(names[int(rng.choice(len(names), p=np.asarray(shares) / sum(shares)))])
    track = bool(rng.random() < prior.track_share) and subtype == "IIb"
    return Wanted(kind, volume_ml, subtype, track, method)


def _rounded(point: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (round(float(v), 3) for v in point)
    return x, y, z
