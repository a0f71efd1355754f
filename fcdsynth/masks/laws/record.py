"""A prior as a plain dictionary for JSON, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from fcdsynth.masks.laws.density import MAP_GRID, TEMPLATE, Density
from fcdsynth.masks.laws.depth import DepthSlope
from fcdsynth.masks.laws.growths import GrowthLaw
from fcdsynth.masks.laws.number import NumberLaw
from fcdsynth.masks.laws.report import FitReport
from fcdsynth.masks.laws.shapes import ShapeLaw
from fcdsynth.masks.laws.site import SiteLaw
from fcdsynth.masks.laws.size import Goodness, SizeLaw
from fcdsynth.measure.lobes import LOBES

if TYPE_CHECKING:
    from fcdsynth.masks.laws.prior import LesionPrior

_MAP_HOLDS = (
    "probability of a lesion per ml of MNI space: kernel density of the training lesions, mirrored "
    "and smoothed, before it is mixed with the lobes and cut to a cortex"
)


def to_record(prior: LesionPrior) -> dict[str, Any]:
    """Everything in a prior but the values of its site map."""
    return {
        "template": TEMPLATE,
        "size": asdict(prior.size),
        "lesions_per_patient": {
            "shares_1_2_3": list(prior.number.shares), "n": prior.number.n,
        },
        "site": _site_record(prior.site),
        "depth": asdict(prior.depth),
        "shapes": None if prior.shapes is None else prior.shapes.to_record(),
        "growths": prior.growths.to_record(),
        "subtype_shares": dict(prior.subtypes),
        "track_share": prior.track_share,
        "ribbon_floor_share": prior.ribbon_floor,
        "site_floor_ln": prior.site_floor,
        "fitted_on": list(prior.fitted_on),
        "fit": None if prior.report is None else prior.report.to_record(),
    }  # fmt: skip


def _site_record(site: SiteLaw) -> dict[str, Any]:
    return {
        "fwhm_mm": site.fwhm_mm,
        "lobe_weight": site.lobe_weight,
        "mirror": site.mirror,
        "lobes": dict(zip(LOBES, site.lobes, strict=True)),
        "map": None if site.density is None else {
            "holds": _MAP_HOLDS,
            "grid": MAP_GRID.describe(),
            "sha256": site.density.sha256,
        },
    }  # fmt: skip


def from_record(record: Mapping[str, Any], density: Density | None) -> dict[str, Any]:
    """Arguments of a `LesionPrior`; laws that are absent are left to their published defaults.

    Args:
        record: What `to_record` gave.
        density: The site map that was found.

    Raises:
        ValueError: If the prior is of another template, a key is unknown, or the map is absent
            or another one.
        TypeError: If a law has an unknown key.
        KeyError: If a law lacks something.
        SettingsError: If a value is out of range.
    """
    given = dict(record)
    template = given.pop("template", TEMPLATE)
    if template != TEMPLATE:
        raise ValueError(f"a prior in the space of {template}, not of {TEMPLATE}")
    unknown = sorted(set(given) - set(_READERS))
    if unknown:
        raise ValueError(f"unknown keys {unknown}")
    if "site" in given:
        given["site"] = _site(given["site"], density)
    return {_READERS[key][0]: _READERS[key][1](value) for key, value in given.items()}


def _site(value: Mapping[str, Any], density: Density | None) -> SiteLaw:
    given = dict(value)
    described = given.pop("map", None)
    if described is not None:
        if density is None:
            raise ValueError("no site map: the .nii.gz file that belongs beside this file")
        if density.sha256 != described["sha256"]:
            raise ValueError("a site map whose values are not those that were fitted")
    if "lobes" in given:
        given["lobes"] = tuple(float(given["lobes"][name]) for name in LOBES)
    return SiteLaw(None if described is None else density, **given)


def _size(value: Mapping[str, Any]) -> SizeLaw:
    given = dict(value)
    goodness = given.pop("goodness", None)
    return SizeLaw(**given, goodness=None if goodness is None else Goodness(**goodness))


def _number(value: Mapping[str, Any]) -> NumberLaw:
    one, two, more = (float(share) for share in value["shares_1_2_3"])
    return NumberLaw((one, two, more), int(value["n"]))


def _optional(read: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else read(value)


_READERS: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
    "size": ("size", _size),
    "lesions_per_patient": ("number", _number),
    "site": ("site", lambda law: law),
    "depth": ("depth", lambda value: DepthSlope(**value)),
    "shapes": ("shapes", _optional(ShapeLaw.from_record)),
    "growths": ("growths", GrowthLaw.from_record),
    "subtype_shares": ("subtypes", lambda v: tuple((str(k), float(x)) for k, x in v.items())),
    "track_share": ("track_share", float),
    "ribbon_floor_share": ("ribbon_floor", float),
    "site_floor_ln": ("site_floor", _optional(float)),
    "fitted_on": ("fitted_on", lambda value: tuple(str(subject) for subject in value)),
    "fit": ("report", _optional(FitReport.from_record)),
}
