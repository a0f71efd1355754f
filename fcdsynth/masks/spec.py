"""LesionSpec: the decisions behind one drawn mask; executing it twice gives the same bytes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fcdsynth.core.errors import SettingsError

KINDS = ("lesion", "control")


@dataclass(frozen=True)
class Growth:
    """How the front grows.

    Args:
        juxtacortical_mm: White matter up to this far from the cortex may be entered.
        white_cost: Cost per mm in white matter, where cortex costs 1.
        roughness: s in cost = c exp(s g + k (r / R)^2), g a Gaussian field of unit variance.
        correlation_mm: Correlation length of g.
        compactness: k, how much the front keeps to a ball around its seed.
        elongation: Standard deviation of the logarithms by which space is stretched along three
            random axes.

    Raises:
        SettingsError: If a value is out of range.
    """

    juxtacortical_mm: float = 4.0
    white_cost: float = 2.5
    roughness: float = 0.4
    correlation_mm: float = 8.0
    compactness: float = 0.0
    elongation: float = 0.0

    def __post_init__(self) -> None:
        bounds = {"juxtacortical_mm": (0, 20), "white_cost": (0.1, 20), "roughness": (0, 2),
                  "correlation_mm": (1, 100), "compactness": (0, 10),
                  "elongation": (0, 1)}  # fmt: skip
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(name, f"{value}", f"{low} to {high}", "Change the setting.")


@dataclass(frozen=True)
class LesionSpec:
    """One mask to be grown.

    Args:
        seed: Seed of the random front.
        host: Subject id of the anatomy.
        kind: ``lesion``, or ``control`` for a region that stays healthy.
        centre_vox: Voxel the front starts from.
        centre_mm: The same in the host's world, RAS+ mm.
        centre_mni_mm: The same in MNI, None when unknown.
        size_vox: Number of voxels of the mask.
        volume_ml: Their volume.
        subtype: Histological subtype.
        track: Whether a transmantle track is asked for.
        side: ``L`` or ``R``.
        lobe: Approximate lobe code, empty when unknown.
        growth: How the front grows.
        prior: Digest of the prior it was drawn from.

    Raises:
        SettingsError: If kind or size is not possible.
    """

    seed: int
    host: str
    kind: str
    centre_vox: tuple[int, int, int]
    centre_mm: tuple[float, float, float]
    centre_mni_mm: tuple[float, float, float] | None
    size_vox: int
    volume_ml: float
    subtype: str = ""
    track: bool = False
    side: str = ""
    lobe: str = ""
    growth: Growth = Growth()
    prior: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.size_vox < 1:
            raise SettingsError(
                "spec", f"kind {self.kind!r}, size_vox {self.size_vox}",
                f"kind one of {', '.join(KINDS)} and at least one voxel", "Draw again.",
            )  # fmt: skip

    def to_json(self) -> str:
        """JSON text."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, source: str = "spec") -> LesionSpec:
        """Read JSON text back.

        Raises:
            SettingsError: If the text is not such a spec, or a key is unknown.
        """
        try:
            record: dict[str, Any] = json.loads(text)
            unknown = sorted(set(record) - {f.name for f in fields(cls)})
            if unknown:
                raise ValueError(f"unknown keys {unknown}")
            for name in ("centre_vox", "centre_mm", "centre_mni_mm"):
                record[name] = None if record[name] is None else tuple(record[name])
            record["growth"] = Growth(**record["growth"])
            return cls(**record)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise SettingsError(
                source, f"{type(error).__name__}: {error}", "a spec.json written by fcdsynth draw",
                "Draw again.",
            ) from error  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> LesionSpec:
        """Read a JSON file."""
        return cls.from_json(path.read_text(encoding="utf-8"), str(path))
