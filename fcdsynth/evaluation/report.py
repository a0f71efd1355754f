"""Report: an evaluation as data, from records to every figure, and back from JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from fcdsynth.core.errors import RunError
from fcdsynth.evaluation.calibration import Calibration, calibrations
from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.confound import audit_confounds
from fcdsynth.evaluation.empty import Case, Occurrence, cases_met
from fcdsynth.evaluation.froc import FrocPoint, froc
from fcdsynth.evaluation.metrics import Figure
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.scopes import all_figures
from fcdsynth.evaluation.statistics.heterogeneity import Heterogeneity, heterogeneity
from fcdsynth.evaluation.statistics.resampling import weights_of
from fcdsynth.evaluation.statistics.smallest import SmallestEffect, smallest_effects

T = TypeVar("T")
FILE = "report.json"
NOTICE = "Research software, not a medical device."


@dataclass(frozen=True)
class Report:
    """What one evaluation found.

    Args:
        cohort: Name and version of the cohort.
        rule: The rule that headline figures follow.
        maps: ``probability``, ``binary`` or ``labels``.
        operating_point: How clusters were cut, as a plain dictionary.
        n_trained_on: Number of subjects that trained the models.
        not_evaluated: Ids in the cohort that were not looked at.
        plan: The locked plan (see `locked`), None where none was.
        relatives: Evaluated subjects with a relative, or the like, among those trained on.
        bootstrap: Bootstrap samples behind the intervals.
        chance_draws: Random draws behind the chance levels.
        seed: Seed of both.
        subjects: Records of the evaluated subjects.
        unknown: Maps in the folders that belong to no subject of the cohort.
        figures: Derived from the records.
        froc: Derived from the records, all rules.
        calibration: Derived from the records.
        heterogeneity: Derived from the records: do sites, do scanners differ?
        smallest: Derived from the records: what the sample could have shown.
        cases: Empty-set cases met.
        warnings: What a reader must know first.
    """

    cohort: str
    rule: Rule
    maps: str
    operating_point: Mapping[str, Any]
    n_trained_on: int
    not_evaluated: tuple[str, ...]
    plan: Mapping[str, Any] | None
    relatives: tuple[str, ...]
    bootstrap: int
    chance_draws: int
    seed: int
    subjects: tuple[SubjectRecord, ...]
    unknown: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    froc: tuple[FrocPoint, ...] = ()
    calibration: tuple[Calibration, ...] = ()
    heterogeneity: tuple[Heterogeneity, ...] = ()
    smallest: tuple[SmallestEffect, ...] = ()
    cases: tuple[Occurrence, ...] = ()
    warnings: tuple[str, ...] = ()

    def derived(self) -> Report:
        """The same report with everything that follows from the records computed anew."""
        weights = weights_of(self.subjects, self.bootstrap, self.seed)
        return replace(
            self,
            figures=all_figures(self.subjects, self.bootstrap, self.seed),
            froc=tuple(point for rule in Rule for point in froc(self.subjects, rule)),
            calibration=calibrations(self.subjects, weights),
            heterogeneity=tuple(
                one
                for by in ("site", "scanner")
                for rule in Rule
                for one in heterogeneity(self.subjects, by, rule, self.bootstrap, self.seed)
            ),
            smallest=smallest_effects(self.subjects),
            cases=cases_met(self.subjects),
            warnings=self._warnings(),
        )

    def _warnings(self) -> tuple[str, ...]:
        found = list(audit_confounds(self.subjects))
        if self.subjects and not self.n_trained_on:
            found.append(
                "Nothing says who trained the detector, so whether it has seen the evaluated "
                "subjects was not checked."
            )
        if self.relatives:
            found.append(
                f"{len(self.relatives)} evaluated subjects share a family with training subjects, "
                f"so they are not unseen in every sense: {', '.join(self.relatives[:10])}."
            )
        if self.unknown:
            found.append(
                f"{len(self.unknown)} maps belong to no subject of the cohort and were left "
                f"aside: {', '.join(self.unknown[:10])}."
            )
        return tuple(found)

    def figure(self, name: str, rule: Rule | str | None = None, scope: str = "all") -> Figure:
        """Look up one figure; the headline rule when none is given.

        Raises:
            KeyError: If there is no such figure.
        """
        wanted = self.rule if rule is None else Rule(rule)
        for figure in self.figures:
            if (figure.name, figure.scope) == (name, scope) and figure.rule in ("", wanted):
                return figure
        raise KeyError(f"{name}, {scope}, {wanted}")

    def to_json(self) -> dict[str, Any]:
        """As plain dictionaries, lists and numbers."""
        return {
            "notice": NOTICE,
            "cohort": self.cohort,
            "rule": self.rule.value,
            "rules": {rule.value: rule.words for rule in Rule},
            "maps": self.maps,
            "operating_point": dict(self.operating_point),
            "n_trained_on": self.n_trained_on,
            "not_evaluated": list(self.not_evaluated),
            "unknown": list(self.unknown),
            "plan": None if self.plan is None else dict(self.plan),
            "relatives": list(self.relatives),
            "bootstrap": self.bootstrap,
            "chance_draws": self.chance_draws,
            "seed": self.seed,
            "warnings": list(self.warnings),
            "cases": [
                {
                    "case": met.case.value,
                    "consequence": met.case.consequence,
                    "subjects": list(met.subjects),
                }
                for met in self.cases
            ],
            "figures": [asdict(figure) for figure in self.figures],
            "froc": [asdict(point) for point in self.froc],
            "calibration": [asdict(one) for one in self.calibration],
            "heterogeneity": [asdict(one) for one in self.heterogeneity],
            "smallest": [asdict(one) for one in self.smallest],
            "subjects": [subject.to_json() for subject in self.subjects],
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Report:
        """Read back what `to_json` gave."""
        return cls(
            record["cohort"],
            Rule(record["rule"]),
            record["maps"],
            record["operating_point"],
            record["n_trained_on"],
            tuple(record["not_evaluated"]),
            record["plan"],
            tuple(record["relatives"]),
            record["bootstrap"],
            record["chance_draws"],
            record["seed"],
            tuple(SubjectRecord.from_json(entry) for entry in record["subjects"]),
            tuple(record["unknown"]),
            tuple(Figure(**entry) for entry in record["figures"]),
            tuple(FrocPoint(**entry) for entry in record["froc"]),
            tuple(_with_tuples(Calibration, entry) for entry in record["calibration"]),
            tuple(_with_tuples(Heterogeneity, entry) for entry in record["heterogeneity"]),
            tuple(_with_tuples(SmallestEffect, entry) for entry in record["smallest"]),
            tuple(_occurrence(entry) for entry in record["cases"]),
            tuple(record["warnings"]),
        )

    def write(self, folder: Path) -> Path:
        """Write ``report.json`` into a folder."""
        path = folder / FILE
        text = json.dumps(self.to_json(), indent=1, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")
        return path

    @classmethod
    def read(cls, folder: Path | str) -> Report:
        """Read the report of a folder written by evaluate.

        Raises:
            RunError: If there is none, or it cannot be read.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            raise RunError(str(folder), f"no {FILE}", "the output folder of fcdsynth evaluate",
                           "Run fcdsynth evaluate first and give its output folder.")  # fmt: skip
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                str(path), f"{type(error).__name__}: {error}", "a report of this version",
                "Run fcdsynth evaluate again.",
            ) from error  # fmt: skip


def _with_tuples(kind: Callable[..., T], entry: Mapping[str, Any]) -> T:
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()})


def _occurrence(entry: Mapping[str, Any]) -> Occurrence:
    subjects: Sequence[str] = entry["subjects"]
    return Occurrence(Case(entry["case"]), tuple(subjects))
