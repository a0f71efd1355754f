"""What holds of every grown mask, over random tiny anatomies.

The oracles share nothing with the growth: a plain breadth-first search, scipy's 6-connected
pieces, distances by a k-d tree, the sign of world x.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import cc3d
import numpy as np
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage, spatial

from fcdsynth.core.errors import CohortError
from fcdsynth.core.grid import Grid
from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.growing.front import NoRoom
from fcdsynth.masks.growing.growth import grow
from fcdsynth.masks.host import make_host
from fcdsynth.masks.spec import Growth, LesionSpec

OPPOSED = -0.5
NEIGHBOURS = [o for o in product((-1, 0, 1), repeat=3) if any(o)]


def turned(degrees):
    a, b = np.deg2rad(degrees)
    yaw = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    roll = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return yaw @ roll


ORIENTATIONS = {
    "RAS": np.eye(3),
    "LAS": np.diag([-1.0, 1, 1]),
    "PSR": np.array([[0, 0, 1.0], [-1, 0, 0], [0, 1, 0]]),
    "oblique": turned((14, -9)),
}


def smooth_noise(rng, shape, sigma):
    noise = ndimage.gaussian_filter(rng.normal(size=shape), sigma)
    return noise / noise.std()


@dataclass(frozen=True)
class Anatomy:
    """What decides a tiny anatomy."""

    seed: int
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    orientation: str
    sheets: int
    hidden: int
    folding: float
    mni: bool
    old_lesion: bool


@lru_cache(maxsize=4)
def built(a):
    """The host of an anatomy, None where it is refused: nothing but fluid, or no place to start.

    A ball of folded cortex over white matter, cut by sheets of fluid one voxel thick, and by
    hidden sulci: bands of cortex in white matter whose two banks touch.
    """
    try:
        return make_host(*parts(a))
    except CohortError:
        return None


def parts(a):
    shape = a.shape
    rng = np.random.default_rng(a.seed)
    affine = np.eye(4)
    affine[:3, :3] = ORIENTATIONS[a.orientation] @ np.diag(a.spacing_mm)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    grid = Grid.of(shape, affine)
    vox = np.stack(np.indices(shape), -1)
    centred = (vox - (np.array(shape) - 1) / 2) / (np.array(shape) / 2)
    radius = np.linalg.norm(centred, axis=-1)
    level = radius + a.folding * smooth_noise(rng, shape, 1.6)
    brain = radius < 0.97
    tissue = np.full(shape, Tissue.CSF, dtype=np.int16)
    tissue[level < 0.8] = Tissue.CORTEX
    tissue[level < 0.52] = Tissue.WHITE_MATTER
    tissue[np.linalg.norm(centred - rng.uniform(-0.2, 0.2, 3), axis=-1) < 0.2] = Tissue.DEEP_GREY
    tissue[np.linalg.norm(centred - rng.uniform(-0.15, 0.15, 3), axis=-1) < 0.16] = Tissue.VENTRICLE
    tissue[(centred[..., 2] < -0.55) & (centred[..., 1] < 0)] = Tissue.INFRATENTORIAL
    for number in range(a.hidden + a.sheets):
        normal = rng.normal(size=3)
        normal /= np.abs(normal).max()  # so that a plane of voxels leaves no 6-connected gap
        away = vox @ normal - rng.uniform(0.3, 0.7) * (np.array(shape) - 1) @ normal
        if number < a.hidden:
            tissue[(np.abs(away) <= 2) & (tissue == Tissue.WHITE_MATTER)] = Tissue.CORTEX
        else:
            tissue[(np.abs(away) <= 0.5) & (tissue != Tissue.VENTRICLE)] = Tissue.CSF
    lesion = None
    if a.old_lesion:
        lesion = np.linalg.norm(centred - rng.uniform(-0.5, 0.5, 3), axis=-1) < 0.25
    depth = (1 - radius).clip(0) * 10
    mni = np.eye(4) if a.mni else None
    return "tiny", grid, tissue, brain, depth.astype(np.float32), lesion, mni


anatomies = st.builds(
    Anatomy,
    seed=st.integers(0, 10_000),
    shape=st.tuples(*[st.integers(16, 22)] * 3),
    spacing_mm=st.tuples(*[st.sampled_from((0.8, 1.0, 1.7, 3.0))] * 3),
    orientation=st.sampled_from(sorted(ORIENTATIONS)),
    sheets=st.integers(0, 3),
    hidden=st.integers(0, 2),
    folding=st.floats(0.02, 0.2),
    mni=st.booleans(),
    old_lesion=st.booleans(),
).filter(lambda a: built(a) is not None)
growths = st.builds(
    Growth,
    # Between the distances that the spacings allow, so that no rounding decides.
    juxtacortical_mm=st.sampled_from((0.0, 0.91, 1.83, 2.57, 4.13, 5.77)),
    white_cost=st.floats(0.5, 4),
    roughness=st.floats(0, 1.2),
    correlation_mm=st.floats(2, 20),
    compactness=st.sampled_from((0.0, 1.0, 4.0)),
    along=st.sampled_from((0.0, 0.6)),
    inward=st.sampled_from((0.0, -0.4)),
    smoothing_mm=st.sampled_from((0.0, 0.9, 2.5)),
)


def spec_for(host, place, size_vox, seed, growth, track=False):
    voxel = tuple(int(v) for v in host.ribbon_vox[place % len(host.ribbon_vox)])
    return LesionSpec(
        seed=seed, host="tiny", kind="lesion", centre_vox=voxel,
        centre_mm=tuple(float(v) for v in host.grid.to_mm(voxel)), centre_mni_mm=None,
        size_vox=size_vox, volume_ml=size_vox * host.grid.voxel_ml, subtype="IIb" if track else "",
        track=track, growth=growth,
    )  # fmt: skip


def own_tissue(host):
    """Cortex and white matter outside an existing lesion."""
    return np.isin(host.tissue, (Tissue.CORTEX, Tissue.WHITE_MATTER)) & ~host.lesion


def near_cortex(host, reach_mm):
    """Cortex, and white matter whose centre lies within reach of a cortex voxel's centre."""
    spacing = host.grid.spacing_mm
    tree = spatial.cKDTree(np.argwhere(host.tissue == Tissue.CORTEX) * spacing)
    white = np.argwhere(host.tissue == Tissue.WHITE_MATTER)
    away = tree.query(white * spacing)[0] if len(white) else np.empty(0)
    near = host.tissue == Tissue.CORTEX
    near[tuple(white[away <= reach_mm].T)] = True
    return near


