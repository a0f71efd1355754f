"""LesionPrior: everything drawing needs to know about lesions, as one readable JSON file."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fcdsynth.core.errors import SettingsError
from fcdsynth.masks.laws.depth import DepthSlope
from fcdsynth.masks.laws.site import SiteLaw
from fcdsynth.masks.laws.size import SizeLaw

# Histology of ds004199 where known: IIb 34, IIa 16.
PUBLISHED_SUBTYPES = (("IIa", 0.32), ("IIb", 0.68))
# Transmantle sign with thickening and blurring in MRI-positive type II (Mellerio 2012).
PUBLISHED_TRACK_SHARE = 0.64
DEFAULT_RIBBON_FLOOR = 0.3


@dataclass(frozen=True)
class LesionPrior:
    """Size, site, depth and subtype of lesions.

    Args:
        size: Law of the volume.
        site: Law of the position.
        depth: Preference for sulcal bottoms.
        subtypes: Subtypes with their shares.
        track_share: Share of IIb lesions with a transmantle track.
        ribbon_floor: Least share of a mask that must be cortex (test R2).
        fitted_on: Ids of the training patients behind it; empty for the published prior.

    Raises:
        SettingsError: If a value is out of range.
    """

    size: SizeLaw = field(default_factory=SizeLaw)
    site: SiteLaw = field(default_factory=SiteLaw)
    depth: DepthSlope = field(default_factory=DepthSlope)
    subtypes: tuple[tuple[str, float], ...] = PUBLISHED_SUBTYPES
    track_share: float = PUBLISHED_TRACK_SHARE
    ribbon_floor: float = DEFAULT_RIBBON_FLOOR
    fitted_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shares = [share for _, share in self.subtypes]
        if not shares or min(shares) < 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
            raise SettingsError("subtypes", str(self.subtypes), "shares that sum to 1",
                                "Mend the subtypes of the prior.")  # fmt: skip
        for name in ("track_share", "ribbon_floor"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(name, str(getattr(self, name)), "a share in [0, 1]",
                                    "Mend the prior.")  # fmt: skip

    def to_json(self) -> str:
        """JSON text; equal priors give equal text."""
        record = asdict(self)
        if math.isnan(self.size.ks):
            record["size"]["ks"] = None
        return json.dumps(record, indent=1) + "\n"

    @property
    def digest(self) -> str:
        """First 16 hex digits of the SHA-256 of the JSON text."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def write(self, path: Path) -> Path:
        """Write as JSON."""
        path.write_text(self.to_json(), encoding="utf-8")
        return path

    @classmethod
    def from_json(cls, text: str, source: str = "prior") -> LesionPrior:
        """Read JSON text back.

        Args:
            text: What `to_json` gave.
            source: Name for messages.

        Raises:
            SettingsError: If the text is not such a prior, or a key is unknown.
        """
        try:
            record = json.loads(text)
            unknown = sorted(set(record) - {f.name for f in fields(cls)})
            if unknown:
                raise ValueError(f"unknown keys {unknown}")
            return cls(**{name: _read(name, value) for name, value in record.items()})
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise SettingsError(
                source, f"{type(error).__name__}: {error}", "a prior.json written by fcdsynth draw",
                "Give such a file, or the word published.",
            ) from error  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> LesionPrior:
        """Read a JSON file.

        Raises:
            SettingsError: If it is absent or not a prior.
        """
        if not path.is_file():
            raise SettingsError("prior", f"no file {path}", "a prior.json or the word published",
                                "Check the path.")  # fmt: skip
        return cls.from_json(path.read_text(encoding="utf-8"), str(path))


def _read(name: str, value: Any) -> Any:
    if name == "size":
        value = dict(value)
        if value.get("ks") is None:
            value["ks"] = math.nan
        return SizeLaw(**value)
    if name == "site":
        value = dict(value)
        lesions = (tuple((float(x), float(y), float(z)) for x, y, z in lesion)
                   for lesion in value.pop("lesions", ()))  # fmt: skip
        if "lobes" in value:
            value["lobes"] = tuple(float(w) for w in value["lobes"])
        return SiteLaw(tuple(lesions), **value)
    if name == "depth":
        return DepthSlope(**value)
    if name == "subtypes":
        return tuple((str(subtype), float(share)) for subtype, share in value)
    if name == "fitted_on":
        return tuple(str(subject) for subject in value)
    return float(value)
