"""Where a mask starts: a ribbon voxel by site law and depth slope."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.masks.host import Host
from fcdsynth.masks.laws.prior import LesionPrior
from fcdsynth.masks.spec import Growth, LesionSpec
from fcdsynth.measure.lobes import LOBES, lobe_index


@dataclass(frozen=True, eq=False)
class Placement:
    """A host's ribbon with the probability of each voxel to be a seed.

    Args:
        host: The anatomy.
        prior: What lesions are like.
        site: Probability of each ribbon voxel by the site law alone, shape (n,).
    """

    host: Host
    prior: LesionPrior
    site: NDArray[np.float64]

    def probabilities(self, volume_ml: float) -> NDArray[np.float64]:
        """Seed probabilities for a lesion of a volume: site x exp((b0 + b1 ln V) rank)."""
        weights = self.site * np.exp(self.prior.depth.at(volume_ml) * self.host.ribbon_rank)
        return np.asarray(weights / weights.sum())


def place(host: Host, prior: LesionPrior) -> Placement:
    """Weigh a host's ribbon by the site law; uniform where the host's MNI position is unknown."""
    points = host.to_mni(host.ribbon_vox)
    count = len(host.ribbon_vox)
    site = np.full(count, 1 / count) if points is None else prior.site.weights(points)
    return Placement(host, prior, site)


def draw_spec(
    placement: Placement,
    rng: np.random.Generator,
    kind: str,
    growth: Growth,
    volume_ml: float,
    subtype: str,
    track: bool,
) -> LesionSpec:
    """Draw seed voxel and front for a lesion of given volume and subtype.

    Args:
        placement: Host and probabilities.
        rng: Source of randomness.
        kind: ``lesion`` or ``control``.
        growth: How the front grows.
        volume_ml: Wanted volume, rounded to whole voxels, at least one.
        subtype: Histological subtype.
        track: Whether a transmantle track is asked for.
    """  # fmt: skip
    host = placement.host
    cumulated = np.cumsum(placement.probabilities(volume_ml))
    pick = int(np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right"))
    voxel = host.ribbon_vox[min(pick, len(cumulated) - 1)]
    x, y, z = (int(v) for v in voxel)
    mni = host.to_mni(voxel[None])
    size_vox = max(1, round(volume_ml / host.grid.voxel_ml))
    return LesionSpec(
        seed=int(rng.integers(2**63)),
        host=host.subject,
        kind=kind,
        centre_vox=(x, y, z),
        centre_mm=_rounded(host.grid.to_mm(voxel)),
        centre_mni_mm=None if mni is None else _rounded(mni[0]),
        size_vox=size_vox,
        volume_ml=round(size_vox * host.grid.voxel_ml, 6),
        subtype=subtype,
        track=track,
        side="R" if host.right[x, y, z] else "L",
        lobe="" if mni is None else LOBES[int(lobe_index(mni[0]))],
        growth=growth,
        prior=placement.prior.digest,
    )


def draw_kind(prior: LesionPrior, rng: np.random.Generator) -> tuple[float, str, bool]:
    """Draw volume (ml), subtype and whether a transmantle track is asked for."""
    volume_ml = prior.size.draw(rng)
    names, shares = zip(*prior.subtypes, strict=True)
    subtype = str(names[int(rng.choice(len(names), p=np.asarray(shares) / sum(shares)))])
    track = bool(rng.random() < prior.track_share) and subtype == "IIb"
    return volume_ml, subtype, track


def _rounded(point: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (round(float(v), 3) for v in point)
    return x, y, z