def reachable(host, start, reach_mm, within=None):
    """Voxels that a front may come to, by breadth-first search.

    A step goes to a neighbour of the band; the box it spans holds cortex and white matter of the
    seed's side only; and it does not lead from one bank to the other. Given a mask, the search
    stays in it.
    """
    side = host.right == host.right[start]
    tissue = own_tissue(host) & side
    band = near_cortex(host, reach_mm) & tissue if within is None else within
    heading = host.heading.astype(float)
    seen, queue = {start}, deque([start])
    while queue:
        here = queue.popleft()
        for step in NEIGHBOURS:
            there = tuple(h + s for h, s in zip(here, step, strict=True))
            if there in seen or not all(0 <= t < n for t, n in zip(there, band.shape, strict=True)):
                continue
            box = tuple(slice(min(h, t), max(h, t) + 1) for h, t in zip(here, there, strict=True))
            if not band[there] or not tissue[box].all():
                continue
            if heading[(slice(None), *here)] @ heading[(slice(None), *there)] <= OPPOSED:
                continue
            seen.add(there)
            queue.append(there)
    return seen


def check_mask(host, spec, grown):
    """Everything that holds with and without a track."""
    mask = grown.mask_on(host.grid)
    assert len(grown.vox) == mask.sum() == spec.size_vox
    assert mask[spec.centre_vox]
    assert cc3d.connected_components(mask.astype(np.uint8), connectivity=26).max() == 1
    assert own_tissue(host)[mask].all()
    assert host.brain[mask].all()
    # No fluid is crossed: a path through faces joins any of its voxels to the seed, in tissue.
    pieces, _ = ndimage.label(own_tissue(host))
    assert (pieces[mask] == pieces[spec.centre_vox]).all()
    # One hemisphere; white matter lies on the side that its own world x says.
    assert (host.right[mask] == host.right[spec.centre_vox]).all()
    x_mm = host.grid.to_mm(np.argwhere(mask & (host.tissue == Tissue.WHITE_MATTER)))[:, 0]
    if host.t1w_to_mni is not None and len(x_mm):
        assert ((x_mm > 0) == host.right[spec.centre_vox]).all()
    assert grown.soft.dtype == np.float32
    assert ((grown.soft > 0) & (grown.soft <= 1)).all()
    return mask


many = settings(max_examples=60, deadline=None, derandomize=True,
                phases=(Phase.generate, Phase.shrink))  # fmt: skip


@many
@given(anatomy=anatomies, place=st.integers(0, 10_000), share=st.floats(0.01, 1.3),
       seed=st.integers(0, 2**40), growth=growths)  # fmt: skip
