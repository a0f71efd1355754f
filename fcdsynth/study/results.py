"""Results: the evaluations of every arm and draw, and what a study concludes from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import stats

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.compare import compare_arms
from fcdsynth.evaluation.comparison import Comparison
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import rule_named
from fcdsynth.study.endpoint import Endpoint, Estimate
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.learning import Worth, worth
from fcdsynth.study.plan import Plan
from fcdsynth.study.settings import Arm

Value = Callable[[SubjectRecord], float | None]


@dataclass(frozen=True)
class Change:
    """A figure of the same subjects in two arms.

    Args:
        name: What it is.
        a: Mean in the first arm.
        b: Mean in the second.
        difference: ``b - a`` with its interval.
        p: Two-sided p of the Wilcoxon signed-rank test of the subjects' means over draws; None
            where all are alike.
    """

    name: str
    a: float
    b: float
    difference: Estimate
    p: float | None


@dataclass(frozen=True)
class Results:
    """What the report is made from.

    Args:
        plan: The plan.
        reports: Evaluations of each arm at its own operating point, one a draw; one for all
            sites where sites were left out in turn.
        curves: The same of its candidates, cut low.
        files: Where the figures of each arm lie, relative to the study, one a draw.
    """

    plan: Plan
    reports: Mapping[str, Sequence[Report]]
    curves: Mapping[str, Sequence[Report]]
    files: Mapping[str, Sequence[str]]

    @classmethod
    def read(cls, folder: StudyFolder, plan: Plan) -> Results:
        """Read the evaluations of all arms.

        Raises:
            RunError: If an arm has no evaluation.
        """
        reports, curves, files = {}, {}, {}
        for arm in plan.arms:
            own = [Report.read(folder.evaluation(draw, arm)) for draw in plan.draws]
            low = [Report.read(folder.curve(draw, arm)) for draw in plan.draws]
            reports[arm.name] = [_together(own)] if plan.sites_left_out else own
            curves[arm.name] = [_together(low)] if plan.sites_left_out else low
            files[arm.name] = [
                folder.relative(folder.evaluation(draw, arm) / "figures.csv") for draw in plan.draws
            ]
        return cls(plan, reports, curves, files)

    @property
    def base(self) -> Arm:
        """The baseline."""
        return self.plan.arms[0]

    @cached_property
    def comparisons(self) -> dict[str, Comparison]:
        """Each later arm against the first, at their own operating points."""
        others = {arm.name: self.reports[arm.name] for arm in self.plan.arms[1:]}
        return compare_arms(self.reports[self.base.name], others)

    @cached_property
    def endpoint(self) -> Endpoint:
        """The primary endpoint."""
        records = {arm: [list(r.subjects) for r in runs] for arm, runs in self.curves.items()}
        return Endpoint(
            records, rule_named(self.plan.rule), self.plan.rate, self.plan.within_families,
            seed=self.plan.seed,
        )  # fmt: skip

    @property
    def ceiling(self) -> Arm | None:
        """The arm of most real patients beyond the baseline's, None where there is none."""
        more = [arm for arm in self.plan.arms[1:] if arm.plain and arm.real > self.base.real]
        return max(more, key=lambda arm: arm.real) if more else None

    @property
    def synthetic(self) -> list[Arm]:
        """Arms of the baseline's real patients with synthetic ones."""
        return [arm for arm in self.plan.arms[1:] if arm.synthetic and arm.real == self.base.real]

    def worths(self) -> list[Worth]:
        """How many real patients each arm with synthetic ones is worth."""
        read = (worth(self.endpoint, self.plan.arms, self.plan.n, a.name) for a in self.synthetic)
        return [found for found in read if found is not None]

    def harms(self, arm: str) -> list[Change]:
        """False positives per subject and specificity of an arm against the baseline's."""
        rule = rule_named(self.plan.rule)

        def wrong(s: SubjectRecord) -> float:
            return float(s.n_role(rule, Role.FALSE))

        def clean(s: SubjectRecord) -> float | None:
            return None if s.is_patient else float(not s.clusters)

        return [self.change("false_positives_per_subject", arm, wrong),
                self.change("specificity", arm, clean)]  # fmt: skip

    def places(self, arm: str) -> list[Change]:
        """Probability at lesions, at their mirrored sites and at random ones, against baseline."""

        def lesion(s: SubjectRecord) -> float | None:
            return None if s.whole_site is None else s.whole_site.max

        def mirrored(s: SubjectRecord) -> float | None:
            return None if s.whole_mirror is None else s.whole_mirror.max

        def random(s: SubjectRecord) -> float | None:
            known = [x.random.max for x in s.lesions if x.random is not None]
            return float(np.mean(known)) if known else None

        named = (("lesion", lesion), ("mirrored", mirrored), ("random", random))
        found = []
        for name, value in named:
            if any(value(s) is not None for s in self.reports[arm][0].subjects):
                found.append(self.change(f"{name}_site_probability", arm, value))
        return found

    def change(self, name: str, arm: str, value: Value) -> Change:
        """A figure of every subject, in an arm against the baseline, means over draws.

        Args:
            name: What it is.
            arm: The arm.
            value: The figure of a subject, None for subjects that it does not belong to.
        """
        means = [self._means(which, value) for which in (self.base.name, arm)]
        ids = [s.id for s in self.endpoint.subjects]
        kept = [k for k, i in enumerate(ids) if i in means[0] and i in means[1]]
        a, b = (np.array([mean[ids[k]] for k in kept]) for mean in means)
        weights = self.endpoint.weights[:, kept]
        total = np.maximum(weights.sum(axis=1), 1e-12)
        drawn = (weights @ (b - a)) / total
        p = float(stats.wilcoxon(b - a).pvalue) if (a != b).any() else None
        change = Estimate.of(float((b - a).mean()), drawn, len(kept))
        return Change(name, float(a.mean()), float(b.mean()), change, p)

    def _means(self, arm: str, value: Value) -> dict[str, float]:
        found: dict[str, list[float]] = {}
        for report in self.reports[arm]:
            for s in report.subjects:
                known = value(s)
                if known is not None:
                    found.setdefault(s.id, []).append(known)
        return {name: float(np.mean(values)) for name, values in found.items()}

    def found_at_rate(self, arm: str) -> dict[str, float]:
        """Share of draws in which each patient is found at the endpoint's rate."""
        found: dict[str, list[bool]] = {}
        for run, curve in zip(self.curves[arm], self.endpoint.curves[arm], strict=True):
            kept = curve.found_at(self.plan.rate)
            for s, hit in zip(sorted(run.subjects, key=lambda s: s.id), kept, strict=True):
                if s.is_patient:
                    found.setdefault(s.id, []).append(bool(hit))
        return {name: float(np.mean(values)) for name, values in found.items()}


def _together(reports: Sequence[Report]) -> Report:
    """One report of all sites, each tested by the detector that has not seen it."""
    subjects = tuple(s for report in reports for s in report.subjects)
    return replace(reports[0], subjects=subjects).derived()
