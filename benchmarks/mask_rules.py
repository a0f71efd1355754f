"""The rules a drawn mask must keep, checked without the code that drew it.

An `Anatomy` is read from a subject's files by nibabel alone. Distances come from k-d trees over
voxel centres and pieces from a graph of its own, where growth uses distance transforms and a step
map; of the drawn mask only its voxels, its spec and which voxels are said to be a track are read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import nibabel as nib
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from scipy.spatial import cKDTree

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Subject
from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.growing.grown import Grown
from fcdsynth.masks.spec import LesionSpec

DEEPEST_MM = 12.0  # farthest from cortex that any spec may let white matter be entered
OPPOSED = -0.5  # cosine between inward directions of two banks that face each other
TIES = 24  # voxels of white matter that may be equally near to a voxel of cortex
TRACK_SHARE = 0.3
APART_MM = 5.0
ROUNDING_MM = 1e-3

FOREIGN = (Tissue.BACKGROUND, Tissue.CSF, Tissue.DEEP_GREY, Tissue.VENTRICLE,
           Tissue.INFRATENTORIAL)  # fmt: skip
RULES = ("one_component", "exact_volume", "ribbon_and_band", "band_limit", "track",
         "one_hemisphere", "foreign_tissue", "inside_brain", "jump_over_fluid",
         "jump_between_banks", "lesions_apart")  # fmt: skip
_HALF = [o for o in product((-1, 0, 1), repeat=3) if o > (0, 0, 0)]


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A subject's labels as they are in its files.

    Args:
        tissue: Tissue labels, shape (x, y, z).
        brain: Brain mask.
        matrix: Voxel indices to the subject's world (4, 4).
        to_mni: The subject's world to MNI (4, 4).
    """

    tissue: NDArray[np.int16]
    brain: NDArray[np.bool_]
    matrix: NDArray[np.float64]
    to_mni: NDArray[np.float64]

    @classmethod
    def read(cls, cohort: Cohort, subject: Subject) -> Anatomy:
        """Read tissue labels, brain mask and transforms."""
        tissue, brain = (nib.load(cohort.path(subject, key)) for key in ("tissue", "brain"))
        text = cohort.path(subject, "transforms").read_text(encoding="utf-8")
        return cls(
            np.asarray(tissue.dataobj).round().astype(np.int16),
            np.asarray(brain.dataobj) > 0.5, tissue.affine,
            np.array(json.loads(text)["t1w_to_mni"], dtype=float),
        )  # fmt: skip

    @property
    def spacing_mm(self) -> NDArray[np.float64]:
        """Voxel size along each axis."""
        return np.linalg.norm(self.matrix[:3, :3], axis=0)

    @cached_property
    def solid(self) -> NDArray[np.bool_]:
        """Cortex and white matter."""
        return np.isin(self.tissue, (Tissue.CORTEX, Tissue.WHITE_MATTER))

    def labels(self, vox: NDArray[np.int64]) -> NDArray[np.int16]:
        """Labels of voxels (n, 3)."""
        return self.tissue[tuple(vox.T)]

    def mni_x_mm(self, vox: NDArray[np.int64]) -> NDArray[np.float64]:
        """Signed distance of voxels (n, 3) to the mid-plane, right positive."""
        row = (self.to_mni @ self.matrix)[0]
        return vox @ row[:3] + row[3]

    @cached_property
    def _trees(self) -> dict[Tissue, cKDTree]:
        # Of white matter only what touches something else can be nearest to cortex.
        white = self.tissue == Tissue.WHITE_MATTER
        shell = white & ~ndimage.binary_erosion(white)
        masks = {
            Tissue.CORTEX: self.tissue == Tissue.CORTEX,
            Tissue.WHITE_MATTER: shell,
            Tissue.VENTRICLE: self.tissue == Tissue.VENTRICLE,
        }
        return {k: cKDTree(np.argwhere(m) * self.spacing_mm) for k, m in masks.items()}

    def away_mm(self, vox: NDArray[np.int64], tissue: Tissue) -> NDArray[np.float64]:
        """Distance of voxels (n, 3) to the nearest voxel of a tissue, centre to centre."""
        return self._trees[tissue].query(vox * self.spacing_mm)[0]

    def nearest_white(self, vox: NDArray[np.int64]) -> NDArray[np.float64]:
        """Voxels of white matter nearest to voxels (n, 3), shape (n, 24, 3).

        Not a number where fewer are equally near.
        """
        tree = self._trees[Tissue.WHITE_MATTER]
        away, index = tree.query(vox * self.spacing_mm, k=TIES)
        white = tree.data[np.minimum(index, tree.n - 1)] / self.spacing_mm
        white[away > away[:, :1] + ROUNDING_MM] = np.nan
        return white

    def inward(self, vox: NDArray[np.int64]) -> NDArray[np.float64]:
        """Unit vectors from cortex to its nearest white matter, shape (n, 24, 3).

        Not a number where fewer are equally near; zeros first for voxels that are not cortex.
        """
        found = np.full((len(vox), TIES, 3), np.nan)
        found[:, 0] = 0
        cortex = self.labels(vox) == Tissue.CORTEX
        towards = (self.nearest_white(vox[cortex]) - vox[cortex][:, None]) * self.spacing_mm
        found[cortex] = towards / np.linalg.norm(towards, axis=2, keepdims=True)
        return found

    def on_side(self, vox: NDArray[np.int64], side: str) -> NDArray[np.bool_]:
        """Whether voxels (n, 3) lie on a side of the mid-plane; cortex by its white matter."""
        sign = 1 if side == "R" else -1
        mine = sign * self.mni_x_mm(vox) >= -ROUNDING_MM
        across = np.flatnonzero(~mine & (self.labels(vox) == Tissue.CORTEX))
        if len(across):
            white = self.nearest_white(vox[across])
            x = sign * self.mni_x_mm(white.reshape(-1, 3)).reshape(white.shape[:2])
            mine[across] = (x >= -ROUNDING_MM).any(axis=1)
        return mine


