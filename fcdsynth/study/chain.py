"""The chain: every arm from prepared subjects to an evaluation, step by step, resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

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
    """

    detector: Path
    synthesis: Path
    machine: Path
    seed: int
    workers: int


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
            str(where / "generator"), str(where / "drawn"), str(where / "synthetic"), seed=seed
        ),
    )


def arm_steps(folder: StudyFolder, plan: Plan, recipe: Recipe, arm: Arm) -> Iterator[Step]:
    """Steps of one arm: per fold its training set and detector, then detect and evaluate."""
    from fcdsynth.detector.detect import detect
    from fcdsynth.evaluation.evaluate import evaluate

    for fold in range(plan.folds):
        where = folder.fold(arm, fold)
        name = f"{arm.name} fold {fold}"
        yield Step("table", name, lambda fold=fold: fold_cohort(folder, plan, arm, fold))  # type: ignore[misc]
        if arm.synthetic:
            yield from _synthetic(folder, plan, recipe, arm, fold)
        yield Step("table", name, lambda fold=fold: training_table(folder, plan, arm, fold))  # type: ignore[misc]
        yield Step(
            "fit detector",
            name,
            lambda where=where, fold=fold: _fit(  # type: ignore[misc]
                recipe.detector,
                recipe,
                where / "training",
                folder.detectors(arm) / f"fold-{fold}",
                recipe.seed * 1000 + fold,
            ),
        )
    yield Step(
        "detect",
        f"{arm.name} test subjects",
        lambda: detect(
            str(folder.detectors(arm)), str(folder.test_cohort), str(folder.detections(arm))
        ),
    )
    yield Step(
        "evaluate",
        arm.name,
        lambda: evaluate(
            str(folder.detections(arm)),
            str(folder.test_cohort),
            str(folder.evaluation(arm)),
            rule=plan.rule,
        ),
    )


def flag_steps(folder: StudyFolder, plan: Plan, arm: Arm) -> Iterator[Step]:
    """Steps that look for suspicious masks among an arm's training subjects."""
    from fcdsynth.detector.detect import detect
    from fcdsynth.relabel.flag import flag

    real = folder.arm(arm) / "training-subjects"

    def table() -> None:
        patients, controls = plan.training(arm)
        names = {name: Split.VAL for name in (*patients, *controls)}
        cohort = Cohort.read(folder.prepared).with_splits(names)
        cohort.select(lambda subject: subject.id in names).write(real)

    yield Step("table", f"{arm.name} training subjects", table)
    yield Step(
        "detect",
        f"{arm.name} out of fold",
        lambda: detect(
            str(folder.detectors(arm)),
            str(real),
            str(folder.out_of_fold(arm)),
            split="all",
            out_of_fold=True,
        ),
    )
    yield Step("flag", arm.name, lambda: flag(str(real), str(folder.out_of_fold(arm)),
                                              str(folder.flags)))  # fmt: skip


def run_steps(steps: Sequence[Step], timings_path: Path) -> None:
    """Run steps in order, saying what is done and about how long is left.

    The time left is the mean duration of finished steps of the same kind, summed over the
    steps to come; kinds that have not run yet are named instead of guessed.

    Args:
        steps: The steps.
        timings_path: JSON of seconds per step; a step's first, real run is kept.
    """
    console = Console(stderr=True)
    timings: dict[str, float] = {}
    if timings_path.is_file():
        timings = json.loads(timings_path.read_text())
    for place, step in enumerate(steps):
        left = _left(steps[place:], timings)
        console.print(f"[{place + 1}/{len(steps)}] {step.kind}: {step.label}{left}", markup=False)
        start = time.monotonic()
        step.work()
        timings.setdefault(f"{step.kind}: {step.label}", round(time.monotonic() - start, 2))
        partial = timings_path.with_suffix(".partial")
        partial.write_text(json.dumps(timings, indent=2) + "\n")
        partial.replace(timings_path)


def _left(steps: Sequence[Step], timings: dict[str, float]) -> str:
    known: dict[str, list[float]] = {}
    for label, seconds in timings.items():
        known.setdefault(label.partition(": ")[0], []).append(seconds)
    todo = [step for step in steps if f"{step.kind}: {step.label}" not in timings]
    minutes = sum(sum(known[s.kind]) / len(known[s.kind]) for s in todo if s.kind in known) / 60
    unknown = sorted({step.kind for step in todo if step.kind not in known})
    text = f"   (about {minutes:.0f} min left" if minutes >= 1 else "   (under a minute left"
    return text + (f", and not timed yet: {', '.join(unknown)})" if unknown else ")")
