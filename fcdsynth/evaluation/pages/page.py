"""The page of an evaluation: one file for a sceptical reader with ten minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.whole import write_whole
from fcdsynth.evaluation.comparison import Comparison
from fcdsynth.evaluation.failures.pictures import FailurePicture
from fcdsynth.evaluation.failures.records import Failures
from fcdsynth.evaluation.pages import headline, scores, sites
from fcdsynth.evaluation.pages.blocks import Cell, Section, definitions, table, text
from fcdsynth.evaluation.pages.compared import compared, sample
from fcdsynth.evaluation.pages.failing import failures_section
from fcdsynth.evaluation.pages.glossary import GLOSSARY
from fcdsynth.evaluation.pages.setup import warnings_first, what_was_evaluated
from fcdsynth.evaluation.pages.wording import names_of, plural
from fcdsynth.evaluation.report import NOTICE, Report
from fcdsynth.review.page import render

FILE = "report.html"
NO_PICTURES = (
    "No pictures: none were asked for, nothing failed, or the cohort holds no T1w to show."
)


def write_page(
    folder: Path,
    runs: Mapping[str, Report],
    comparisons: Sequence[tuple[str, str, Comparison]],
    failures: Failures,
    pictures: Sequence[FailurePicture] = (),
    no_pictures: str = NO_PICTURES,
) -> Path:
    """Write ``report.html``, which needs no other file and no network.

    What was evaluated and what limits it come first, then the headline, then detail.

    Args:
        folder: Where to write.
        runs: Reports by name of the run.
        comparisons: Names of two runs or arms and their comparison.
        failures: The failure review of these runs.
        pictures: Pictures of failures.
        no_pictures: Said where there are none.

    Raises:
        SettingsError: If there is no run.
    """
    if not runs:
        raise SettingsError("runs", "none", "at least one report", "Evaluate a run first.")
    sections = [
        what_was_evaluated(runs),
        warnings_first(runs),
        headline.headline(runs),
        headline.all_rules(runs),
        compared(comparisons),
        sample(next(iter(runs.values()))),
        sites.places(runs),
        sites.subgroups(runs),
        scores.probability(runs),
        scores.calibration(runs),
        scores.froc(runs),
        failures_section(failures, pictures, no_pictures),
        _cases(runs),
        Section("What the figures mean", [definitions(GLOSSARY)]),
        _rebuild(runs),
    ]
    first = next(iter(runs.values()))
    page = render(
        "fcdsynth.evaluation.pages",
        "evaluation.html.j2",
        title=f"Evaluation of {first.cohort}",
        lead=_lead(runs),
        notice=NOTICE,
        sections=[section for section in sections if section is not None],
    )
    return write_whole(folder / FILE, page)


def _lead(runs: Mapping[str, Report]) -> str:
    first = next(iter(runs.values()))
    patients = sum(s.is_patient for s in first.subjects)
    controls = len(first.subjects) - patients
    named = "" if len(runs) == 1 else f" {plural(len(runs), 'run')}: {names_of(list(runs))}."
    return f"{plural(patients, 'patient')} and {plural(controls, 'control')}.{named}"


def _cases(runs: Mapping[str, Report]) -> Section:
    """Empty sets that were met, what each metric then returns, and in which runs."""
    met: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for run, report in runs.items():
        for one in report.cases:
            key = (one.case.value, one.case.consequence, one.subjects)
            met.setdefault(key, []).append(run)
    rows = [
        [
            Cell(case, "" if len(where) == len(runs) else f"in {', '.join(where)}", head=True),
            Cell(consequence),
            Cell(plural(len(ids), "subject") if ids else "all", names_of(ids, 6)),
        ]
        for (case, consequence, ids), where in met.items()
    ]
    title = "Empty sets, and what they do to the figures"
    if not rows:
        return Section(title, [text("None was met.")])
    return Section(title, [table("", ("Case", "Consequence", "Subjects"), rows)])


def _rebuild(runs: Mapping[str, Report]) -> Section:
    where = "beside this page" if len(runs) == 1 else "in a folder for each run beside this page"
    first = next(iter(runs.values()))
    words = (
        f"report.json, {where}, holds a record of every subject, lesion and cluster. Every number "
        "here follows from these records without the images: read it with "
        "fcdsynth.evaluation.report.Report.read(FOLDER).derived(). Tables of subjects, lesions, "
        "clusters, figures and FROC points lie beside it as CSV; failures.csv lists every miss, "
        f"false positive and hot spot. Bootstrap {first.bootstrap} samples, chance level "
        f"{first.chance_draws} draws, seed {first.seed}."
    )
    return Section("How to rebuild these numbers", [text(words)])
