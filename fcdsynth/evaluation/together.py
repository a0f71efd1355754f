"""Several runs together: who is compared with whom, what fails again and again, and one report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.volume import Volume
from fcdsynth.evaluation.cases import Point
from fcdsynth.evaluation.compare import compare_arms
from fcdsynth.evaluation.comparison import Comparison
from fcdsynth.evaluation.failures.pictures import draw_failures
from fcdsynth.evaluation.failures.records import arm_of
from fcdsynth.evaluation.failures.review import review_failures
from fcdsynth.evaluation.failures.table import write_failures
from fcdsynth.evaluation.pages.page import write_page
from fcdsynth.evaluation.pages.plot import plot_froc
from fcdsynth.evaluation.reading import read_cluster_map
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.source import Source
from fcdsynth.evaluation.tables import write_tables

FILE = "comparison.json"


@dataclass(frozen=True)
class Together:
    """The runs of one evaluation.

    Args:
        names: Names of the runs, ``ARM`` or ``ARM/SEED``, in order.
        compare: Two runs or arms, without and with what is on trial; None compares every later
            arm with the first.

    Raises:
        SettingsError: If a compared name is no run and no arm.
    """

    names: tuple[str, ...]
    compare: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        known = {*self.names, *(arm_of(name) for name in self.names)}
        for name in self.compare or ():
            if name not in known:
                raise SettingsError("compare", repr(name), f"one of {', '.join(sorted(known))}",
                                    "Name two of the runs, or two arms.")  # fmt: skip
        for name in self.names:
            if name != arm_of(name) and arm_of(name) in self.names:
                raise SettingsError(
                    "detections", f"a run {arm_of(name)!r} beside {name!r}",
                    "names that are either a run or an arm", "Rename one: arm/seed-1, arm/seed-2.",
                )  # fmt: skip
        if self.compare is not None:
            first, second = (set(self.seeds(name)) for name in self.compare)
            if first & second:
                raise SettingsError("compare", " ".join(self.compare), "two different runs or arms",
                                    "Name what is without and what is with.")  # fmt: skip

    def check(self, subjects: Mapping[str, Sequence[str]]) -> None:
        """Raise unless all runs that are compared saw the same subjects.

        Args:
            subjects: Ids of the evaluated subjects by run.

        Raises:
            CohortError: Naming subjects that not all of them saw.
        """
        contrasts = self.contrasts()
        if contrasts is None:
            return
        first, others = contrasts
        runs = [set(subjects[run]) for arm in (first, *others) for run in self.seeds(arm)]
        apart = sorted({name for run in runs for name in run if any(name not in r for r in runs)})
        if apart:
            raise CohortError(
                ", ".join(apart[:5]), f"{len(apart)} subjects that not all compared runs have",
                "the same subjects in all", "Detect on one set of subjects, or compare fewer runs.",
            )  # fmt: skip

    def seeds(self, name: str) -> list[str]:
        """The runs of an arm, or the one run of that name."""
        return [name] if name in self.names else [n for n in self.names if arm_of(n) == name]

    def contrasts(self) -> tuple[str, tuple[str, ...]] | None:
        """Baseline, and what is compared with it; None for one arm."""
        if self.compare is not None:
            return self.compare[0], (self.compare[1],)
        arms = list(dict.fromkeys(arm_of(name) for name in self.names))
        return (arms[0], tuple(arms[1:])) if len(arms) > 1 else None

    def comparisons(self, reports: Mapping[str, Report]) -> list[tuple[str, str, Comparison]]:
        """Compare; seeds of an arm are averaged within each subject.

        Args:
            reports: Reports by name of the run.

        Raises:
            CohortError: If the runs saw other subjects or lesions.
        """
        contrasts = self.contrasts()
        if contrasts is None:
            return []
        first, others = contrasts
        one = reports[self.names[0]]
        done = compare_arms(
            [reports[name] for name in self.seeds(first)],
            {other: [reports[name] for name in self.seeds(other)] for other in others},
            one.bootstrap,
            one.seed,
        )
        return [(first, other, comparison) for other, comparison in done.items()]

    def write(
        self,
        folder: Path,
        reports: Mapping[str, Report],
        sources: Mapping[str, Source],
        cohort: Cohort,
        synthetic: Sequence[tuple[str, Point]] | None,
        pictures: int,
    ) -> None:
        """Write everything: one run straight into the folder, several into folders of their names.

        Args:
            folder: Where to write.
            reports: Reports by name of the run.
            sources: The runs, for the pictures.
            cohort: The cohort, likewise.
            synthetic: Id and MNI centre (mm) of each synthetic lesion, or None.
            pictures: Most pictures of failures.
        """
        for name, report in reports.items():
            place = folder if len(reports) == 1 else folder / name
            place.mkdir(parents=True, exist_ok=True)
            report.write(place)
            write_tables(report, place)
            plot_froc(report, place / "froc.png")
        comparisons = self.comparisons(reports)
        if comparisons:
            record = [{"a": a, "b": b, **c.to_json()} for a, b, c in comparisons]
            text = json.dumps(record, indent=1, allow_nan=False) + "\n"
            (folder / FILE).write_text(text, encoding="utf-8")
        pair = None
        if comparisons:
            a, b, _ = comparisons[0]
            pair = (arm_of(a), arm_of(b))
            pair = None if pair[0] == pair[1] else pair
        rule = reports[self.names[0]].rule
        failures = review_failures(reports, rule, pair, synthetic)
        write_failures(failures, folder)

        def marks(run: str, subject: str) -> Volume | None:
            found = sources[run].maps.get(subject)
            return None if found is None else read_cluster_map(subject, found)

        drawn = draw_failures(failures, cohort, marks, pictures) if pictures else ()
        write_page(folder, reports, comparisons, failures, drawn)
