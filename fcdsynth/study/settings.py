"""What a study compares: arms as data, and where its training configs are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fcdsynth.core.errors import SettingsError


@dataclass(frozen=True)
class Arm:
    """A training set of the study.

    Args:
        name: Name in tables and pictures.
        real: Real training patients as a multiple of the study's ``n``, with as many controls.
        synthetic: Synthetic lesional subjects per real training patient, with as many synthetic
            controls.
    """

    name: str
    real: int = 1
    synthetic: float = 0.0

    def __post_init__(self) -> None:
        if self.real < 1:
            raise SettingsError(f"arms {self.name} real", f"{self.real}", "a multiple of n from 1",
                                "Use 1 for n real patients, 2 for 2n.")  # fmt: skip
        if self.synthetic < 0:
            raise SettingsError(f"arms {self.name} synthetic", f"{self.synthetic}",
                                "a ratio of 0 or more", "Use 1 for as many as real.")  # fmt: skip
        if not self.name or set(self.name) & set("/\\ "):
            raise SettingsError("arms name", repr(self.name), "a name fit for a folder",
                                "Use letters, digits and dashes.")  # fmt: skip


DEFAULT_ARMS = (Arm("FCDD-1"), Arm("FCDD-2", synthetic=1.0), Arm("FCDD-3", real=2))


def check_arms(arms: Sequence[Arm]) -> None:
    """Refuse an empty list of arms, and two of one name.

    Raises:
        SettingsError: Naming what is wrong.
    """
    names = [arm.name for arm in arms]
    if not names or len(set(names)) < len(names):
        raise SettingsError("arms", f"{names}", "at least one arm, each name once",
                            "Name every arm differently.")  # fmt: skip


def shipped_configs() -> Path:
    """Folder of the configs that come with fcdsynth: in the checkout, or inside the wheel."""
    package = Path(__file__).parents[1]
    checkout = package.parent / "configs"
    return checkout if (checkout / "study").is_dir() else package / "configs"


def find_config(name: str) -> Path:
    """Find a config by its path, or by its name among the shipped ones.

    Raises:
        SettingsError: If it is at neither place.
    """
    for path in (Path(name), shipped_configs() / name):
        if path.is_file():
            return path
    raise SettingsError(
        "config",
        f"no file {name}",
        f"a file, or one in {shipped_configs()}",
        "Check the path; shipped configs are named like detector/base.yaml.",
    )
