"""The chain: every arm from prepared subjects to an evaluation, as jobs of resumable steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.leakage import check_leakage
from fcdsynth.core.subject import Split
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.plan import Plan
from fcdsynth.study.settings import Arm


@dataclass(frozen=True)
class Recipe:
    """How the two networks of a study are trained.

    Args:
        detector: Config of the detector.
        synthesis: Config of the generator.
        machine: Config with the trainer section for this machine.
        seed: Seed of everything random in the chain.
        workers: Processes for per-subject work.
        refuse: Whether redrawn pairs that fail their tests are left out, see
            `fcdsynth.synthesis.honesty.Checks`.
    """

    detector: Path
    synthesis: Path
    machine: Path
    seed: int
    workers: int
    refuse: bool = True


@dataclass(frozen=True)
class Step:
    """One verb applied once.

    Args:
        kind: The verb; steps of one kind take about equally long.
        label: What it is done for.
        work: The call; returns at once when its output is already whole.
    """

    kind: str
    label: str
    work: Callable[[], object]

    @property
    def name(self) -> str:
        """Kind and label; unique in a study."""
        return f"{self.kind}: {self.label}"


def fold_cohort(folder: StudyFolder, plan: Plan, arm: Arm, fold: int) -> Path:
    """Write the prepared cohort's table with the splits of one fold of an arm."""
    prepared = Cohort.read(folder.prepared)
    out = folder.fold(arm, fold) / "cohort"
    prepared.with_splits(plan.splits(arm, fold)).write(out)
    return out


def training_table(folder: StudyFolder, plan: Plan, arm: Arm, fold: int) -> Path:
    """Write the fold's table with its synthetic subjects added; leakage is checked here too."""
    table = Cohort.read(folder.fold(arm, fold) / "cohort")
    if arm.synthetic:
        table = table.merged(Cohort.read(folder.fold(arm, fold) / "synthetic"))
    check_leakage(table, plan.test)
    out = folder.fold(arm, fold) / "training"
    table.write(out)
    return out


def _fit(config: Path, recipe: Recipe, cohort: Path, out: Path, seed: int) -> None:
    from fcdsynth.training.command import train

    words = ["-c", str(config), "-c", str(recipe.machine), "--seed_everything", str(seed)]
    train("fit", [*words, "--data.cohort", str(cohort), "--out", str(out)])


def _synthetic(
    folder: StudyFolder, plan: Plan, recipe: Recipe, arm: Arm, fold: int
) -> Iterator[Step]:
    from fcdsynth.masks.draw import draw
    from fcdsynth.synthesis.honesty import Checks
    from fcdsynth.synthesis.synthesize import synthesize

    where = folder.fold(arm, fold)
    seed = recipe.seed * 1000 + fold
    patients, _ = plan.training(arm)
    in_training = sum(place % plan.folds != fold for place in range(len(patients)))
    number = round(arm.synthetic * in_training)
    name = f"{arm.name} fold {fold}"
    yield Step(
        "draw",
        name,
        lambda: draw(
            str(where / "cohort"), str(where / "drawn"), lesions=number, controls=number, seed=seed
        ),
    )
    yield Step(
        "fit synthesis",
        name,
        lambda: _fit(recipe.synthesis, recipe, where / "cohort", where / "generator", seed),
    )
    yield Step(
        "synthesize",
        name,
        lambda: synthesize(
            str(where / "generator"),
            str(where / "drawn"),
            str(where / "synthetic"),
            seed=seed,
            checks=Checks(refuse=recipe.refuse),
            workers=recipe.workers,
        ),
    )


