"""Run the jobs of a study on this machine: one after the other, or side by side."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fcdsynth.core.progress import one_thread_each, process_pool
from fcdsynth.study.chain import Step, steps_of
from fcdsynth.study.jobs import Job
from fcdsynth.study.layout import StudyFolder

_POLL_S = 0.5


class Timings:
    """Seconds per step, in one small JSON file; a step's first, real run is kept.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[str, float] = {}
        if path.is_file():
            self.seconds = json.loads(path.read_text())

    def run(self, step: Step) -> None:
        """Run a step and note how long it took."""
        start = time.monotonic()
        step.work()
        self.add({step.name: round(time.monotonic() - start, 2)})

    def add(self, seconds: dict[str, float]) -> None:
        """Add steps that are not there yet, and write the file if there are any."""
        new = {name: s for name, s in seconds.items() if name not in self.seconds}
        if not new:
            return
        self.seconds |= new
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(self.seconds, indent=2) + "\n")
        partial.replace(self.path)


def left(steps: Sequence[Step], seconds: dict[str, float], side_by_side: int = 1) -> str:
    """Say about how long steps will take, from finished ones of the same kind.

    Kinds that have not run yet are named instead of guessed.
    """
    known: dict[str, list[float]] = {}
    for name, spent in seconds.items():
        known.setdefault(name.partition(": ")[0], []).append(spent)
    todo = [step for step in steps if step.name not in seconds]
    total = sum(sum(known[s.kind]) / len(known[s.kind]) for s in todo if s.kind in known)
    minutes = total / 60 / side_by_side
    unknown = sorted({step.kind for step in todo if step.kind not in known})
    text = f"about {minutes:.0f} min left" if minutes >= 1 else "under a minute left"
    return text + (f", without {', '.join(unknown)}" if unknown else "")


def run_steps(steps: Sequence[Step], timings: Timings, later: Sequence[Step] = ()) -> None:
    """Run steps in this process, saying what is done and about how long is left.

    Args:
        steps: The steps, in order.
        timings: Where their seconds are noted.
        later: Steps that will follow, for the time left.
    """
    console = Console(stderr=True)
    for place, step in enumerate(steps):
        rest = left([*steps[place:], *later], timings.seconds)
        console.print(f"{step.name}   ({rest})", markup=False, highlight=False)
        timings.run(step)


def run_jobs(folder: StudyFolder, jobs: Sequence[Job], side_by_side: int) -> None:
    """Run jobs, each once those that it needs have ended.

    Side by side, each job is a process of its own on one core; what it prints goes to
    ``logs/JOB.log`` in the study, and one bar shows all of them.

    Args:
        folder: The study.
        jobs: Jobs, each after those that it needs.
        side_by_side: Jobs at a time.
    """
    timings = Timings(folder.timings)
    if side_by_side > 1 and len(jobs) > 1:
        _pool(folder, jobs, timings, side_by_side)
        return
    for place, job in enumerate(jobs):
        later = [step for other in jobs[place + 1 :] for step in steps_of(other)]
        run_steps(steps_of(job), timings, later)


def _work(job: Job, log: Path, notes: Path) -> None:
    """A job in its own process: output to the log, finished steps to the notes."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as stream:
        kept = [os.dup(1), os.dup(2)]
        try:
            for descriptor in (1, 2):
                os.dup2(stream.fileno(), descriptor)
            timings = Timings(notes)
            for step in steps_of(job):
                timings.run(step)
        finally:
            for descriptor, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, descriptor)
                os.close(copy)


def _pool(folder: StudyFolder, jobs: Sequence[Job], timings: Timings, side_by_side: int) -> None:
    steps = [step for job in jobs for step in steps_of(job)]
    notes = {job.name: folder.log(job.name).with_suffix(".json") for job in jobs}
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(16), MofNCompleteColumn(), TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"), console=Console(stderr=True),
    )  # fmt: skip
    with one_thread_each(), bar, process_pool(side_by_side) as pool:
        task = bar.add_task("starting", total=len(steps), left="")
        waiting, ended = list(jobs), set[str]()
        running: dict[Future[None], Job] = {}
        try:
            while waiting or running:
                ready = [job for job in waiting if ended.issuperset(job.needs)]
                for job in ready[: side_by_side - len(running)]:
                    waiting.remove(job)
                    log = folder.log(job.name)
                    running[pool.submit(_work, job, log, notes[job.name])] = job
                done, _ = wait(running, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for path in notes.values():
                    if path.is_file():
                        timings.add(json.loads(path.read_text()))
                for future in done:
                    future.result()
                    ended.add(running.pop(future).name)
                finished = sum(step.name in timings.seconds for step in steps)
                rest = left(steps, timings.seconds, side_by_side)
                bar.update(task, completed=finished, description=_now(running), left=rest)
        except BaseException:
            # What has begun would go on for minutes; its partial folders are kept and resumed.
            for process in multiprocessing.active_children():
                process.kill()  # Lightning catches gentler signals
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _now(running: dict[Future[None], Job]) -> str:
    names = [job.name for job in running.values()]
    return "running " + ", ".join(names[:4]) if names else "finished"
