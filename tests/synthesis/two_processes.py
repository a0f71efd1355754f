"""Run fcdsynth as two processes of one fit; each writes its weights and what it saw.

Started by test_synthesis_ddp.py, and once more by Lightning for the second process.
"""

import os
import sys
from pathlib import Path

import torch

from fcdsynth.cli import main
from fcdsynth.synthesis.task import SynthesisTask

seen, start = [], {}
step = SynthesisTask.training_step


def watched(task, batch):
    seen.append({"subject": batch["subject"], "sum": batch["target"].double().sum((1, 2, 3, 4))})
    return step(task, batch)


def begin(task):
    start.update({key: value.clone() for key, value in task.state_dict().items()})


def note(task):
    record = {"start": start, "state": task.state_dict(), "seen": seen}
    torch.save(record, Path(os.environ["NOTES"]) / f"rank-{task.global_rank}.pt")


if __name__ == "__main__":
    SynthesisTask.training_step = watched
    SynthesisTask.on_train_start = begin
    SynthesisTask.on_train_end = note
    torch.set_num_threads(1)
    sys.exit(main(sys.argv[1:]))
