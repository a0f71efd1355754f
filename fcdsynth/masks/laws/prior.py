"""LesionPrior: everything drawing needs to know about lesions: one JSON and one NIfTI file."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from fcdsynth.core.errors import FcdsynthError, SettingsError
from fcdsynth.core.volume import Volume, read_volume, write_volume
from fcdsynth.core.whole import write_whole
from fcdsynth.masks.laws import record
from fcdsynth.masks.laws.density import MAP_GRID, Density
from fcdsynth.masks.laws.depth import DepthSlope
from fcdsynth.masks.laws.growths import GrowthLaw
from fcdsynth.masks.laws.number import NumberLaw
from fcdsynth.masks.laws.report import FitReport
from fcdsynth.masks.laws.shapes import ShapeLaw
from fcdsynth.masks.laws.site import SiteLaw
from fcdsynth.masks.laws.size import SizeLaw

PUBLISHED = "published"
# Histology of ds004199 where known: IIb 34, IIa 16.
PUBLISHED_SUBTYPES = (("IIa", 0.32), ("IIb", 0.68))
# Transmantle sign with thickening and blurring in MRI-positive type II (Mellerio 2012).
PUBLISHED_TRACK_SHARE = 0.64
DEFAULT_RIBBON_FLOOR = 0.3


@dataclass(frozen=True)
class LesionPrior:
    """Size, number, site, depth, shape, growth and subtype of lesions.

    Args:
        size: Law of the volume.
        number: Law of the number of lesions of a patient.
        site: Law of the position.
        depth: Preference for sulcal bottoms.
        shapes: Law of the shape (test R6); None where masks were too few.
        growths: Law of the settings of growth.
        subtypes: Subtypes with their shares.
        track_share: Share of IIb lesions with a transmantle track.
        ribbon_floor: Least share of a mask's cortex and white matter that is cortex (test R2).
        site_floor: Least ln of the site law at a mask's centre over an even draw from the
            ribbon (test R7); None where masks were too few.
        fitted_on: Ids of the training patients behind it; empty for the published prior.
        report: How it was fitted; None for the published prior.

    Raises:
        SettingsError: If a value is out of range.
    """

    size: SizeLaw = field(default_factory=SizeLaw)
    number: NumberLaw = field(default_factory=NumberLaw)
    site: SiteLaw = field(default_factory=SiteLaw)
    depth: DepthSlope = field(default_factory=DepthSlope)
    shapes: ShapeLaw | None = None
    growths: GrowthLaw = field(default_factory=GrowthLaw)
    subtypes: tuple[tuple[str, float], ...] = PUBLISHED_SUBTYPES
    track_share: float = PUBLISHED_TRACK_SHARE
    ribbon_floor: float = DEFAULT_RIBBON_FLOOR
    site_floor: float | None = None
    fitted_on: tuple[str, ...] = ()
    report: FitReport | None = None

    def __post_init__(self) -> None:
        shares = [share for _, share in self.subtypes]
        if not shares or min(shares) < 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
            raise SettingsError("subtypes", str(self.subtypes), "shares that sum to 1",
                                "Mend the subtypes of the prior.")  # fmt: skip
        for name in ("track_share", "ribbon_floor"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(name, str(getattr(self, name)), "a share in [0, 1]",
                                    "Mend the prior.")  # fmt: skip
        if self.site_floor is not None and not math.isfinite(self.site_floor):
            raise SettingsError("site_floor", str(self.site_floor), "a finite number or null",
                                "Mend the prior.")  # fmt: skip

    def to_json(self) -> str:
        """JSON text; equal priors give equal text. It holds the site map's hash, not the map."""
        return json.dumps(record.to_record(self), indent=1, allow_nan=False) + "\n"

    @cached_property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of the JSON text."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def write(self, path: Path) -> Path:
        """Write the JSON and, where the site law has a density, its map beside it.

        The JSON appears last and whole.
        """
        if self.site.density is not None:
            write_volume(map_beside(path), Volume(self.site.density.per_ml, MAP_GRID))
        return write_whole(path, self.to_json())

    @classmethod
    def from_json(
        cls, text: str, source: str = "prior", density: Density | None = None
    ) -> LesionPrior:
        """Read JSON text back.

        Args:
            text: What `to_json` gave.
            source: Name for messages.
            density: The map that belongs to it.

        Raises:
            SettingsError: If the text is not such a prior, a key is unknown, the prior is of
                another template, or the map is absent or another one.
        """
        try:
            return cls(**record.from_record(json.loads(text), density))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise SettingsError(
                source, f"{type(error).__name__}: {error}",
                "a prior.json written by fcdsynth draw fit-prior",
                "Give such a file, or the word published.",
            ) from error  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> LesionPrior:
        """Read a JSON file, and the site map beside it where the prior has one.

        Raises:
            SettingsError: If a file is absent or not of a prior, or the two do not belong
                together.
        """
        if not path.is_file():
            raise SettingsError("prior", f"no file {path}", "a prior.json or the word published",
                                "Check the path.")  # fmt: skip
        text = path.read_text(encoding="utf-8")
        return cls.from_json(text, str(path), _read_map(map_beside(path)))


def named_prior(name: str) -> LesionPrior:
    """The prior that a user names: the word ``published``, or a prior.json.

    Raises:
        SettingsError: As `LesionPrior.read`.
    """
    return LesionPrior() if name == PUBLISHED else LesionPrior.read(Path(name))


def map_beside(path: Path) -> Path:
    """Where the site map of a prior's JSON file lies: ``prior.json``, ``prior_site.nii.gz``."""
    return path.with_name(f"{path.stem}_site.nii.gz")


def _read_map(path: Path) -> Density | None:
    """The map of a file, None where there is no file."""
    if not path.exists():
        return None
    try:
        volume = read_volume(path)
        MAP_GRID.require_same(volume.grid, path.name, "Restore the file that the fit wrote.")
    except FcdsynthError as error:
        raise SettingsError(error.subject, error.found, error.expected, error.remedy) from error
    return Density(np.ascontiguousarray(volume.array))
