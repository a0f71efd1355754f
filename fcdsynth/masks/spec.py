"""LesionSpec: the decisions behind one drawn lesion; executing it twice gives the same bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from fcdsynth.core.errors import SettingsError

KINDS = ("lesion", "control")
METHODS = ("growth", "transplant", "ellipsoid")


@dataclass(frozen=True)
class Growth:
    """How the front grows.

    Args:
        juxtacortical_mm: White matter up to this far from the cortex may be entered.
        white_cost: Cost per mm in white matter, where cortex costs 1.
        roughness: s in cost = c exp(s g + k (r / R)^2), g a Gaussian field of unit variance.
        correlation_mm: Correlation length of g.
        compactness: k, how much the front keeps to a ball around its seed.
        along: Logarithm of how much farther than on average the front comes along the fold.
        inward: The same towards the white matter; across the fold it is minus their sum.
        smoothing_mm: Standard deviation of the Gaussian that smooths the outline; 0 for none.

    Raises:
        SettingsError: If a value is out of range.
    """

    juxtacortical_mm: float = 4.0
    white_cost: float = 2.5
    roughness: float = 0.4
    correlation_mm: float = 8.0
    compactness: float = 0.0
    along: float = 0.0
    inward: float = 0.0
    smoothing_mm: float = 0.0

    def __post_init__(self) -> None:
        bounds = {"juxtacortical_mm": (0, 20), "white_cost": (0.1, 20), "roughness": (0, 2),
                  "correlation_mm": (1, 100), "compactness": (0, 10),
                  "along": (-2, 2), "inward": (-2, 2), "smoothing_mm": (0, 6)}  # fmt: skip
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise SettingsError(name, f"{value}", f"{low} to {high}", "Change the setting.")


@dataclass(frozen=True)
class LesionSpec:
    """One lesion to be made.

    Args:
        seed: Seed of everything random in its shape.
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
        method: ``growth``, ``transplant`` of a donor's lesion, or ``ellipsoid``.
        donor: Subject id of the patient whose lesion is transplanted, else empty.
        donor_lesion: Which of the donor's lesions, 0 for the largest.

    Raises:
        SettingsError: If kind, method, donor or size is not possible.
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
    method: str = "growth"
    donor: str = ""
    donor_lesion: int = 0

    def __post_init__(self) -> None:
        possible = self.kind in KINDS and self.method in METHODS and self.size_vox >= 1
        if not possible or (self.method == "transplant") != bool(self.donor):
            raise SettingsError(
                "spec", f"kind {self.kind!r}, method {self.method!r}, donor {self.donor!r}, "
                f"size_vox {self.size_vox}",
                f"kind one of {', '.join(KINDS)}, method one of {', '.join(METHODS)}, a donor for "
                "transplant alone, at least one voxel", "Draw again.",
            )  # fmt: skip

    @classmethod
    def from_record(cls, record: dict[str, Any], source: str = "spec") -> LesionSpec:
        """Make a spec of a dictionary, as `dataclasses.asdict` gives it.

        Raises:
            SettingsError: If it is not such a spec, or a key is unknown.
        """
        try:
            record = dict(record)
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


def write_specs(path: Path, specs: Sequence[LesionSpec]) -> Path:
    """Write the specs of one subject's lesions, in the order in which they are executed."""
    record = {"lesions": [asdict(spec) for spec in specs]}
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def read_specs(path: Path) -> tuple[LesionSpec, ...]:
    """Read a spec.json.

    Raises:
        SettingsError: If it is absent or no such file, a key is unknown, or it holds no lesion
            or lesions of several hosts.
    """
    try:
        lesions = json.loads(path.read_text(encoding="utf-8"))["lesions"]
        specs = tuple(LesionSpec.from_record(record, str(path)) for record in lesions)
        hosts = {spec.host for spec in specs}
        if len(hosts) != 1:
            raise ValueError(f"{len(specs)} lesions in {len(hosts)} hosts")
        return specs
    except (OSError, TypeError, ValueError, KeyError) as error:
        raise SettingsError(
            str(path), f"{type(error).__name__}: {error}", "a spec.json written by fcdsynth draw",
            "Draw again.",
        ) from error  # fmt: skip
