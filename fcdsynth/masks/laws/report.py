"""How a prior was fitted: on what, by which software, and the settings that were tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fcdsynth.core.provenance import software
from fcdsynth.masks.laws.site_fit import Setting

_PACKAGES = ("fcdsynth", "numpy", "scipy", "scikit-learn")


@dataclass(frozen=True)
class FitReport:
    """What stands behind a fitted prior. It names no date: equal fits give equal files.

    Args:
        cohort: Name of the cohort.
        patients: Number of training patients.
        lesions: Number of their lesions.
        placed: Number of the lesions with a known MNI position.
        seed: Seed of the fit.
        software: Versions of the packages that decide the numbers.
        curve: The best setting of each bandwidth tried for the site law.
    """

    cohort: str
    patients: int
    lesions: int
    placed: int
    seed: int
    software: tuple[tuple[str, str], ...]
    curve: tuple[Setting, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return {
            "cohort": self.cohort,
            "patients": self.patients,
            "lesions": self.lesions,
            "lesions_in_mni": self.placed,
            "seed": self.seed,
            "software": dict(self.software),
            "site_leaving_one_patient_out": [asdict(setting) for setting in self.curve],
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> FitReport:
        """Read `to_record` back.

        Raises:
            KeyError: If something is absent.
            TypeError: If a key of a setting is unknown.
        """
        return cls(
            str(record["cohort"]), int(record["patients"]), int(record["lesions"]),
            int(record["lesions_in_mni"]), int(record["seed"]),
            tuple((str(name), str(version)) for name, version in record["software"].items()),
            tuple(Setting(**setting) for setting in record["site_leaving_one_patient_out"]),
        )  # fmt: skip


def versions() -> tuple[tuple[str, str], ...]:
    """Versions of the packages that decide a fit."""
    found = software()
    return tuple((name, found[name]) for name in _PACKAGES if name in found)
