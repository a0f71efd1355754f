"""Growth written plainly: a heap, one voxel at a time. The yardstick of speed, and an oracle.

`heap_growth` shares the costs with `fcdsynth.masks.growing` (of the front and of the smoothed
outline) and nothing else: which steps are allowed is decided here, voxel by voxel, from the host's
maps. `list_heap_growth` is the best that plain Python does: the host's step map is given, and
everything lies in flat lists.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.growing.front import Box, box_around, grow_domain
from fcdsynth.masks.growing.growth import cost_of, stretch_of
from fcdsynth.masks.growing.smooth import smoothed
from fcdsynth.masks.host import Host
from fcdsynth.masks.spec import LesionSpec
from fcdsynth.measure.geodesic import OFFSETS, step_lengths

Voxel = tuple[int, int, int]
_NEIGHBOURS = [o for o in product((-1, 0, 1), repeat=3) if any(o)]


def _box_of(host: Host, spec: LesionSpec) -> Box:
    """A box that a front of the spec's volume does not leave."""
    radius_mm = (3 * spec.volume_ml * 1000 / 0.4 / (4 * math.pi)) ** (1 / 3)
    reach_mm = math.ceil(2.5 * radius_mm) + 4
    return box_around(
        spec.centre_vox, np.ceil(reach_mm / np.asarray(host.grid.spacing_mm)), host.grid.shape
    )


def heap_growth(host: Host, spec: LesionSpec) -> list[Voxel]:
    """Voxels of a spec's mask (without a track) in order of arrival."""
    box = _box_of(host, spec)
    near, tissue = host.cortex_mm[box], host.tissue[box]

    def near_cortex(v: Voxel) -> bool:
        return tissue[v] == Tissue.CORTEX or near[v] <= spec.growth.juxtacortical_mm

    order = _spread(host, spec, box, cost_of(host, spec)(box), near_cortex, stretch_of(host, spec))
    if spec.growth.smoothing_mm == 0:
        return order
    plan = smoothed(host, spec, np.array(order))
    return _spread(host, spec, plan.box, plan.cost, lambda v: bool(plan.nodes[v]), None)


def _spread(
    host: Host, spec: LesionSpec, box: Box, cost: NDArray[np.float32],
    may: Callable[[Voxel], bool], stretch: ArrayLike | None,
) -> list[Voxel]:  # fmt: skip
    first = tuple(s.start for s in box)
    tissue, lesion, right = host.tissue[box], host.lesion[box], host.right[box]
    heading = host.heading[(slice(None), *box)].astype(np.float32)
    spacing = np.array(host.grid.spacing_mm)
    metric = np.eye(3) if stretch is None else np.asarray(stretch)
    length = {o: float(np.linalg.norm(metric @ (np.array(o) * spacing))) for o in _NEIGHBOURS}
    side = host.right[spec.centre_vox]

    def solid(v):
        """Whether a diagonal step may pass a voxel."""
        inside = all(0 <= c < n for c, n in zip(v, tissue.shape, strict=True))
        return (
            inside
            and tissue[v] in (Tissue.CORTEX, Tissue.WHITE_MATTER)
            and right[v] == side
            and not lesion[v]
        )

    def passes(v, offset):
        moving = [a for a in range(3) if offset[a]]
        for chosen in product((0, 1), repeat=len(moving)):
            corner = list(v)
            for axis, step in zip(moving, chosen, strict=True):
                corner[axis] += step * offset[axis]
            if not solid(tuple(corner)):
                return False
        there = tuple(c + o for c, o in zip(v, offset, strict=True))
        a, b = heading[(slice(None), *v)], heading[(slice(None), *there)]
        return not (a.any() and b.any() and float(a @ b) <= -0.5)

    seed = tuple(c - f for c, f in zip(spec.centre_vox, first, strict=True))
    best, done, order = {seed: 0.0}, set(), []
    heap = [(0.0, seed)]
    while heap and len(order) < spec.size_vox:
        time, v = heapq.heappop(heap)
        if v in done:
            continue
        done.add(v)
        order.append(tuple(int(c + f) for c, f in zip(v, first, strict=True)))
        for offset in _NEIGHBOURS:
            w = tuple(c + o for c, o in zip(v, offset, strict=True))
            if any(c < 0 or c >= n for c, n in zip(w, tissue.shape, strict=True)):
                continue
            if w in done or not solid(w) or not may(w) or not passes(v, offset):
                continue
            later = time + (float(cost[v]) + float(cost[w])) / 2 * length[offset]
            if later < best.get(w, math.inf):
                best[w] = later
                heapq.heappush(heap, (later, w))
    return order


def list_heap_growth(host: Host, spec: LesionSpec) -> list[Voxel]:
    """The same, with the host's step map and flat lists."""
    box = _box_of(host, spec)
    nodes = grow_domain(host, spec.growth.juxtacortical_mm, spec.centre_vox, box)
    nodes[[0, -1]] = nodes[:, [0, -1]] = nodes[:, :, [0, -1]] = False
    order = _list_spread(host, spec, box, nodes, cost_of(host, spec)(box), stretch_of(host, spec))
    if spec.growth.smoothing_mm == 0:
        return order
    plan = smoothed(host, spec, np.array(order))
    return _list_spread(host, spec, plan.box, plan.nodes, plan.cost, None)


def _list_spread(
    host: Host, spec: LesionSpec, box: Box, nodes: NDArray[np.bool_],
    cost: NDArray[np.float32], stretch: ArrayLike | None,
) -> list[Voxel]:  # fmt: skip
    first = [s.start - 1 for s in box]
    nodes, bits, cost = (np.pad(a, 1) for a in (nodes, host.steps[box], cost))
    _, ny, nz = nodes.shape
    lengths = step_lengths(host.grid.spacing_mm, stretch).tolist()
    jumps = [i * ny * nz + j * nz + k for i, j, k in OFFSETS]
    ways = [(b, jump, mm) for b, (jump, mm) in enumerate(zip(jumps, lengths, strict=True))]
    steps, price, enter = (a.ravel().tolist() for a in (bits, cost, nodes))
    x, y, z = (c - f for c, f in zip(spec.centre_vox, first, strict=True))
    seed = (x * ny + y) * nz + z
    best, done, order = {seed: 0.0}, set(), []
    heap = [(0.0, seed)]
    while heap and len(order) < spec.size_vox:
        time, v = heapq.heappop(heap)
        if v in done:
            continue
        done.add(v)
        order.append(v)
        allowed, here = steps[v], price[v]
        for bit, jump, mm in ways:
            if allowed >> bit & 1:
                w = v + jump
                if enter[w] and w not in done:
                    later = time + (here + price[w]) / 2 * mm
                    if later < best.get(w, math.inf):
                        best[w] = later
                        heapq.heappush(heap, (later, w))
            w = v - jump
            if enter[w] and steps[w] >> bit & 1 and w not in done:
                later = time + (here + price[w]) / 2 * mm
                if later < best.get(w, math.inf):
                    best[w] = later
                    heapq.heappush(heap, (later, w))
    index = np.stack(np.unravel_index(order, nodes.shape), axis=1) + first
    return [(x, y, z) for x, y, z in index.tolist()]
