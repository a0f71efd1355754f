"""Jobs of a study as data: what trains, tests and flags, and which of them wait for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import yaml

from fcdsynth.study.kept import is_kept
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.plan import Draw, Plan
from fcdsynth.study.settings import Arm


@dataclass(frozen=True)
class Recipe:
    """How the two networks of a study are trained, and how subjects are worked on.

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

    @property
    def precision(self) -> Literal["auto", "bf16"]:
        """What detection computes in: what the detector was trained in."""
        trainer = yaml.safe_load(self.detector.read_text(encoding="utf-8")).get("trainer", {})
        return "bf16" if str(trainer.get("precision", "")).startswith("bf16") else "auto"

    def texts(self) -> dict[str, str]:
        """What of it decides about results, for the plan."""
        return {
            "detector": self.detector.read_text(encoding="utf-8"),
            "synthesis": self.synthesis.read_text(encoding="utf-8"),
            "refuse": str(self.refuse),
        }


@dataclass(frozen=True)
class Job:
    """Steps that belong to one process, as data that can be sent to it.

    Args:
        root: The study's folder.
        plan: Who tests and who trains.
        plan_file: Where it is locked.
        recipe: How the networks are trained.
        draw: The choice of training subjects.
        arm: The arm.
        part: ``generator`` fits one that arms share, ``fold`` trains a detector, ``test`` looks
            at the test subjects, ``flag`` at training masks.
        fold: Which fold, for ``generator`` and ``fold``.
        needs: Names of jobs that must have ended before.
        shelf: Where the arm's results are kept once it is tested, None for nowhere else.
    """

    root: Path
    plan: Plan
    plan_file: Path
    recipe: Recipe
    draw: Draw
    arm: Arm
    part: Literal["generator", "fold", "test", "flag"]
    fold: int = 0
    needs: tuple[str, ...] = ()
    shelf: Path | None = None

    @property
    def folder(self) -> StudyFolder:
        """The study."""
        return StudyFolder(self.root)

    @property
    def name(self) -> str:
        """Name in messages and of the job's log."""
        end = f"-{self.fold}" if self.part in ("generator", "fold") else ""
        return f"{self.draw.name}-{self.arm.name}-{self.part}{end}"

    @property
    def label(self) -> str:
        """What its steps are done for."""
        end = f" fold {self.fold}" if self.part in ("generator", "fold") else ""
        return f"{self.draw.name} {self.arm.name}{end}"

    @property
    def seed(self) -> int:
        """Seed of what a fold draws and trains: the same for all arms of a draw."""
        return self.recipe.seed * 1000 + self.plan.draws.index(self.draw) * 100 + self.fold


def plan_jobs(
    root: Path, plan: Plan, plan_file: Path, recipe: Recipe, shelf: Path | None = None
) -> list[Job]:
    """All jobs of a study, each after those it needs; none of arms that were put back.

    Arms end one after the other, so that a study that is stopped has results of whole arms.
    """
    folder = StudyFolder(root)
    jobs: list[Job] = []
    for draw in plan.draws:
        arms = [arm for arm in plan.arms if not is_kept(folder, draw, arm)]
        generators: dict[Path, Job] = {}
        for arm in arms:
            for fold in range(plan.folds if arm.fits_generator else 0):
                job = Job(root, plan, plan_file, recipe, draw, arm, "generator", fold)
                generators.setdefault(folder.generator(draw, arm, fold), job)
        jobs += generators.values()
        for arm in arms:
            folds = []
            for fold in range(plan.folds):
                made = generators.get(folder.generator(draw, arm, fold))
                needs = (made.name,) if made is not None and arm.fits_generator else ()
                folds.append(Job(root, plan, plan_file, recipe, draw, arm, "fold", fold, needs))
            after = tuple(job.name for job in folds)
            jobs += folds
            jobs.append(
                Job(root, plan, plan_file, recipe, draw, arm, "test", needs=after, shelf=shelf)
            )
    return jobs + _flags(jobs)


def _flags(jobs: Sequence[Job]) -> list[Job]:
    """The job that flags masks: of the arm of most real subjects, who give most to look at.

    With one fold nobody was held out.
    """
    tests = [job for job in jobs if job.part == "test" and job.plan.folds > 1]
    if not tests:
        return []
    most = max((job for job in tests if job.draw == tests[0].draw),
               key=lambda job: (job.arm.real, -job.arm.synthetic))  # fmt: skip
    return [replace(most, part="flag", shelf=None)]
