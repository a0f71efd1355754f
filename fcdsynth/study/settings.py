"""What a study compares: arms as data, and where its training configs are found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fcdsynth.core.errors import SettingsError

Masks = Literal["growth", "transplant", "ellipsoid"]
Images = Literal["insert", "full", "carvemix"]


@dataclass(frozen=True)
class Arm:
    """A training set of the study.

    Args:
        name: Name in tables and pictures.
        real: Real training patients as a multiple of the study's ``n``, with as many controls;
            may be a fraction, as in 0.5 for a learning curve.
        synthetic: Synthetic lesional subjects per real training patient, with as many synthetic
            controls.
        masks: How masks are drawn: ``growth``, ``transplant`` or ``ellipsoid``, as in ``draw``.
        images: How images are made of them: ``insert`` or ``full``, as in ``synthesize``, or
            ``carvemix``, which pastes training lesions and needs neither masks nor generator.
        synthesis: Config of this arm's generator, where it is not the study's.
        pool: Cohort of synthetic subjects made elsewhere, in place of masks and images; they
            name their parents, and children of held-out subjects are left out.
        labels: Cohort whose lesion masks the arm trains on, by subject id, in place of the
            annotators': after ``adopt``, say. Drawing and generator read them too.
        contrasts: ``both``, or ``t1w`` for a detector that sees no FLAIR.
    """

    name: str
    real: float = 1.0
    synthetic: float = 0.0
    masks: Masks = "growth"
    images: Images = "insert"
    synthesis: str | None = None
    pool: str | None = None
    labels: str | None = None
    contrasts: Literal["both", "t1w"] = "both"

    def __post_init__(self) -> None:
        def refuse(key: str, found: str, expected: str, remedy: str) -> None:
            raise SettingsError(f"arms {self.name} {key}", found, expected, remedy)

        if not self.real > 0:
            refuse("real", f"{self.real:g}", "a multiple of n above 0",
                   "Use 1 for n real patients, 2 for 2n.")  # fmt: skip
        if self.synthetic < 0:
            refuse("synthetic", f"{self.synthetic:g}", "a ratio of 0 or more",
                   "Use 1 for as many as real.")  # fmt: skip
        if not self.name or set(self.name) & set("/\\ "):
            raise SettingsError("arms name", repr(self.name), "a name fit for a folder",
                                "Use letters, digits and dashes.")  # fmt: skip
        made = {"masks": self.masks != "growth", "images": self.images != "insert",
                "synthesis": self.synthesis is not None}  # fmt: skip
        for key, given in made.items():
            if given and self.pool is not None:
                refuse(key, "given beside a pool", "one or the other", "Leave one out.")
            if given and not self.synthetic:
                refuse(key, "given, with synthetic 0", "synthetic above 0",
                       "Give synthetic, or leave it out.")  # fmt: skip
        if self.images == "carvemix" and (made["masks"] or made["synthesis"]):
            refuse("images", "carvemix, with masks or synthesis", "carvemix alone",
                   "CarveMix draws no masks and trains nothing.")  # fmt: skip
        if self.pool is not None and not self.synthetic:
            refuse("pool", "given, with synthetic 0", "synthetic above 0",
                   "Give synthetic: how many of the pool per real patient.")  # fmt: skip

    @property
    def plain(self) -> bool:
        """Whether it is a point of the learning curve: given labels, both contrasts, only real."""
        return not self.synthetic and self.labels is None and self.contrasts == "both"

    @property
    def fits_generator(self) -> bool:
        """Whether a generator is trained for it."""
        return bool(self.synthetic) and self.pool is None and self.images != "carvemix"


DEFAULT_ARMS = (Arm("FCDD-1"), Arm("FCDD-2", synthetic=1.0), Arm("FCDD-3", real=2.0))


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
