"""Sites, scanners and subgroups: dots with intervals, and whether places differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fcdsynth.evaluation.pages.blocks import Block, Cell, Section, notice, plot, table, text
from fcdsynth.evaluation.pages.plot_dots import Line, dots_figure, height_of
from fcdsynth.evaluation.pages.wording import is_share, label, number, p_value
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.statistics.heterogeneity import Heterogeneity
from fcdsynth.measure.lobes import LOBE_WORDS

_PLACES = {
    "site=": "Site", "without site=": "All but one site", "seen_site=": "Site seen in training",
    "scanner=": "Scanner", "without scanner=": "All but one scanner",
}  # fmt: skip
_SUBGROUPS = {
    "size=": "Lesion size (thirds)", "lobe=": "Lobe", "side=": "Side", "subtype=": "Subtype",
    "mri_negative=": "MRI-negative", "flair=": "FLAIR",
}  # fmt: skip
_MOST_INCHES = 8.0  # what fits on a printed page


def places(runs: Mapping[str, Report]) -> Section:
    """Sites and scanners: forest plot, leaving one out, heterogeneity, the confound again."""
    first = next(iter(runs.values()))
    blocks: list[Block] = [notice(words) for words in first.warnings]
    caption = (
        "Each place with its 95 % interval (Wilson). At the right n; hollow grey marks stand on "
        "fewer than five subjects; a dotted line is the figure over everyone."
    )
    names = ("subject_sensitivity", "specificity")
    blocks += _charts(runs, [[Line("everyone", "all")], *_groups(first, _PLACES)], names, caption)
    blocks += _tests(runs)
    return Section("Sites and scanners", blocks)


def subgroups(runs: Mapping[str, Report]) -> Section | None:
    """Recall and site probability by lesion size, lobe, side, subtype, MRI-negative, FLAIR."""
    groups = _groups(next(iter(runs.values())), _SUBGROUPS)
    if not groups:
        return None
    caption = (
        "Lesions found and lesion-site probability by group, with 95 % intervals over subjects; "
        "marks as above. With many groups some differ by chance alone."
    )
    names = ("lesion_recall", "site_probability_max")
    charts = _charts(runs, [[Line("all lesions", "all")], *groups], names, caption)
    return Section("Subgroups", list(charts))


def _groups(report: Report, titles: Mapping[str, str]) -> list[list[Line]]:
    """A heading and its lines for every kind of scope that the report has."""
    groups = []
    for prefix, title in titles.items():
        scopes = dict.fromkeys(f.scope for f in report.figures if f.scope.startswith(prefix))
        # One place alone is everyone, and all but it is nobody.
        if len(scopes) > 1:
            names = {scope: scope.removeprefix(prefix) for scope in scopes}
            lines = [Line(LOBE_WORDS.get(name, name), scope) for scope, name in names.items()]
            groups.append([Line(title), *lines])
    return groups


def _charts(
    runs: Mapping[str, Report],
    groups: Sequence[Sequence[Line]],
    names: Sequence[str],
    caption: str,
) -> Iterator[Block]:
    """As many charts as it takes for each to fit on a page; a group is not torn apart."""
    axes = {name: label(name) for name in names}
    page: list[Line] = []
    for group in groups:
        if page and height_of(runs, [*page, *group]) > _MOST_INCHES:
            yield plot(caption, dots_figure(runs, page, axes))
            page, caption = [], "Continued."
        page += group
    yield plot(caption, dots_figure(runs, page, axes))


def _tests(runs: Mapping[str, Report]) -> list[Block]:
    """A line for each figure and kind of place, a column for each run."""
    tests: dict[tuple[str, str], dict[str, Heterogeneity]] = {}
    for run, report in runs.items():
        for one in report.heterogeneity:
            if one.rule in ("", report.rule.value):
                tests.setdefault((one.name, one.by), {})[run] = one
    if not tests:
        return []
    rows: list[Sequence[Cell]] = []
    for (name, by), mine in tests.items():
        first = next(iter(mine.values()))
        rows.append(
            [
                Cell(label(name), f"n = {first.n} {first.unit}", head=True),
                Cell(f"{first.n_groups} {by}s"),
                *(_test(mine[run], len(runs) == 1) if run in mine else Cell("") for run in runs),
            ]
        )
    done = [one for mine in tests.values() for one in mine.values() if one.p is not None]
    by_chance = (
        f" Of {len(done)} tests about {max(1, round(0.05 * len(done)))} would fall below 0.05 by "
        "chance." if len(done) > 1 else ""
    )  # fmt: skip
    methods = "; ".join(dict.fromkeys(one.method for one in done))
    caption = f"Do places differ by more than chance? p by {methods}.{by_chance}"
    few = "A high p with few subjects at a place is no sign that places are alike."
    return [table(caption if done else "Do places differ?", ("Figure", "Between", *runs), rows),
            text(few)]  # fmt: skip


def _test(one: Heterogeneity, full: bool) -> Cell:
    if one.p is None:
        return Cell("no test", one.reason)
    ends = [
        f"{number(value, is_share(one.name))} ({name}{f', n = {n}' if full else ''})"
        for value, name, n in (
            (one.lowest_value, one.lowest, one.lowest_n),
            (one.highest_value, one.highest, one.highest_n),
        )
    ]
    return Cell(f"p {p_value(one.p)}", " to ".join(ends))
