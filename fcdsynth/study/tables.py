"""The numbers of a study: every arm's figures with their files, and the arms compared."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fcdsynth.evaluation.compare import compare_arms
from fcdsynth.evaluation.comparison import Comparison
from fcdsynth.evaluation.metrics import Figure
from fcdsynth.evaluation.report import Report
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.settings import Arm

# A gap smaller than this is too small a denominator for "share of the gap closed".
SMALLEST_GAP = 0.15
COLUMNS = ("arm", "figure", "scope", "rule", "value", "low", "high", "interval", "count", "n",
           "unit", "chance", "reason", "file")  # fmt: skip


@dataclass(frozen=True)
class Results:
    """What the report is made from.

    Args:
        arms: The arms, in order; the first is the baseline.
        reports: Evaluation of each arm.
        comparisons: Each later arm against the first.
        files: The figures file of each arm, relative to the study.
    """

    arms: tuple[Arm, ...]
    reports: Mapping[str, Report]
    comparisons: Mapping[str, Comparison]
    files: Mapping[str, str]

    @classmethod
    def read(cls, folder: StudyFolder, arms: Sequence[Arm]) -> Results:
        """Read the evaluations of all arms and compare each with the first.

        Raises:
            RunError: If an arm has no evaluation.
        """
        reports = {arm.name: Report.read(folder.evaluation(arm)) for arm in arms}
        baseline, *others = arms
        comparisons = compare_arms(
            reports[baseline.name], {arm.name: reports[arm.name] for arm in others}
        )
        files = {a.name: folder.relative(folder.evaluation(a) / "figures.csv") for a in arms}
        return cls(tuple(arms), reports, comparisons, files)

    def figures(self, arm: str) -> list[Figure]:
        """An arm's figures that follow the headline rule or none."""
        report = self.reports[arm]
        return [f for f in report.figures if f.rule in ("", report.rule.value)]

    def to_json(self) -> dict[str, Any]:
        """Figures of all subjects by arm and name, and every comparison."""
        arms = {
            arm.name: {f.name: asdict(f) for f in self.figures(arm.name) if f.scope == "all"}
            for arm in self.arms
        }
        return {
            "arms": arms,
            "comparisons": {
                f"{name} against {self.arms[0].name}": comparison.to_json()
                for name, comparison in self.comparisons.items()
            },
            "gap": self.gap(),
            "files": dict(self.files),
        }

    def gap(self) -> str:
        """How much of the gap between n and 2n real subjects the synthetic ones closed."""
        synthetic = [
            arm for arm in self.arms[1:] if arm.synthetic and arm.real == self.arms[0].real
        ]
        more = [arm for arm in self.arms[1:] if not arm.synthetic and arm.real > self.arms[0].real]
        if not synthetic or not more:
            return ""
        base, ceiling = self.arms[0].name, more[-1].name
        gap = self.comparisons[ceiling].figure("subject_sensitivity")
        if gap.difference is None:
            return ""
        if gap.difference < SMALLEST_GAP or gap.low is None or gap.low <= 0:
            low = "none" if gap.low is None else f"{100 * gap.low:.0f}"
            high = "none" if gap.high is None else f"{100 * gap.high:.0f}"
            return (
                f"The share of the gap that synthetic subjects closed is not stated: from {base} "
                f"to {ceiling} sensitivity rose by {100 * gap.difference:.0f} points "
                f"[{low}, {high}], and a share needs a gap of at least "
                f"{100 * SMALLEST_GAP:.0f} points whose interval lies above 0."
            )
        words = []
        for arm in synthetic:
            gain = self.comparisons[arm.name].figure("subject_sensitivity").difference or 0.0
            words.append(f"{arm.name} closed {100 * gain / gap.difference:.0f} % of it")
        return (
            f"From {base} to {ceiling} sensitivity rose by {100 * gap.difference:.0f} points; "
            + "; ".join(words) + "."
        )  # fmt: skip

    def write_csv(self, path: Path) -> None:
        """Write one row per arm, figure and scope, each with the file it came from."""
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            for arm in self.arms:
                for f in self.figures(arm.name):
                    cells = (f.value, f.low, f.high)
                    shown = ["" if x is None else f"{x:.6g}" for x in cells]
                    chance = "" if f.chance is None else f"{f.chance:.6g}"
                    count = "" if f.count is None else f.count
                    writer.writerow(
                        [arm.name, f.name, f.scope, f.rule, *shown, f.interval, count, f.n,
                         f.unit, chance, f.reason, self.files[arm.name]]
                    )  # fmt: skip
