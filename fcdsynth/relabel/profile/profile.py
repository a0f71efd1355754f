"""Profile: a mask in fixed numbers, for rules and classifiers to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from fcdsynth.core.volume import Volume
from fcdsynth.measure.components import label_components
from fcdsynth.measure.mirror import Midplane
from fcdsynth.relabel.profile.alignment import best_shift, rank_area
from fcdsynth.relabel.profile.maps import LOG_ODDS, MAPS, SEARCHED, Maps
from fcdsynth.relabel.profile.outline import outline_numbers
from fcdsynth.relabel.profile.zones import EDGES_MM, Cut

_MOST_COMPONENTS = 4
_FAR_MM = 6.0
_QUANTILES = {"q10": 0.1, "q90": 0.9}


@dataclass(frozen=True)
class Profile:
    """A mask in numbers; NaN where something is not known.

    Args:
        numbers: By name: of the whole mask, of its ``largest`` component, and of the ``least``
            supported one.
    """

    numbers: Mapping[str, float]

    def vector(self, names: tuple[str, ...]) -> NDArray[np.float64]:
        """Numbers in the order of names, (n,)."""
        return np.array([self.numbers.get(name, np.nan) for name in names], dtype=float)


def measure_profile(
    mask: Volume, maps: Maps, plane: Midplane | None, debris_vox: int = 5
) -> Profile:
    """Measure a mask.

    Args:
        mask: Boolean mask in the native T1w world.
        maps: The subject's maps.
        plane: Mid-sagittal plane.
        debris_vox: Components with fewer voxels are left out.
    """
    labels, parts = label_components(mask.array, mask.grid)
    kept = [part for part in parts if part.size_vox >= debris_vox][:_MOST_COMPONENTS]
    each = [_component(labels.array == part.label, mask, maps, plane) for part in kept]
    numbers = {
        "components": float(len(parts)),
        "large_components": float(len(kept)),
        "log_volume": float(np.log(max(mask.array.sum() * mask.grid.voxel_ml, 1e-3))),
        **_elsewhere(mask, maps),
    }
    for role, index in (("largest", 0), ("least", _least(each))):
        if each:
            numbers |= {f"{role}_{name}": value for name, value in each[index].items()}
    return Profile(numbers)


def _least(each: list[dict[str, float]]) -> int:
    """The component that the maps support least, by the first map there is."""
    for name in SEARCHED:
        areas = [one.get(f"{name}_area", np.nan) for one in each]
        if each and not np.isnan(areas).all():
            return int(np.nanargmin(areas))
    return 0


def _component(
    own: NDArray[np.bool_], mask: Volume, maps: Maps, plane: Midplane | None
) -> dict[str, float]:
    cut = Cut.of(own, mask.array, mask.grid, maps, plane)
    shells = cut.shells()
    found = outline_numbers(cut)
    inside = [k for k, edge in enumerate(EDGES_MM) if edge <= 0]
    for name in MAPS:
        if name not in cut.values:
            continue
        means = [cut.mean(name, shell) for shell in shells]
        found |= {f"{name}_shell{k}": value for k, value in enumerate(means)}
        core, around = _mean([means[k] for k in inside]), _mean(means[-2:])
        rim_in, rim_out = means[inside[-1]], means[inside[-1] + 1]
        across = cut.across.get(name, np.empty(0))
        found |= {
            f"{name}_inside_less_around": core - around,
            f"{name}_step": rim_in - rim_out,
            f"{name}_fading": _mean([means[k] for k in inside[:-1]]) - rim_in,
            f"{name}_going_on": rim_out - around,
            f"{name}_less_across": core - float(across.mean()) if len(across) else np.nan,
        }
        if name in SEARCHED:
            gain, length = best_shift(cut, name)
            own_values = cut.values[name][cut.own & cut.usable]
            found |= {
                f"{name}_area": rank_area(cut, name),
                f"{name}_shift_gain": gain,
                f"{name}_shift_mm": length,
            }
            for key, share in _QUANTILES.items():
                found[f"{name}_{key}"] = (
                    float(np.quantile(own_values, share)) if len(own_values) else np.nan
                )
    return found


def _elsewhere(mask: Volume, maps: Maps) -> dict[str, float]:
    """The strongest support far from the mask, and what it has more than the mask's own."""
    if LOG_ODDS not in maps.maps:
        return {}
    volume = maps.maps[LOG_ODDS]
    smooth = ndimage.uniform_filter(volume.array, 3)
    given = mask.array
    if given.any():
        far = ndimage.distance_transform_edt(~given, sampling=mask.grid.spacing_mm) > _FAR_MM
        return {"elsewhere": float(smooth[far].max()),
                "elsewhere_more": float(smooth[far].max() - smooth[given].max())}  # fmt: skip
    return {"elsewhere": float(smooth.max()), "elsewhere_more": np.nan}


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan
