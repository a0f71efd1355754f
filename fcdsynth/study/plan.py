"""Plan: who tests and who trains, decided and written down before anything is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, RunError
from fcdsynth.core.subject import Split, Subject
from fcdsynth.study.settings import Arm


@dataclass(frozen=True)
class Plan:
    """The subjects of a study.

    Args:
        n: Real training patients of an arm with ``real = 1``; as many controls.
        folds: Number of folds within each arm's training subjects.
        seed: Seed of the choice.
        rule: Hit rule of the primary endpoint.
        test_patients: Ids, the same for every arm.
        test_controls: Ids, the same for every arm.
        train_patients: Ids in order; an arm with ``real = k`` takes the first ``k * n``, so
            smaller arms are nested in larger ones.
        train_controls: Likewise.
        test_from_table: Whether the test patients came from the table's own split column.
    """

    n: int
    folds: int
    seed: int
    rule: str
    test_patients: tuple[str, ...]
    test_controls: tuple[str, ...]
    train_patients: tuple[str, ...]
    train_controls: tuple[str, ...]
    test_from_table: bool

    @property
    def key(self) -> str:
        """Hash of the plan; a study's results belong to one key."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()[:16]

    @property
    def test(self) -> tuple[str, ...]:
        """All test subjects."""
        return (*self.test_patients, *self.test_controls)

    def training(self, arm: Arm) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Real training patients and controls of an arm."""
        size = arm.real * self.n
        return self.train_patients[:size], self.train_controls[:size]

    def splits(self, arm: Arm, fold: int) -> dict[str, Split]:
        """Split of every subject that one fold of an arm trains, validates or tests on.

        Patients and controls are dealt to the folds in turn, in the order of the plan, which
        goes round the sites; so each fold holds about the same mix of sites.
        """
        splits = {name: Split.TEST for name in self.test}
        for group in self.training(arm):
            for place, name in enumerate(group):
                held_out = place % self.folds == fold
                splits[name] = Split.VAL if held_out else Split.TRAIN
        return splits

    def lock(self, path: Path) -> None:
        """Write the plan, or refuse when another one is locked there.

        Raises:
            RunError: If the file holds another plan.
        """
        text = json.dumps({"key": self.key, **asdict(self)}, indent=2) + "\n"
        if path.is_file() and json.loads(path.read_text())["key"] != self.key:
            raise RunError(str(path), "a locked plan with other subjects or settings",
                           f"plan {self.key}", "Give the study a new output folder.")  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _round_sites(subjects: Sequence[Subject], rng: np.random.Generator) -> list[str]:
    """Ids in random order, taking turns between (site, scanner) groups."""
    groups: dict[tuple[str, str], list[str]] = {}
    for subject in sorted(subjects, key=lambda s: s.id):
        groups.setdefault((subject.site, subject.scanner), []).append(subject.id)
    for ids in groups.values():
        rng.shuffle(ids)
    longest = max((len(ids) for ids in groups.values()), default=0)
    turns = ((ids[i], i) for i in range(longest) for ids in groups.values() if i < len(ids))
    return [name for name, _ in turns]


def make_plan(
    cohort: Cohort,
    arms: Sequence[Arm],
    n: int | None = None,
    folds: int = 5,
    test_patients: int | None = None,
    test_controls: int | None = None,
    seed: int = 0,
    rule: str = "overlap",
) -> Plan:
    """Choose test and training subjects.

    Test patients are the table's own (split ``test``) where it has any, else chosen at random,
    going round the sites; the same for test controls. What remains trains, nested from small
    arms to large ones.

    Args:
        cohort: A prepared cohort of real or phantom subjects.
        arms: The arms; the largest ``real`` decides how many subjects are needed.
        n: Training patients of an arm with ``real = 1``; as many as there are when None.
        folds: Folds within each arm.
        test_patients: Number of test patients when the table names none; a third by default.
        test_controls: Number of test controls when the table names none; a third by default.
        seed: Seed of the choice.
        rule: Hit rule of the primary endpoint.

    Raises:
        CohortError: If there are too few patients or controls for the arms and folds.
    """
    rng = np.random.default_rng([seed, 20])
    chosen: dict[str, tuple[list[str], list[str]]] = {}
    from_table = False
    wanted = {"patients": test_patients, "controls": test_controls}
    for group, number in wanted.items():
        members = [s for s in cohort.subjects if s.is_patient == (group == "patients")]
        named = [s for s in members if s.split is Split.TEST]
        rest = [s for s in members if s.split is not Split.TEST]
        order = _round_sites(rest, rng)
        if named:
            from_table = from_table or group == "patients"
            chosen[group] = (sorted(s.id for s in named), order)
        else:
            size = len(members) // 3 if number is None else number
            chosen[group] = (order[:size], order[size:])
    largest = max(arm.real for arm in arms)
    available = min(len(train) for _, train in chosen.values())
    n = available // largest if n is None else n
    needed = max(largest * n, folds * min(arm.real for arm in arms))
    if n < folds or available < largest * n:
        patients, controls = (len(chosen[g][1]) for g in ("patients", "controls"))
        raise CohortError(
            cohort.name,
            f"{patients} patients and {controls} controls left for training",
            f"at least {max(needed, largest * folds)} of each for arms of {largest} x n with "
            f"n = {n} and {folds} folds",
            "Lower n, folds or the number of test subjects, or add subjects.",
        )
    for group, (test, _) in chosen.items():
        if not test:
            raise CohortError(cohort.name, f"no {group} left for the test set", "at least one",
                              f"Raise test_{group}.")  # fmt: skip
    return Plan(
        n,
        folds,
        seed,
        rule,
        tuple(chosen["patients"][0]),
        tuple(chosen["controls"][0]),
        tuple(chosen["patients"][1][: largest * n]),
        tuple(chosen["controls"][1][: largest * n]),
        from_table,
    )
