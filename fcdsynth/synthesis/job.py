"""One synthetic subject: redrawn until it passes, then written; one process makes many."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.run import item_folder
from fcdsynth.core.subject import Subject
from fcdsynth.synthesis.attempt import Attempt, StyleSource, attempts
from fcdsynth.synthesis.contrasts import rng_for
from fcdsynth.synthesis.drawn import load_drawn
from fcdsynth.synthesis.heads import contrasts_of
from fcdsynth.synthesis.honesty import Checks, Judge
from fcdsynth.synthesis.numbers import describe
from fcdsynth.synthesis.sidecar import bids_name
from fcdsynth.synthesis.styles import Styles
from fcdsynth.synthesis.task import SynthesisTask
from fcdsynth.synthesis.writing import what_tests_say, write_images, write_origins
from fcdsynth.training.device import choose_device


@dataclass(frozen=True)
class Law:
    """What decides about a run's images; the same in every process.

    Args:
        checkpoint: Checkpoint of the generator.
        digest: Its SHA-256.
        generator_key: Key of the run that trained it.
        known: Styles, contrasts and geometry of its training.
        styles: Where a lesion's look comes from.
        scan_style: In full mode, whose scan's style the images have; None in insert mode.
        checks: The tests.
        seed: Seed of the whole run.
        device: As the user named it.
        threads: Torch threads of each process.
    """

    checkpoint: Path
    digest: str
    generator_key: str
    known: Styles
    styles: StyleSource
    scan_style: str | None
    checks: Checks
    seed: int
    device: str
    threads: int

    @property
    def judge(self) -> Judge:
        """The tests, fitted on what the generator's training subjects show."""
        lesions = [lesion.contrasts for lesion in self.known.lesions]
        names = contrasts_of(self.known.flair)
        return Judge.of(names, self.checks, lesions, self.known.healthy)


@dataclass(frozen=True)
class Job:
    """One subject; what a worker process needs, and nothing else.

    Args:
        cohort: Folder of the drawn cohort.
        subject: Its row.
        folder: Where its folder goes.
        law: What decides.
    """

    cohort: Path
    subject: Subject
    folder: Path
    law: Law


@lru_cache(maxsize=1)
def trained_task(checkpoint: Path, digest: str, device: str) -> SynthesisTask:
    """Load a generator, once a process.

    Args:
        checkpoint: Its checkpoint.
        digest: Hash of that file, so that a new one under the old name is loaded again.
        device: auto, cpu, cuda or cuda:1.
    """
    task: SynthesisTask = SynthesisTask.load_from_checkpoint(
        checkpoint, map_location=choose_device(device), weights_only=True
    )
    task.eval()
    return task


def work(job: Job) -> dict[str, Any]:
    """Make one subject, unless it was made or given up before.

    Returns:
        Its record of checks: ``id``, ``group``, ``made``, ``tries``, ``refused`` (the faults of
        each refused draw), ``style``, ``images`` (the cohort keys written), ``realism``.

    Raises:
        CohortError: If a file is absent or its region is empty.
        SettingsError: If its spacing is not the generator's.
    """
    name = bids_name(job.subject.id)
    record = job.folder / name / f"{name}_checks.json"
    if not record.is_file():
        torch.set_num_threads(job.law.threads)
        with item_folder(job.folder, name) as folder:
            _make(folder, name, job)
    return dict(json.loads(record.read_text(encoding="utf-8")))


def _make(folder: Path, name: str, job: Job) -> None:
    law, subject = job.law, job.subject
    cohort = Cohort(job.cohort, (subject,))
    task = trained_task(law.checkpoint, law.digest, law.device)
    generator = task.drawer
    # The coarsest scale halves the crop once a block but the first.
    halvings = len(generator.blocks) - 1
    whole = law.scan_style is not None
    drawn = load_drawn(cohort, subject, law.known, generator.reach_vox, 2**halvings, whole)
    judge, rng = law.judge, rng_for(law.seed, subject.id)
    refused: list[Attempt] = []
    kept: Attempt | None = None
    for attempt in islice(
        attempts(task, drawn, law.known, judge, law.styles, rng, law.scan_style),
        law.checks.tries,
    ):
        if not attempt.faults or not law.checks.refuse:
            kept = attempt
            break
        refused.append(attempt)
    record: dict[str, Any] = {
        "id": subject.id,
        "group": subject.group.value,
        "made": kept is not None,
        "tries": len(refused) + (kept is not None),
        "refused": [[asdict(fault) for fault in attempt.faults] for attempt in refused],
    }
    if kept is not None:
        said = what_tests_say(judge, kept)
        images = write_images(folder, name, cohort, drawn, kept)
        write_origins(folder, name, cohort, subject, images, _origins(law, kept, said))
        realism = describe(
            drawn.scene.image, kept.image, kept.lesion, drawn.scene.region, kept.tissue,
            judge.names, drawn.ring,
        )  # fmt: skip
        realism |= {"mask_share": float("nan") if kept.trimmed is None else kept.trimmed.share}
        record |= {
            "style": kept.spec.style,
            "scan": "" if kept.spec.whole is None else kept.spec.whole.scan,
            "images": images,
            "checks": said,
            "realism": {key: None if np.isnan(v) else v for key, v in realism.items()},
        }
    text = json.dumps(record, indent=1) + "\n"
    (folder / f"{name}_checks.json").write_text(text, encoding="utf-8")


def _origins(law: Law, kept: Attempt, said: dict[str, Any]) -> dict[str, Any]:
    return {
        "synthesis": asdict(kept.spec),
        "checks": said,
        "checkpoint_sha256": law.digest,
        "generator_key": law.generator_key,
        "seed": law.seed,
    }