@dataclass(frozen=True)
class Verdict:
    """What was found about one drawn lesion.

    Args:
        broken: Names of the rules that it breaks.
        depth_mm: How far from cortex its white matter lies at most, the track left out.
    """

    broken: tuple[str, ...]
    depth_mm: float


def judge(anatomy: Anatomy, specs: Sequence[LesionSpec], grown: Sequence[Grown]) -> list[Verdict]:
    """Check the lesions of one drawn subject."""
    found = [_judged(anatomy, s, g.vox, g.on_track) for s, g in zip(specs, grown, strict=True)]
    for number, one in enumerate(grown[1:], start=1):
        earlier = np.concatenate([g.vox for g in grown[:number]]) * anatomy.spacing_mm
        gap = cKDTree(earlier).query(one.vox * anatomy.spacing_mm)[0].min()
        if gap <= APART_MM or specs[number].side != specs[0].side:
            broken = (*found[number].broken, "lesions_apart")
            found[number] = Verdict(broken, found[number].depth_mm)
    return found


def _judged(
    anatomy: Anatomy, spec: LesionSpec, vox: NDArray[np.int64], on_track: NDArray[np.bool_]
) -> Verdict:
    if (vox < 0).any() or (vox >= anatomy.tissue.shape).any():
        return Verdict(("inside_brain",), 0.0)
    labels = anatomy.labels(vox)
    cortex, white = labels == Tissue.CORTEX, labels == Tissue.WHITE_MATTER
    band = vox[white & ~on_track]
    depth_mm = float(anatomy.away_mm(band, Tissue.CORTEX).max(initial=0.0))
    one_piece = len(piece_sizes(vox)) == 1
    joined = piece_sizes(vox, anatomy.solid)
    banks = piece_sizes(vox, anatomy.solid, anatomy.inward(vox))
    by_rule = {
        "one_component": one_piece,
        "exact_volume": _exact(anatomy, spec, vox),
        # Any cortex and, but for the track, white matter as far from it as the spec says.
        "ribbon_and_band": bool((cortex | white).all())
        and depth_mm <= spec.growth.juxtacortical_mm + ROUNDING_MM,
        "band_limit": depth_mm <= DEEPEST_MM + ROUNDING_MM,
        "track": not on_track.any() or _track_holds(anatomy, spec, vox, on_track),
        "one_hemisphere": spec.side in ("L", "R") and anatomy.on_side(vox, spec.side).all(),
        "foreign_tissue": not np.isin(labels, FOREIGN).any(),
        "inside_brain": bool(anatomy.brain[tuple(vox.T)].all()),
        "jump_over_fluid": not one_piece or len(joined) == 1,
        "jump_between_banks": len(joined) > 1 or len(banks) == 1,
    }
    return Verdict(tuple(name for name, kept in by_rule.items() if not kept), depth_mm)


