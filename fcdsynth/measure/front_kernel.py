"""The inner loop of a front, compiled: Dijkstra on a heap, stopped when it has enough."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Numba takes any folder named coverage in a notebook's folder for the package of that name.
_FOUND = find_spec("coverage") if "coverage" not in sys.modules else None
_FOLDER = _FOUND is not None and _FOUND.origin is None
if _FOLDER:
    sys.modules["coverage"] = None  # type: ignore[assignment]
import numba  # noqa: E402

if _FOLDER:
    del sys.modules["coverage"]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile at the first call, and keep the result on disk where there is a place for it."""
    try:
        return numba.njit(cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # no folder can be written, as in a read-only container
        return numba.njit(function)  # type: ignore[no-any-return]


@_compiled
def spread(
    enter: NDArray[np.uint8],
    steps: NDArray[np.uint16],
    price: NDArray[np.float32],
    jumps: NDArray[np.int64],
    lengths: NDArray[np.float64],
    seed: int,
    wanted: int,
    limit: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64], int, bool]:
    """Settle voxels of a flat array in order of arrival, ties in order of index.

    Args:
        enter: Bit 0: a node; bit 1: counts; bit 2: the front stops when it comes here.
        steps: Steps allowed from each voxel.
        price: Cost per mm.
        jumps: Flat distance of each step.
        lengths: Its length in mm.
        seed: Flat index of the start.
        wanted: Stop after this many voxels that count.
        limit: Stop when the time exceeds this.

    Returns:
        Settled voxels, their times, their predecessors (-1 for none), how many of them count,
        and whether the front came to where it stops.
    """
    time = np.full(enter.size, np.inf)
    before = np.full(enter.size, -1, dtype=np.int64)
    done = np.zeros(enter.size, dtype=np.bool_)
    order = np.empty(enter.size, dtype=np.int64)
    time[seed] = 0.0
    heap = [(0.0, seed)]
    settled = counted = 0
    stopped = False
    while len(heap) > 0 and counted < wanted:
        now, here = heapq.heappop(heap)
        if done[here]:
            continue
        if now > limit:
            break
        if enter[here] & 4:
            stopped = True
            break
        done[here] = True
        order[settled] = here
        settled += 1
        if enter[here] & 2:
            counted += 1
        for bit in range(jumps.size):
            for side in range(2):
                there = here + jumps[bit] if side == 0 else here - jumps[bit]
                from_ = here if side == 0 else there
                if not steps[from_] >> bit & 1 or not enter[there] & 1 or done[there]:
                    continue
                # In double precision, as the plain sum would be.
                mean = (np.float64(price[here]) + np.float64(price[there])) / 2
                later = now + mean * lengths[bit]
                if later < time[there]:
                    time[there] = later
                    before[there] = here
                    heapq.heappush(heap, (later, there))
    found = order[:settled].copy()
    return found, time[found], before[found], counted, stopped
