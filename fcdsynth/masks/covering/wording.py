"""A survey in words and plain tables, for the screen and for coverage.txt."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from fcdsynth.masks.covering.cells import SIDES, SIZE_BINS, Cell, site_name
from fcdsynth.masks.covering.rule import ALPHA, RARE, State, Verdict
from fcdsynth.masks.covering.survey import Row, Survey
from fcdsynth.measure.lobes import LOBES

_MARKS = {State.SHORT: "!", State.FEW: "*", State.ENOUGH: "", State.RARE: "-"}
SHOWN = 12
Table = tuple[list[str], list[tuple[str, list[Verdict]]]]


def lead(survey: Survey) -> str:
    """What was counted, in one sentence."""
    text = f"{survey.n} lesions of {survey.patients} training patients at {len(survey.sites)} "
    text += "site" if len(survey.sites) == 1 else "sites"
    return f"{text}, compared with {survey.law}."


def verdict(survey: Survey) -> str:
    """How many cells are thin, in one or two sentences."""
    asked = sum(r.verdict.state is not State.RARE for r in survey.rows)
    short = sum(r.verdict.state is State.SHORT for r in survey.rows)
    text = (
        f"{len(survey.thin)} of {asked} cells (lobe x side x size x site) hold fewer lesions than "
        f"wanted; {sum(r.verdict.missing for r in survey.rows)} more lesions would fill them. "
    )
    if survey.by_chance == 0:
        return f"{text}{survey.n} lesions are too few for any one cell to be short beyond chance."
    text += f"{short or 'None'} of them {'are' if short > 1 else 'is'} short beyond chance"
    rate = f"{survey.by_chance:.1f} would be in a cohort of this size that follows the law"
    return f"{text} ({rate})."


def rule(survey: Survey) -> str:
    """The rule in words."""
    least = "one lesion" if survey.at_least == 1 else f"{survey.at_least} lesions"
    return (
        f"Every cell should hold at least {least}. A cell is short beyond chance when a cohort "
        f"of {survey.n} lesions that follows the law would hold so few there at most "
        f"{100 * ALPHA:.0f} % of the time (binomial); it then wants the expected number. Kinds of "
        f"lesion that make up less than 1 in {1 / RARE:,.0f} at a site are not asked for. The law "
        "expects lesions at a site in proportion to all its training subjects, patients and "
        "controls."
    )


def notes(survey: Survey) -> list[str]:
    """What to bear in mind about the counts."""
    found = []
    unplaced = sorted({p.subject for p in survey.lesions if p.cell is None})
    if unplaced:
        found.append(f"Not counted, their lobe is unknown: lesions of {', '.join(unplaced)}.")
    if survey.maskless:
        found.append(f"Not counted, no lesion mask: {', '.join(survey.maskless)}.")
    barren = [
        site for site in survey.sites
        if any(r.cell.site == site and r.verdict.missing and not survey.drawable(r)
               for r in survey.rows)
    ]  # fmt: skip
    for site in barren:
        why = "it has no training control" if site else "only a named site can be asked for"
        found.append(f"Nothing can be drawn for {site_name(site)}: {why}.")
    several = len(survey.lesions) - len({p.subject for p in survey.lesions})
    if several:
        found.append(f"{several} lesions are further pieces of a patient's mask; chance is "
                     "computed as if all lesions were independent.")  # fmt: skip
    return found


def sentence(row: Row) -> str:
    """One thin cell as a sentence."""
    v = row.verdict
    count = ("No lesion" if not v.observed else "One lesion" if v.observed == 1
             else f"{v.observed} lesions")  # fmt: skip
    return f"{count} {row.cell.words} ({v.expected:.1f} expected)"


def lobe_by_size(survey: Survey) -> Table:
    """Counts by lobe (rows) and size (columns)."""
    columns = [b.label for b in SIZE_BINS]
    return _table(survey, lambda c: (c.lobe, c.size.label), LOBES, columns, LOBES)


def lobe_by_side(survey: Survey) -> Table:
    """Counts by lobe (rows) and side (columns)."""
    return _table(survey, lambda c: (c.lobe, c.side), LOBES, SIDES, LOBES)


def site_by_side(survey: Survey) -> Table:
    """Counts by site (rows) and side (columns)."""
    names = [site_name(s) for s in survey.sites]
    return _table(survey, lambda c: (c.site, c.side), survey.sites, SIDES, names)


def site_by_size(survey: Survey) -> Table:
    """Counts by site (rows) and size (columns)."""
    names = [site_name(s) for s in survey.sites]
    columns = [b.label for b in SIZE_BINS]
    return _table(survey, lambda c: (c.site, c.size.label), survey.sites, columns, names)


def _table(
    survey: Survey,
    key: Callable[[Cell], tuple[str, ...]],
    rows: Sequence[str],
    columns: Sequence[str],
    names: Sequence[str],
) -> Table:
    margin = survey.margin(key)
    return list(columns), [
        (name, [margin[row, column] for column in columns])
        for row, name in zip(rows, names, strict=True)
    ]


def plain_text(survey: Survey) -> str:
    """The survey as text of at most 100 columns."""
    parts = [
        *textwrap.wrap(lead(survey), 98), *textwrap.wrap(verdict(survey), 98), "",
        "Lesions found / expected; ! short beyond chance, * fewer than wanted", "",
    ]  # fmt: skip
    for title, table in (
        ("lobe x size", lobe_by_size(survey)), ("lobe x side", lobe_by_side(survey)),
        ("site x size", site_by_size(survey)), ("site x side", site_by_side(survey)),
    ):  # fmt: skip
        parts += [*_lines(title, table), ""]
    thin = survey.thin
    if thin:
        parts.append(f"The thinnest cells ({min(SHOWN, len(thin))} of {len(thin)}):")
        parts += [f"  {_MARKS[r.verdict.state]} {sentence(r)}" for r in thin[:SHOWN]]
        parts.append("")
    for text in (rule(survey), *notes(survey)):
        parts += textwrap.wrap(text, 98)
    return "\n".join(parts) + "\n"


def _lines(title: str, table: Table) -> list[str]:
    columns, rows = table
    cells = [[f"{v.observed} / {v.expected:.1f}{_MARKS[v.state] or ' '}" for v in vs]
             for _, vs in rows]  # fmt: skip
    first = max(len(title), *(len(name) for name, _ in rows))
    wide = [max(len(c), *(len(line[i]) for line in cells)) for i, c in enumerate(columns)]
    head = title.ljust(first) + "".join(f"  {c:>{w}}" for c, w in zip(columns, wide, strict=True))
    return [
        head.rstrip(),
        *(
            (name.ljust(first) + "".join(f"  {c:>{w}}" for c, w in zip(line, wide, strict=True)))
            for (name, _), line in zip(rows, cells, strict=True)
        ),
    ]
