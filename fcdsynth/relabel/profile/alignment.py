"""How well a mask sits on what a map shows: rank order inside against around, and best shift."""

from __future__ import annotations

import itertools

import numpy as np
from scipy.stats import rankdata

from fcdsynth.relabel.profile.zones import Cut

_AROUND_MM = (2.3, 8.0)
_SEARCH_MM = 8.0
_STEP_MM = 2.0


def rank_area(cut: Cut, name: str) -> float:
    """Probability that a voxel inside has a larger value than one 2.3 to 8 mm outside.

    The area under the ROC curve by ranks (Mann and Whitney 1947): a map's scale and a faint
    lesion's low values do not matter. NaN where either side is empty.
    """
    inside = cut.values[name][cut.own & cut.usable]
    low, high = _AROUND_MM
    around = (cut.distance_mm > low) & (cut.distance_mm <= high) & cut.usable
    outside = cut.values[name][around]
    n, m = len(inside), len(outside)
    if not n or not m:
        return float("nan")
    ranks = rankdata(np.concatenate([inside, outside]))
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def best_shift(cut: Cut, name: str) -> tuple[float, float]:
    """What the mean under the mask gains by the best shift of up to 8 mm.

    Returns:
        Gain in the map's units, and length of that shift in mm.
    """
    values = cut.values[name]
    if cut.usable.any():
        # Outside the tissue nothing is to be gained.
        values = np.where(cut.usable, values, np.quantile(values[cut.usable], 0.2))
    strides = [max(1, round(_STEP_MM / mm)) for mm in cut.spacing_mm]
    reach = [int(_SEARCH_MM / mm / stride) for mm, stride in
             zip(cut.spacing_mm, strides, strict=True)]  # fmt: skip
    voxels = np.argwhere(cut.own)
    here = float(values[cut.own].mean())
    gain, length = 0.0, 0.0
    for steps in itertools.product(*[range(-r, r + 1) for r in reach]):
        move = np.array(steps) * strides
        mm = float(np.linalg.norm(move * cut.spacing_mm))
        if mm == 0 or mm > _SEARCH_MM:
            continue
        at = voxels + move
        held = ((at >= 0) & (at < values.shape)).all(axis=1)
        if not held.all():
            continue
        more = float(values[tuple(at.T)].mean()) - here
        if more > gain:
            gain, length = more, mm
    return gain, length
