"""The chain: every arm from prepared subjects to an evaluation, as resumable steps of jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Split
from fcdsynth.study.jobs import Job
from fcdsynth.study.kept import Shelf
from fcdsynth.study.opening import note_opening
from fcdsynth.study.settings import find_config
from fcdsynth.study.training_set import fold_cohort, synthetic_number, to_draw, training_table

# Where clusters are cut so that the FROC curve reaches the rate of the endpoint.
CANDIDATE_THRESHOLD, CANDIDATE_ML = 0.1, 0.05


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


def steps_of(job: Job) -> list[Step]:
    """A job's steps, in order."""
    made = {"generator": _generator, "fold": _fold, "test": _test, "flag": _flag}
    return list(made[job.part](job))


def _train(config: Path, job: Job, cohort: Path, out: Path, *more: str) -> None:
    from fcdsynth.training.command import train

    words = ["-c", str(config), "-c", str(job.recipe.machine), "--seed_everything", str(job.seed)]
    train("fit", [*words, "--data.cohort", str(cohort), "--out", str(out), *more])


def _generator(job: Job) -> Iterator[Step]:
    where = job.folder.generator(job.draw, job.arm, job.fold)
    config = job.recipe.synthesis if job.arm.synthesis is None else find_config(job.arm.synthesis)
    yield Step(
        "table", f"{job.label} generator",
        lambda: fold_cohort(job.folder, job.plan, job.draw, job.arm, job.fold, where / "cohort"),
    )  # fmt: skip
    yield Step(
        "fit synthesis", job.label,
        lambda: _train(config, job, where / "cohort", where / "generator"),
    )  # fmt: skip


def _synthetic(job: Job) -> Iterator[Step]:
    from fcdsynth.masks.draw import draw
    from fcdsynth.synthesis.carvemix import carvemix
    from fcdsynth.synthesis.honesty import Checks
    from fcdsynth.synthesis.synthesize import synthesize

    where, arm = job.folder.fold(job.draw, job.arm, job.fold), job.arm
    number = synthetic_number(job.plan, job.draw, arm, job.fold)
    if arm.images == "carvemix":
        yield Step(
            "carvemix", job.label,
            lambda: carvemix(str(where / "cohort"), str(where / "synthetic"), number, number,
                             seed=job.seed, workers=job.recipe.workers),
        )  # fmt: skip
        return
    mode, asked = arm.images, to_draw(number, job.recipe.refuse)
    yield Step(
        "draw", job.label,
        lambda: draw(str(where / "cohort"), str(where / "drawn"), lesions=asked, controls=asked,
                     method=arm.masks, seed=job.seed, workers=job.recipe.workers),
    )  # fmt: skip
    yield Step(
        "synthesize", job.label,
        lambda: synthesize(
            str(job.folder.generator(job.draw, arm, job.fold) / "generator"), str(where / "drawn"),
            str(where / "synthetic"), seed=job.seed, mode=mode,
            checks=Checks(refuse=job.recipe.refuse), workers=job.recipe.workers,
        ),
    )  # fmt: skip


def _fold(job: Job) -> Iterator[Step]:
    where, arm = job.folder.fold(job.draw, job.arm, job.fold), job.arm
    yield Step(
        "table", job.label,
        lambda: fold_cohort(job.folder, job.plan, job.draw, arm, job.fold, where / "cohort"),
    )  # fmt: skip
    if arm.synthetic and arm.pool is None:
        yield from _synthetic(job)
    yield Step(
        "join", job.label,
        lambda: training_table(job.folder, job.plan, job.draw, arm, job.fold),
    )  # fmt: skip
    run = job.folder.detectors(job.draw, arm) / f"fold-{job.fold}"
    words = without_flair(job.recipe.detector) if arm.contrasts == "t1w" else []
    yield Step(
        "fit detector", job.label,
        lambda: _train(job.recipe.detector, job, where / "training", run, *words),
    )  # fmt: skip


def without_flair(config: Path) -> list[str]:
    """Words that take FLAIR, and all that is made of it, from a detector's inputs."""
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    given = settings.get("data", {}).get("init_args", {}).get("inputs", ["t1w", "flair"])
    kept = [name for name in given if not name.startswith("flair")]
    text = f"[{', '.join(kept)}]"
    return ["--model.inputs", text, "--data.inputs", text, "--data.flair_dropout", "0"]


def _test(job: Job) -> Iterator[Step]:
    """Maps with clusters cut low, the same at the operating point, and both evaluated."""
    from fcdsynth.detector.detect import detect
    from fcdsynth.detector.likeness import likeness
    from fcdsynth.detector.recut import recut
    from fcdsynth.evaluation.evaluate import evaluate

    folder, draw, arm, plan = job.folder, job.draw, job.arm, job.plan
    run, cohort = str(folder.detectors(draw, arm)), str(folder.test_cohort(draw))
    low, own = str(folder.candidates(draw, arm)), str(folder.detections(draw, arm))

    def look() -> None:
        note_opening(folder.openings, plan, job.plan_file, draw, arm)
        detect(run, cohort, low, pages=False, windows=8, precision=job.recipe.precision,
               threshold=CANDIDATE_THRESHOLD, min_volume_ml=CANDIDATE_ML)  # fmt: skip

    yield Step("detect", f"{job.label} test subjects", look)
    yield Step("recut", f"{job.label} test subjects", lambda: recut(run, low, cohort, own))
    if arm.synthetic:
        yield Step(
            "likeness", job.label,
            lambda: likeness(f"{run}/fold-0", own, cohort,
                             str(folder.fold(draw, arm, 0) / "training"),
                             str(folder.likeness(draw, arm))),
        )  # fmt: skip
    yield Step(
        "evaluate", f"{job.label} curve",
        lambda: evaluate([low], cohort, str(folder.curve(draw, arm)), rule=plan.rule, pictures=0,
                         chance_draws=0, bootstrap=100, seed=plan.seed,
                         workers=job.recipe.workers),
    )  # fmt: skip
    yield Step(
        "evaluate", job.label,
        lambda: evaluate([own], cohort, str(folder.evaluation(draw, arm)), rule=plan.rule,
                         pictures=6, seed=plan.seed, workers=job.recipe.workers),
    )  # fmt: skip
    if job.shelf is not None:
        shelf = Shelf(job.shelf, folder, plan)
        yield Step("keep", job.label, lambda: shelf.keep(draw, arm))


def _flag(job: Job) -> Iterator[Step]:
    """Suspicious masks among an arm's training subjects."""
    from fcdsynth.detector.detect import detect
    from fcdsynth.relabel.flag import flag

    folder, draw, arm = job.folder, job.draw, job.arm
    real, maps = folder.training_subjects(draw, arm), str(folder.out_of_fold(draw, arm))

    def table() -> None:
        patients, controls = job.plan.training(draw, arm)
        names = dict.fromkeys((*patients, *controls), Split.VAL)
        cohort = Cohort.read(folder.prepared).with_splits(names)
        cohort.select(lambda subject: subject.id in names).write(real)

    yield Step("table", f"{job.label} training subjects", table)
    yield Step(
        "detect", f"{job.label} out of fold",
        lambda: detect(str(folder.detectors(draw, arm)), str(real), maps, split="all",
                       out_of_fold=True, pages=False),
    )  # fmt: skip
    yield Step("flag", job.label, lambda: flag(str(real), maps, str(folder.flags)))