def _exact(anatomy: Anatomy, spec: LesionSpec, vox: NDArray[np.int64]) -> bool:
    voxel_mm3 = abs(float(np.linalg.det(anatomy.matrix[:3, :3])))
    wanted = round(spec.volume_ml * 1000 / voxel_mm3)
    return len(vox) == len(np.unique(vox, axis=0)) == spec.size_vox == wanted


def _track_holds(
    anatomy: Anatomy, spec: LesionSpec, vox: NDArray[np.int64], on_track: NDArray[np.bool_]
) -> bool:
    """Asked for, at most 30 %, one piece from the seed to the ventricle.

    In white matter but for the cortex it starts in, and in reach of one step of the ventricle.
    """
    track = vox[on_track]
    labels = anatomy.labels(track)
    cortex = track[labels == Tissue.CORTEX]
    from_seed = np.linalg.norm((cortex - spec.centre_vox) * anatomy.spacing_mm, axis=1)
    step = float(np.linalg.norm(anatomy.spacing_mm)) + ROUNDING_MM
    return bool(
        spec.track
        and len(track) <= TRACK_SHARE * len(vox)
        and np.isin(labels, (Tissue.CORTEX, Tissue.WHITE_MATTER)).all()
        and from_seed.max(initial=0.0) <= 8.0 + ROUNDING_MM
        and len(piece_sizes(track)) == 1
        and anatomy.away_mm(track, Tissue.VENTRICLE).min() <= step
    )


def piece_sizes(
    vox: NDArray[np.int64], solid: NDArray[np.bool_] | None = None,
    inward: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:  # fmt: skip
    """Sizes of the pieces of a mask whose voxels are joined through solid voxels, largest first.

    Two of the 26 neighbours are joined where all voxels of the box between them are solid, so
    neither a sheet that touches by edges nor one that touches by corners is crossed.

    Args:
        vox: Voxels (n, 3).
        solid: What may lie in the box between two of them, shape of the grid; anything if None.
        inward: Unit vectors (n, k, 3), see `Anatomy.inward`; voxels are not joined where every
            vector of one is opposed to every vector of the other.
    """
    first = vox.min(axis=0) - 1
    local = vox - first
    shape = local.max(axis=0) + 2
    number = np.full(shape, -1)
    number[tuple(local.T)] = np.arange(len(vox))
    pairs = []
    for offset in _HALF:
        other = number[tuple((local + offset).T)]
        rows = np.flatnonzero(other >= 0)
        if solid is not None:
            # Corners lie within the box of the mask, so within the grid.
            for corner in product(*((0, o) if o else (0,) for o in offset)):
                rows = rows[solid[tuple((vox[rows] + corner).T)]]
        if inward is not None:
            cosine = np.einsum("ij,ij->i", inward[rows, 0], inward[other[rows], 0])
            doubtful = np.flatnonzero(cosine <= OPPOSED + 1e-3)
            every = np.einsum("ikj,imj->ikm", inward[rows[doubtful]], inward[other[rows[doubtful]]])
            # Directions are kept in half precision where masks are grown.
            opposed = np.nan_to_num(every, nan=-1.0).max(axis=(1, 2)) <= OPPOSED - 1e-3
            rows = np.delete(rows, doubtful[opposed])
        pairs.append(np.stack([rows, other[rows]]))
    a, b = np.concatenate(pairs, axis=1)
    graph = sparse.coo_matrix((np.ones(len(a)), (a, b)), shape=(len(vox), len(vox)))
    pieces = csgraph.connected_components(graph, directed=False)[1]
    return np.sort(np.bincount(pieces))[::-1]