def test_a_mask_keeps_to_its_cortex_and_fails_only_for_lack_of_room(
    anatomy, place, share, seed, growth
):
    host = built(anatomy)
    start = spec_for(host, place, 1, seed, growth).centre_vox
    room = reachable(host, start, growth.juxtacortical_mm)
    spec = spec_for(host, place, max(1, round(share * len(room))), seed, growth)
    try:
        grown = grow(host, spec)
    except NoRoom:
        assert spec.size_vox > len(room)
        return
    assert spec.size_vox <= len(room)
    mask = check_mask(host, spec, grown)
    assert near_cortex(host, growth.juxtacortical_mm)[mask].all()
    voxels = {tuple(int(i) for i in v) for v in grown.vox}
    assert voxels <= room
    # A front comes to each voxel through earlier ones: the mask hangs together by its own steps.
    assert reachable(host, start, growth.juxtacortical_mm, mask) == voxels
    assert not grown.on_track.any()


@many
@given(anatomy=anatomies, place=st.integers(0, 10_000), seed=st.integers(0, 2**40), growth=growths)
def test_all_of_the_room_can_be_filled_and_one_voxel_more_cannot(anatomy, place, seed, growth):
    host = built(anatomy)
    room = reachable(host, spec_for(host, place, 1, seed, growth).centre_vox,
                     growth.juxtacortical_mm)  # fmt: skip
    full = grow(host, spec_for(host, place, len(room), seed, growth))
    assert {tuple(int(i) for i in v) for v in full.vox} == room
    with pytest.raises(NoRoom, match=rf"^{len(room)} voxels"):
        grow(host, spec_for(host, place, len(room) + 1, seed, growth))


@many
@given(anatomy=anatomies, place=st.integers(0, 10_000), size=st.integers(40, 600),
       seed=st.integers(0, 2**40), growth=growths)  # fmt: skip
def test_a_track_runs_through_white_matter_of_its_side(anatomy, place, size, seed, growth):
    host = built(anatomy)
    spec = spec_for(host, place, size, seed, growth, track=True)
    try:
        grown = grow(host, spec)
    except NoRoom:
        assume(False)
    check_mask(host, spec, grown)
    body, trail = grown.vox[~grown.on_track], grown.vox[grown.on_track]
    assert near_cortex(host, growth.juxtacortical_mm)[tuple(body.T)].all()
    assert len(trail) <= 0.3 * size
    away = np.linalg.norm((trail - spec.centre_vox) * host.grid.spacing_mm, axis=1)
    labels = host.tissue[tuple(trail.T)]
    assert ((labels == Tissue.WHITE_MATTER) | ((labels == Tissue.CORTEX) & (away <= 8))).all()


@many
@given(anatomy=anatomies, place=st.integers(0, 10_000), size=st.integers(1, 60),
       seed=st.integers(0, 2**40), growth=growths)  # fmt: skip
def test_the_same_spec_gives_the_same_bytes(anatomy, place, size, seed, growth):
    host = built(anatomy)
    spec = spec_for(host, place, size, seed, growth)
    try:
        first = grow(host, spec)
    except NoRoom:
        assume(False)
    grow(host, spec_for(host, place + 1, 1, seed + 1, growth))  # something else in between
    again = grow(make_host(*parts(anatomy)), replace(spec))
    for name in ("vox", "soft", "on_track"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()


def test_the_anatomies_are_worth_the_search():
    """They hold what can go wrong: cut-off pieces, opposed banks, tracks, and both sides."""
    found = set()
    for seed in range(12):
        host = built(
            Anatomy(seed, (20, 18, 22), (1.0, 1.7, 1.0), "oblique", 1, 1, 0.1, True, False)
        )
        pieces, count = ndimage.label(own_tissue(host))
        fewer = ndimage.label(own_tissue(host), structure=np.ones((3, 3, 3)))[1]
        found |= {"cut"} if np.sort(np.bincount(pieces.ravel())[1:])[-2:].min() > 100 else set()
        found |= {"slips"} if fewer < count else set()  # 26-neighbours pass a sheet
        found |= {"sides"} if 0.2 < host.right[tuple(host.ribbon_vox.T)].mean() < 0.8 else set()
        start = tuple(int(v) for v in host.ribbon_vox[len(host.ribbon_vox) // 2])
        band = near_cortex(host, 4) & own_tissue(host) & (host.right == host.right[start])
        whole = ndimage.label(band)[0]
        piece = int((whole == whole[start]).sum())
        found |= {"banks"} if len(reachable(host, start, 4)) < piece else set()
        for place in range(0, len(host.ribbon_vox), 40):
            try:
                spec = spec_for(host, place, 300, 1, Growth(), track=True)
                found |= {"track"} if grow(host, spec).on_track.any() else set()
            except NoRoom:
                found.add("no room")
    assert found == {"cut", "slips", "sides", "banks", "track", "no room"}
