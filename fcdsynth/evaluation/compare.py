"""Two arms on the same subjects: what was gained, what was lost, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fcdsynth.core.errors import CohortError
from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.comparison import Comparison, PairedFigure
from fcdsynth.evaluation.empty import Case, unranked
from fcdsynth.evaluation.equal_rate import at_equal_rates
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule, rule_named
from fcdsynth.evaluation.statistics.delong import area_difference
from fcdsynth.evaluation.statistics.intervals import LEVEL, NO_INTERVAL, bootstrap_ratio
from fcdsynth.evaluation.statistics.outcomes import Outcome, outcomes_of, site_outcomes
from fcdsynth.evaluation.statistics.paired import (
    family_means,
    holm,
    mcnemar_exact,
    sign_flips,
    wilcoxon_signed,
)
from fcdsynth.evaluation.statistics.resampling import weights_of
from fcdsynth.evaluation.statistics.smallest import paired_means, paired_shares


def compare_reports(
    a: Path | str, b: Path | str, rule: str | None = None, bootstrap: int = 2000, seed: int = 0
) -> Comparison:
    """Compare two output folders of evaluate, subject by subject.

    Args:
        a: Folder of the first arm.
        b: Folder of the second arm.
        rule: Rule of the headline figures; that of ``a`` when None.
        bootstrap: Bootstrap samples for intervals of differences.
        seed: Seed of the bootstrap.

    Raises:
        RunError: If a folder holds no report.
        CohortError: As `compare`.
        SettingsError: If there is no such rule.
    """
    return compare(Report.read(a), Report.read(b), rule, bootstrap, seed)


def compare(
    a: Report | Sequence[Report],
    b: Report | Sequence[Report],
    rule: str | None = None,
    bootstrap: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two arms on the same subjects and reference masks.

    Found or missed and clean or not are tested with the exact McNemar test, false positives and
    lesion-site probabilities with the Wilcoxon signed-rank test and by permutation, the area
    under the ROC curve with the paired test of DeLong, lesion recall at equal false positives by
    swapping arms. Subjects of one family are drawn, and turn their signs, together. Subjects
    without a lesion-site probability are left out of it.

    Of an arm trained with several seeds, each subject's mean over the seeds is compared: found in
    two of three is 2/3, so that Wilcoxon's test takes McNemar's place. Intervals and p values then
    speak of these seeds on other subjects, not of other seeds.

    Args:
        a: First arm, a report or those of its seeds.
        b: Second arm, likewise.
        rule: Rule of the headline figures; that of ``a`` when None.
        bootstrap: Bootstrap samples.
        seed: Seed of the bootstrap.

    Raises:
        CohortError: If the two hold other subjects, groups or lesions.
        SettingsError: If there is no such rule.
    """
    first, second = ([x] if isinstance(x, Report) else list(x) for x in (a, b))
    if not first or not second:
        raise CohortError("compare", "an arm without a report", "at least one seed of each arm",
                          "Give the reports of both arms.")  # fmt: skip
    headline = first[0].rule if rule is None else rule_named(rule)
    pairs = _paired([r.subjects for r in first], [r.subjects for r in second])
    patients = [pair for pair in pairs if pair[0][0].is_patient]
    controls = [pair for pair in pairs if not pair[0][0].is_patient]
    draw = _Draw(bootstrap, seed)
    figures = [
        _figure(outcome, patients if outcome.patients else controls, draw)
        for outcome in (*(o for each in Rule for o in outcomes_of(each)), *site_outcomes())
    ]
    figures.append(_area(patients, controls))
    everyone = [*patients, *controls]
    weights = draw.counts([runs[0] for runs, _ in everyone]) if everyone else np.zeros((0, 0))
    figures += [one for each in Rule for one in at_equal_rates(everyone, each, weights, seed)]
    return Comparison(headline.value, len(patients), len(controls), tuple(figures))


