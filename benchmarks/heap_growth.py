"""Growth written plainly: a heap, one voxel at a time. The yardstick of speed, and an oracle.

It shares the costs with `fcdsynth.masks.growing.growth` and nothing else: which steps are
allowed is decided here, voxel by voxel, from the host's maps.
"""

from __future__ import annotations

import heapq
import math
from itertools import product

import numpy as np

from fcdsynth.core.tissue import Tissue
from fcdsynth.masks.growing.growth import cost_of, stretch_of
from fcdsynth.masks.host import Host
from fcdsynth.masks.spec import LesionSpec

_NEIGHBOURS = [o for o in product((-1, 0, 1), repeat=3) if any(o)]


def heap_growth(host: Host, spec: LesionSpec) -> list[tuple[int, int, int]]:
    """Voxels of a spec's mask (without a track) in order of arrival."""
    reach = math.ceil(2.5 * (3 * spec.volume_ml * 1000 / 0.4 / (4 * math.pi)) ** (1 / 3)) + 4
    box = tuple(
        slice(max(0, c - math.ceil(reach / mm)), min(n, c + math.ceil(reach / mm) + 1))
        for c, n, mm in zip(spec.centre_vox, host.grid.shape, host.grid.spacing_mm, strict=True)
    )
    first = tuple(s.start for s in box)
    cost = cost_of(host, spec)(box)
    tissue, lesion, right = host.tissue[box], host.lesion[box], host.right[box]
    near, heading = host.cortex_mm[box], host.heading[(slice(None), *box)].astype(np.float32)
    spacing = np.array(host.grid.spacing_mm)
    stretch = stretch_of(spec)
    metric = np.eye(3) if stretch is None else stretch
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

    def enterable(v):
        deep = tissue[v] == Tissue.WHITE_MATTER and near[v] > spec.growth.juxtacortical_mm
        return solid(v) and not deep

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
            if w in done or not enterable(w) or not passes(v, offset):
                continue
            later = time + (cost[v] + cost[w]) * length[offset] / 2
            if later < best.get(w, math.inf):
                best[w] = later
                heapq.heappush(heap, (later, w))
    return order
