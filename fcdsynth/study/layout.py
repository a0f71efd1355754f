"""StudyFolder: where everything of a study lies; no other module joins its paths."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fcdsynth.study.plan import Draw
from fcdsynth.study.settings import Arm


@dataclass(frozen=True)
class StudyFolder:
    """The output folder of a study.

    Args:
        root: The folder.
    """

    root: Path

    @property
    def cohort(self) -> Path:
        """The indexed cohort."""
        return self.root / "cohort"

    @property
    def prepared(self) -> Path:
        """The prepared cohort."""
        return self.root / "prepared"

    @property
    def plans(self) -> Path:
        """The locked plans, and the list of looks at the test subjects."""
        return self.root / "plans"

    @property
    def openings(self) -> Path:
        """One line for each look at test subjects."""
        return self.plans / "openings.jsonl"

    def draw(self, draw: Draw) -> Path:
        """Everything of one choice of training subjects."""
        return self.root / "draws" / draw.name

    def test_cohort(self, draw: Draw) -> Path:
        """Table of the prepared cohort with a draw's test subjects marked."""
        return self.draw(draw) / "test"

    def generator(self, draw: Draw, arm: Arm, fold: int) -> Path:
        """A generator, shared by the arms of a draw that have the same real subjects."""
        what = f"{arm.real:g} {arm.labels} {arm.synthesis}"
        short = hashlib.sha256(what.encode()).hexdigest()[:6]
        name = f"generator-{arm.real:g}n"
        shared = arm.labels is None and arm.synthesis is None
        return self.draw(draw) / (name if shared else f"{name}-{short}") / f"fold-{fold}"

    def arm(self, draw: Draw, arm: Arm) -> Path:
        """Everything of one arm."""
        return self.draw(draw) / arm.name

    def fold(self, draw: Draw, arm: Arm, fold: int) -> Path:
        """What one fold of an arm was trained from."""
        return self.arm(draw, arm) / f"fold-{fold}"

    def detectors(self, draw: Draw, arm: Arm) -> Path:
        """The ensemble of an arm: one run per fold."""
        return self.arm(draw, arm) / "detector"

    def detections(self, draw: Draw, arm: Arm) -> Path:
        """The arm's detections in the test subjects, at its own operating point."""
        return self.arm(draw, arm) / "detections"

    def candidates(self, draw: Draw, arm: Arm) -> Path:
        """The same with clusters cut low, so that the FROC curve reaches far."""
        return self.arm(draw, arm) / "candidates"

    def evaluation(self, draw: Draw, arm: Arm) -> Path:
        """The arm's evaluation on the test subjects, at its own operating point."""
        return self.arm(draw, arm) / "evaluation"

    def curve(self, draw: Draw, arm: Arm) -> Path:
        """The evaluation of its candidates."""
        return self.arm(draw, arm) / "curve"

    def likeness(self, draw: Draw, arm: Arm) -> Path:
        """Which training lesions the arm's clusters in test subjects look like."""
        return self.arm(draw, arm) / "likeness"

    def kept(self, draw: Draw, arm: Arm) -> Path:
        """Mark of an arm whose results come from elsewhere, and what is known of them."""
        return self.arm(draw, arm) / "kept.json"

    def out_of_fold(self, draw: Draw, arm: Arm) -> Path:
        """The arm's detections in its own training subjects, each by models without it."""
        return self.arm(draw, arm) / "out-of-fold"

    def training_subjects(self, draw: Draw, arm: Arm) -> Path:
        """Table of the arm's real training subjects."""
        return self.arm(draw, arm) / "training-subjects"

    def log(self, job: str) -> Path:
        """What a job printed when several ran side by side."""
        return self.root / "logs" / f"{job}.log"

    @property
    def flags(self) -> Path:
        """Suspicious masks among the training subjects."""
        return self.root / "flags"

    @property
    def timings(self) -> Path:
        """Seconds per step of the chain, JSON."""
        return self.root / "timings.json"

    @property
    def report(self) -> Path:
        """The report for people."""
        return self.root / "report.html"

    def relative(self, path: Path) -> str:
        """A path inside the study as the report shows it."""
        return path.relative_to(self.root).as_posix()