def compare_arms(
    baseline: Report | Sequence[Report],
    arms: Mapping[str, Report] | Mapping[str, Sequence[Report]],
    bootstrap: int = 2000,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Compare several arms with one baseline; p values are adjusted by Holm over the arms.

    The adjustment is over the arms, separately for each figure and test.

    Args:
        baseline: The arm that all others are compared with, a report or those of its seeds.
        arms: The other arms by name, likewise.
        bootstrap: Bootstrap samples.
        seed: Seed of the bootstrap.

    Raises:
        CohortError: As `compare`.
    """
    done = {name: compare(baseline, arm, None, bootstrap, seed) for name, arm in arms.items()}
    adjusted = {name: list(comparison.figures) for name, comparison in done.items()}
    for index in range(min((len(figures) for figures in adjusted.values()), default=0)):
        column = {name: figures[index] for name, figures in adjusted.items()}
        tested = holm({name: f.p for name, f in column.items() if f.p is not None})
        flipped = {name: f.p_permutation for name, f in column.items()}
        flips = holm({name: p for name, p in flipped.items() if p is not None})
        for name, figure in column.items():
            adjusted[name][index] = replace(
                figure, p_holm=tested.get(name), p_permutation_holm=flips.get(name)
            )
    return {name: replace(c, figures=tuple(adjusted[name])) for name, c in done.items()}


# One subject in every seed of the first arm, and of the second.
Runs = tuple[SubjectRecord, ...]
Pair = tuple[Runs, Runs]


def _paired(
    a: Sequence[Sequence[SubjectRecord]], b: Sequence[Sequence[SubjectRecord]]
) -> list[Pair]:
    tables = [{s.id: s for s in subjects} for subjects in (*a, *b)]
    unpaired = sorted({name for table in tables for name in table.keys() ^ tables[0].keys()})
    if unpaired:
        raise CohortError(
            ", ".join(unpaired[:5]), "subjects that not all of the reports hold",
            "the same subjects in all", "Detect and evaluate all arms on one cohort.",
        )  # fmt: skip
    pairs: list[Pair] = []
    for name, one in tables[0].items():
        runs = tuple(table[name] for table in tables)
        for other in runs[1:]:
            one.require_same_reference(other)
        pairs.append((runs[: len(a)], runs[len(a) :]))
    return pairs


class _Draw:
    """Bootstrap weights of sets of subjects, drawn once for each set."""

    def __init__(self, draws: int, seed: int) -> None:
        self.seed = seed
        self._draws = draws
        self._drawn: dict[tuple[str, ...], NDArray[np.float64]] = {}

    def counts(self, subjects: Sequence[SubjectRecord]) -> NDArray[np.float64]:
        key = tuple(s.id for s in subjects)
        if key not in self._drawn:
            self._drawn[key] = weights_of(subjects, self._draws, self.seed)
        return self._drawn[key]


def _figure(outcome: Outcome, pairs: Sequence[Pair], draw: _Draw) -> PairedFigure:
    values = _means(pairs, outcome.value)
    one_seed = all(len(runs) == 1 for pair in pairs for runs in pair)
    known: NDArray[np.bool_] = ~np.isnan(values.sum(axis=1))
    if not known.any():
        empty = Case.NO_PROBABILITIES
        if not pairs:
            empty = Case.NO_PATIENTS if outcome.patients else Case.NO_CONTROLS
        return PairedFigure.none(outcome.name, outcome.rule_name, outcome.unit, empty.value)
    subjects = [runs[0] for (runs, _), kept in zip(pairs, known, strict=True) if kept]
    a, b = values[known].T
    change = b - a
    better = change if outcome.better_high else -change
    gained = tuple(s.id for s, gain in zip(subjects, better, strict=True) if gain > 0)
    lost = tuple(s.id for s, gain in zip(subjects, better, strict=True) if gain < 0)
    families = [s.family for s in subjects]
    n, mean = len(subjects), float(change.mean())
    interval = NO_INTERVAL
    if gained or lost:
        interval = bootstrap_ratio(change, np.ones_like(change), draw.counts(subjects))
    flips = None
    if not (outcome.binary and one_seed) or any(families):
        flips = sign_flips(change, families, seed=draw.seed)
    if outcome.binary and one_seed:
        p, test = mcnemar_exact(len(gained), len(lost)), "exact McNemar"
        if flips is not None and any(families):
            p, test = flips, "permutation by family"
        discordant = (len(gained) + len(lost)) / n
        smallest = paired_shares(outcome, n, discordant, "the discordant pairs here", mean)
    else:
        means = family_means(change, families)
        p, test = wilcoxon_signed(means), "Wilcoxon signed-rank"
        test += " on family means" if any(families) else ""
        sd = float(change.std(ddof=1)) if n > 1 else 0.0
        smallest = paired_means(outcome, n, sd, "SD of the differences here", mean)
    return PairedFigure(
        outcome.name, outcome.rule_name, float(a.mean()), float(b.mean()), mean, interval.low,
        interval.high, n, outcome.unit, len(gained), len(lost), p, test, gained, lost,
        interval=interval.method, p_permutation=flips, smallest=smallest,
    )  # fmt: skip


def _area(patients: Sequence[Pair], controls: Sequence[Pair]) -> PairedFigure:
    pairs = [*patients, *controls]
    missing = unranked([one for pair in pairs for runs in pair for one in runs])
    if missing is not None:
        return PairedFigure.none("auroc", "", "subjects", missing.value)
    first, second = _means(pairs, lambda s: s.score).T
    m = len(patients)
    families = [runs[0].family for runs, _ in pairs]
    a, b, error, p = area_difference(
        (first[:m], first[m:]), (second[:m], second[m:]), families
    )  # fmt: skip
    low, high, interval = None, None, "none"
    if error:
        half = stats.norm.ppf((1 + LEVEL) / 2) * error
        low, high = max(-1.0, float(b - a - half)), min(1.0, float(b - a + half))
        interval = "paired DeLong by family" if any(families) else "paired DeLong"
    test = "none" if p is None else "paired DeLong"
    if p is not None and any(len(runs) > 1 for runs in pairs[0]):
        test += " of scores averaged over seeds"
    return PairedFigure(
        "auroc", "", a, b, b - a, low, high, len(pairs), "subjects", 0, 0, p, test, (), (),
        interval=interval,
    )  # fmt: skip


def _means(pairs: Sequence[Pair], value: Callable[[SubjectRecord], float]) -> NDArray[np.float64]:
    """Mean over seeds of a number of each subject in both arms, shape (pairs, 2)."""
    rows = [[np.mean([value(one) for one in runs]) for runs in pair] for pair in pairs]
    return np.array(rows, dtype=float).reshape(-1, 2)
