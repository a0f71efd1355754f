"""Plan: who tests and who trains, and what is reported, written down before anything is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from fcdsynth.core.errors import RunError
from fcdsynth.core.subject import Split
from fcdsynth.study.settings import Arm

ENDPOINT = "sensitivity at a rate of false positives per subject"


@dataclass(frozen=True)
class Draw:
    """One choice of training subjects; with a site left out, of test subjects too.

    Args:
        name: Name of its folder.
        train_patients: Ids in order; an arm with ``real = k`` takes the first ``k * n``, so
            smaller arms are nested in larger ones.
        train_controls: Likewise.
        validation: Subjects that validate in place of held-out folds; empty with folds.
        test_patients: Ids, the same for every arm.
        test_controls: Likewise.
    """

    name: str
    train_patients: tuple[str, ...]
    train_controls: tuple[str, ...]
    validation: tuple[str, ...]
    test_patients: tuple[str, ...]
    test_controls: tuple[str, ...]

    @property
    def test(self) -> tuple[str, ...]:
        """All test subjects."""
        return (*self.test_patients, *self.test_controls)


@dataclass(frozen=True)
class Plan:
    """What a study does and reports, fixed before the test subjects are looked at.

    Args:
        n: Real training patients of an arm with ``real = 1``; as many controls.
        folds: Folds within each arm's training subjects; 1 where the table names validation
            subjects.
        seed: Seed of every choice and of all training.
        rule: Hit rule of the primary endpoint.
        rate: False positives per subject at which its sensitivity is read off the FROC curve.
        within_families: Whether intervals draw subjects within families (the anatomies of
            simulated patients), not whole families.
        arms: The arms; the first is the baseline.
        draws: Choices of training subjects.
        recipe: Text of the configs that train the networks, steps included, by name; and
            ``refuse``.
        test_from_table: Whether test subjects came from the table's own split column.
        cohort: Name and version of the prepared cohort.
    """

    n: int
    folds: int
    seed: int
    rule: str
    rate: float
    within_families: bool
    arms: tuple[Arm, ...]
    draws: tuple[Draw, ...]
    recipe: Mapping[str, str]
    test_from_table: bool
    cohort: str

    @property
    def key(self) -> str:
        """Hash of the plan; results belong to one key."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    @property
    def test(self) -> tuple[str, ...]:
        """All test subjects, each once."""
        return tuple(dict.fromkeys(name for draw in self.draws for name in draw.test))

    @property
    def sites_left_out(self) -> bool:
        """Whether each draw tests on subjects of its own."""
        return len({draw.test for draw in self.draws}) > 1

    def to_json(self) -> dict[str, object]:
        """As plain dictionaries, lists and numbers."""
        record = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return record | {
            "endpoint": ENDPOINT,
            "arms": [asdict(arm) for arm in self.arms],
            "draws": [asdict(draw) for draw in self.draws],
            "recipe": dict(self.recipe),
        }

    def arm(self, name: str) -> Arm:
        """An arm by its name."""
        return next(arm for arm in self.arms if arm.name == name)

    def training(self, draw: Draw, arm: Arm) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Real training patients and controls of an arm."""
        size = round(arm.real * self.n)
        return draw.train_patients[:size], draw.train_controls[:size]

    def in_fold(self, draw: Draw, arm: Arm, fold: int) -> int:
        """How many real patients one fold of an arm trains on."""
        splits = self.splits(draw, arm, fold)
        return sum(splits[name] is Split.TRAIN for name in self.training(draw, arm)[0])

    def splits(self, draw: Draw, arm: Arm, fold: int) -> dict[str, Split]:
        """Split of every subject that one fold of an arm trains, validates or tests on.

        Patients and controls are dealt to the folds in turn, in the order of the draw, which
        goes round the sites; so each fold holds about the same mix of sites.
        """
        splits = dict.fromkeys(draw.test, Split.TEST) | dict.fromkeys(draw.validation, Split.VAL)
        for group in self.training(draw, arm):
            for place, name in enumerate(group):
                held_out = self.folds > 1 and place % self.folds == fold
                splits[name] = Split.VAL if held_out else Split.TRAIN
        return splits


def lock(plan: Plan, folder: Path, new: bool) -> Path:
    """Write a plan as the folder's next one, or find it there.

    Args:
        plan: The plan.
        folder: Where ``plan-1.json`` and later ones lie.
        new: Whether another plan may follow one that is locked; what was found under the first
            stays where it is.

    Returns:
        The plan's file.

    Raises:
        RunError: If another plan is locked there and ``new`` is false, or the file was edited.
    """
    locked = sorted(folder.glob("plan-*.json"), key=lambda path: int(path.stem.split("-")[1]))
    for path in locked:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record.get("key") == plan.key:
            told = {key: value for key, value in record.items() if key != "key"}
            if told != json.loads(json.dumps(plan.to_json())):
                raise RunError(str(path), "a plan that was edited after it was locked",
                               "the plan as it was", "Restore the file.")  # fmt: skip
            return path
    if locked and not new:
        raise RunError(
            str(locked[-1]), "a locked plan with other subjects, arms or settings",
            f"plan {plan.key[:12]}",
            "Repeat its settings, or lock a further plan with --new_plan true: the report then "
            "says that there were several.",
        )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"plan-{len(locked) + 1}.json"
    text = json.dumps({"key": plan.key, **plan.to_json()}, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")
    return path
