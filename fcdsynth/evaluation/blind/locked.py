"""The locked plan of an analysis: what will be reported, written down before the test set is seen.

The hash tells whether the file was edited. That the plan came first can only be shown by keeping
the hash elsewhere: in a registration, a commit or an e-mail.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, RunError, SettingsError
from fcdsynth.core.provenance import plain
from fcdsynth.core.subject import Split, Subject
from fcdsynth.evaluation.blind.planned import PlannedRun, check_endpoint, sha256_of
from fcdsynth.evaluation.rules import Rule, rule_named

ALPHA = 0.05
_HEAD = (
    "# Locked before the test set was opened. Any edit is noticed by the hash; for another plan\n"
    "# give another file name and keep this one. Keep the hash where others can see its date.\n"
)


@dataclass(frozen=True, slots=True)
class AnalysisPlan:
    """What will be computed on which test subjects. Not `study.plan.Plan`: who trains and tests.

    Args:
        rule: Rule of the headline figures.
        rules: All rules that are reported.
        endpoint: The primary endpoint, one of `planned.ENDPOINTS`.
        compared: The two runs that the endpoint compares, empty for a single estimate.
        alpha: Two-sided level of its test.
        runs: The runs, by name.
        bootstrap: Bootstrap samples.
        chance_draws: Random draws behind the chance levels.
        seed: Seed of both.
        cohort: Name of the cohort.
        cohort_version: Its version.
        test_sha256: Hash over the sorted ids and groups of the test subjects.
        n_test_patients: Number of test patients.
        n_test_controls: Number of test controls.
        locked_on: When the plan was made, local time with offset.
    """

    rule: str
    rules: tuple[str, ...]
    endpoint: str
    compared: tuple[str, ...]
    alpha: float
    runs: tuple[PlannedRun, ...]
    bootstrap: int
    chance_draws: int
    seed: int
    cohort: str
    cohort_version: int
    test_sha256: str
    n_test_patients: int
    n_test_controls: int
    locked_on: str

    @classmethod
    def of(
        cls,
        cohort: Cohort,
        runs: Iterable[PlannedRun],
        rule: str = Rule.OVERLAP.value,
        endpoint: str = "subject_sensitivity",
        compared: Sequence[str] = (),
        bootstrap: int = 2000,
        chance_draws: int = 20,
        seed: int = 0,
    ) -> AnalysisPlan:
        """Plan from the settings of a call.

        Raises:
            SettingsError: If there is no such rule, endpoint or run.
            CohortError: If no subject is of the split test.
        """
        ordered = tuple(sorted(runs, key=lambda run: run.name))
        check_endpoint(endpoint, compared, ordered)
        test = hidden_subjects(cohort)
        return cls(
            rule_named(rule).value,
            tuple(r.value for r in Rule),
            endpoint,
            tuple(compared),
            ALPHA,
            ordered,
            bootstrap,
            chance_draws,
            seed,
            cohort.name,
            cohort.version,
            sha256_of(sorted([s.id, s.group.value] for s in test)),
            sum(s.is_patient for s in test),
            sum(not s.is_patient for s in test),
            time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        )

    @property
    def sha256(self) -> str:
        """Hash of the plan's content, whatever the layout of its file."""
        return sha256_of(plain(asdict(self)))

    def to_json(self) -> dict[str, Any]:
        """As plain dictionaries, lists and numbers, the hash included."""
        return {**plain(asdict(self)), "sha256": self.sha256}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> AnalysisPlan:
        """Read back what `to_json` gave; the hash is not looked at."""
        content = {f.name: record[f.name] for f in fields(cls)}
        content |= {key: tuple(record[key]) for key in ("rules", "compared")}
        return cls(**content | {"runs": tuple(PlannedRun(**run) for run in record["runs"])})

    def lock(self, path: Path | str) -> None:
        """Write the plan into a new file.

        Raises:
            RunError: If the file is there, or was and the test set has been opened under it.
        """
        path = Path(path)
        if opened_file(path).exists():
            raise RunError(
                str(path), "no plan, but a test set that was opened under this name",
                "a plan that is older than the first look",
                "Restore the plan; for another one give another file name.",
            )  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as stream:
                stream.write(_HEAD + yaml.safe_dump(self.to_json(), sort_keys=False))
        except FileExistsError as error:
            raise RunError(str(path), "a plan that is already locked", "a new file",
                           "Give another file name; the old plan stays.") from error  # fmt: skip

    def require(self, now: AnalysisPlan) -> None:
        """Raise unless a call does what this plan says; dates may differ.

        Raises:
            SettingsError: Naming the first setting that differs, as it is now and as planned.
            CohortError: If the test subjects are others.
        """
        for key, value, planned in _differences(now, self):
            remedy = "Repeat the planned settings, or lock another plan in a new file."
            if key.startswith(("test_", "n_test_")):
                raise CohortError(
                    f"test subjects of {now.cohort}",
                    f"{now.n_test_patients} patients and {now.n_test_controls} controls, hash "
                    f"{now.test_sha256[:12]}",
                    f"the {self.n_test_patients} and {self.n_test_controls} of the plan, hash "
                    f"{self.test_sha256[:12]}",
                    "Restore the split and group columns of the cohort table.",
                )  # fmt: skip
            raise SettingsError(key, f"{value!r} now", f"{planned!r} as planned", remedy)