def fold_steps(
    folder: StudyFolder, plan: Plan, recipe: Recipe, arm: Arm, fold: int
) -> Iterator[Step]:
    """Steps of one fold of an arm: its training set, then its detector."""
    where = folder.fold(arm, fold)
    name = f"{arm.name} fold {fold}"
    yield Step("table", name, lambda: fold_cohort(folder, plan, arm, fold))
    if arm.synthetic:
        yield from _synthetic(folder, plan, recipe, arm, fold)
    yield Step("join", name, lambda: training_table(folder, plan, arm, fold))
    run = folder.detectors(arm) / f"fold-{fold}"
    seed = recipe.seed * 1000 + fold
    yield Step(
        "fit detector",
        name,
        lambda: _fit(recipe.detector, recipe, where / "training", run, seed),
    )


def evaluation_steps(folder: StudyFolder, plan: Plan, recipe: Recipe, arm: Arm) -> Iterator[Step]:
    """Steps that test the ensemble of an arm's folds."""
    from fcdsynth.detector.detect import detect
    from fcdsynth.evaluation.evaluate import evaluate

    cohort, found = str(folder.test_cohort), str(folder.detections(arm))
    yield Step(
        "detect",
        f"{arm.name} test subjects",
        lambda: detect(str(folder.detectors(arm)), cohort, found, pages=False),
    )
    yield Step(
        "evaluate",
        arm.name,
        lambda: evaluate(
            [found],
            cohort,
            str(folder.evaluation(arm)),
            rule=plan.rule,
            pictures=6,
            seed=recipe.seed,
        ),
    )


def flag_steps(folder: StudyFolder, plan: Plan, arm: Arm) -> Iterator[Step]:
    """Steps that look for suspicious masks among an arm's training subjects."""
    from fcdsynth.detector.detect import detect
    from fcdsynth.relabel.flag import flag

    real, maps = folder.training_subjects(arm), str(folder.out_of_fold(arm))

    def table() -> None:
        patients, controls = plan.training(arm)
        names = dict.fromkeys((*patients, *controls), Split.VAL)
        cohort = Cohort.read(folder.prepared).with_splits(names)
        cohort.select(lambda subject: subject.id in names).write(real)

    yield Step("table", f"{arm.name} training subjects", table)
    yield Step(
        "detect",
        f"{arm.name} out of fold",
        lambda: detect(
            str(folder.detectors(arm)), str(real), maps, split="all", out_of_fold=True, pages=False
        ),
    )
    yield Step("flag", arm.name, lambda: flag(str(real), maps, str(folder.flags)))


@dataclass(frozen=True)
class Job:
    """Steps that belong to one process, as data that can be sent to it.

    Args:
        root: The study's folder.
        plan: Who tests and who trains.
        recipe: How the networks are trained.
        arm: The arm.
        part: ``fold`` trains, ``test`` evaluates, ``flag`` looks at training masks.
        fold: Which fold, for ``fold``.
    """

    root: Path
    plan: Plan
    recipe: Recipe
    arm: Arm
    part: Literal["fold", "test", "flag"]
    fold: int = 0

    @property
    def name(self) -> str:
        """Name in messages and of the job's log."""
        return f"{self.arm.name}-{self.part}" + (f"-{self.fold}" if self.part == "fold" else "")

    def steps(self) -> list[Step]:
        """The steps, in order."""
        folder = StudyFolder(self.root)
        if self.part == "fold":
            return list(fold_steps(folder, self.plan, self.recipe, self.arm, self.fold))
        if self.part == "test":
            return list(evaluation_steps(folder, self.plan, self.recipe, self.arm))
        return list(flag_steps(folder, self.plan, self.arm))


def plan_jobs(root: Path, plan: Plan, recipe: Recipe, arms: Sequence[Arm]) -> list[list[Job]]:
    """All jobs of a study in waves; the jobs of a wave do not need each other."""
    trained = [
        Job(root, plan, recipe, arm, "fold", fold) for arm in arms for fold in range(plan.folds)
    ]
    tested = [Job(root, plan, recipe, arm, "test") for arm in arms]
    # Most real subjects give most masks to look at.
    largest = max(arms, key=lambda arm: (arm.real, -arm.synthetic))
    return [trained, [*tested, Job(root, plan, recipe, largest, "flag")]]
