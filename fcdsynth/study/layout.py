"""StudyFolder: where everything of a study lies; no other module joins its paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

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
    def plan(self) -> Path:
        """The locked plan."""
        return self.root / "plan.json"

    @property
    def test_cohort(self) -> Path:
        """Table of the prepared cohort with the plan's test subjects marked."""
        return self.root / "test"

    def arm(self, arm: Arm) -> Path:
        """Everything of one arm."""
        return self.root / "arms" / arm.name

    def fold(self, arm: Arm, fold: int) -> Path:
        """What one fold of an arm was trained from."""
        return self.arm(arm) / f"fold-{fold}"

    def detectors(self, arm: Arm) -> Path:
        """The ensemble of an arm: one run per fold."""
        return self.arm(arm) / "detector"

    def detections(self, arm: Arm) -> Path:
        """The arm's detections in the test subjects."""
        return self.arm(arm) / "detections"

    def evaluation(self, arm: Arm) -> Path:
        """The arm's evaluation on the test subjects."""
        return self.arm(arm) / "evaluation"

    def out_of_fold(self, arm: Arm) -> Path:
        """The arm's detections in its own training subjects, each by models without it."""
        return self.arm(arm) / "out-of-fold"

    def training_subjects(self, arm: Arm) -> Path:
        """Table of the arm's real training subjects."""
        return self.arm(arm) / "training-subjects"

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