def hidden_subjects(cohort: Cohort) -> tuple[Subject, ...]:
    """The subjects that stay hidden until the plan is locked: those of the split test.

    Raises:
        CohortError: If there are none.
    """
    test = tuple(s for s in cohort.subjects if s.split is Split.TEST)
    if not test:
        raise CohortError(
            cohort.name or str(cohort.folder), "no subject of the split test", "a test set to hide",
            "Fill the split column of the cohort table, or leave --blind out.",
        )  # fmt: skip
    return test


def read_plan(path: Path | str) -> AnalysisPlan:
    """Read a locked plan.

    Raises:
        RunError: If there is none, it cannot be read, or it was edited after it was locked.
    """
    path = Path(path)
    again = "Restore the file as it was locked; for another plan give another file name."
    if not path.is_file():
        raise RunError(str(path), "no such file", "a locked plan",
                       "Lock one first: run evaluate with --blind true.")  # fmt: skip
    try:
        record = yaml.safe_load(path.read_text(encoding="utf-8"))
        known = {f.name for f in fields(AnalysisPlan)} | {"sha256"}
        plan, whole = AnalysisPlan.from_json(record), set(record) == known
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(str(path), f"{type(error).__name__}: {error}", "a locked plan",
                       again) from error  # fmt: skip
    if not whole or record["sha256"] != plan.sha256:
        raise RunError(str(path), f"content of hash {plan.sha256[:12]}, edited after locking",
                       f"hash {str(record.get('sha256'))[:12]}", again)  # fmt: skip
    return plan


def opened_file(path: Path | str) -> Path:
    """The list of openings that lies beside a plan."""
    return Path(f"{path}.opened.jsonl")


def _differences(now: AnalysisPlan, planned: AnalysisPlan) -> Iterable[tuple[str, Any, Any]]:
    for field in fields(AnalysisPlan):
        a, b = getattr(now, field.name), getattr(planned, field.name)
        if field.name == "locked_on" or a == b:
            continue
        if field.name == "runs" and [r.name for r in a] == [r.name for r in b]:
            for one, other in zip(a, b, strict=True):
                for part in fields(PlannedRun):
                    x, y = getattr(one, part.name), getattr(other, part.name)
                    if x != y:
                        yield f"{part.name} of run {one.name}", x, y
        elif field.name == "runs":
            yield "runs", [r.name for r in a], [r.name for r in b]
        else:
            yield field.name, a, b
