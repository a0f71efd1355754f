"""What fails again and again, where, and what synthetic training introduced or removed."""

from __future__ import annotations

from collections.abc import Sequence

from fcdsynth.evaluation.failures.pictures import FailurePicture, by_kind
from fcdsynth.evaluation.failures.places import PLACE_MM
from fcdsynth.evaluation.failures.records import Change, Count, Failures, FalsePlace, Miss
from fcdsynth.evaluation.pages.blocks import Block, Cell, Section, picture, table, text
from fcdsynth.evaluation.pages.wording import names_of, p_value, plural, where

_MOST = 15


def failures_section(
    found: Failures, pictures: Sequence[FailurePicture], no_pictures: str
) -> Section:
    """Repeated misses and false positives, what was introduced or removed, hot spots, pictures."""
    n = len(found.runs)
    how = "in the run" if n == 1 else (
        f"in at least half of {n} runs (and in two or more); the rest stand in failures.csv"
    )  # fmt: skip
    blocks: list[Block] = [
        text(f"Rule: {found.rule.words}. Listed is what fails {how}. False positives of a subject "
             f"whose centres lie within {PLACE_MM:g} mm are one place.")
    ]  # fmt: skip
    if found.compare is not None:
        blocks += _changes(found, found.compare)
    # What one arm introduced or removed already stands above.
    told = (Change.INTRODUCED, Change.REMOVED)
    misses = [m for m in found.misses if m.repeated and m.change not in told]
    places = [p for p in found.places if p.repeated and p.change not in told]
    again = "Repeated all the same: " if found.compare else ""
    blocks.append(_miss_table(f"{again}missed lesions".capitalize(), misses, len(found.misses)))
    blocks.append(_place_table(f"{again}false positives".capitalize(), places, len(found.places)))
    if found.hot_spots:
        blocks.append(_spot_table(found))
    if pictures:
        for kind, mine in by_kind(pictures).items():
            blocks.append(text(f"Pictures: {kind}s ({len(mine)})."))
            blocks += [picture(p.caption, p.source) for p in mine]
    else:
        blocks.append(text(no_pictures))
    return Section("What fails, and where", blocks)


def _changes(found: Failures, compare: tuple[str, str]) -> list[Block]:
    a, b = compare
    rows = [
        [
            Cell(tally.kind, head=True),
            Cell(str(tally.introduced)),
            Cell(str(tally.removed)),
            Cell(str(tally.kept)),
            Cell(str(tally.unclear)),
            Cell(f"{len(tally.worse_subjects)} / {len(tally.better_subjects)}"),
            Cell(p_value(tally.p)),
        ]
        for tally in found.tallies
    ]
    heads = ("Failures", f"Introduced by {b}", f"Removed by {b}", "In both", "Seeds disagree",
             "Subjects worse / better", "Sign test p")  # fmt: skip
    caption = (
        f"{b} against {a}. Introduced: in at least half of the runs of {b} and in none of {a}; "
        "removed: the reverse."
    )
    blocks: list[Block] = [table(caption, heads, rows)]
    for change, words in ((Change.INTRODUCED, "introduced"), (Change.REMOVED, "removed")):
        misses = [m for m in found.misses if m.change is change]
        places = [p for p in found.places if p.change is change]
        if misses:
            blocks.append(_miss_table(f"Missed lesions {words} by {b}", misses, len(misses)))
        if places:
            blocks.append(_place_table(f"False positives {words} by {b}", places, len(places)))
    if found.tracing is not None:
        blocks += _tracing(found)
    return blocks


def _tracing(found: Failures) -> list[Block]:
    tracing = found.tracing
    if tracing is None:
        return []
    rows = [
        [
            Cell({"introduced": "introduced false positives", "removed": "removed false positives",
                  "found": "clusters that found a lesion"}[near.group], head=True),
            Cell(str(near.n), f"{near.n_without_mni} without MNI" if near.n_without_mni else ""),
            Cell(_mm(near.median_mm)),
            Cell("" if near.quartile_1_mm is None
                 else f"{_mm(near.quartile_1_mm)} to {_mm(near.quartile_3_mm)}"),
            Cell(_mm(near.mirrored_median_mm)),
        ]
        for near in tracing.groups
    ]  # fmt: skip
    heads = ("Places", "n", "Median distance", "Quartiles", "Median, mirrored")
    end = (
        "Introduced and removed cannot be compared: one of them is empty." if tracing.p is None
        else f"Introduced against removed: rank-sum p {p_value(tracing.p)}."
    )  # fmt: skip
    caption = (
        f"Distance in MNI space to the nearest of {tracing.n_synthetic} synthetic training "
        "lesions. Synthetic lesions lie where real ones do, so only a difference between "
        f"introduced and removed would point at synthesis. {end}"
    )
    return [table(caption, heads, rows)]


def _mm(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f} mm"


def _runs(arms: Sequence[Count], change: Change | None) -> Cell:
    words = ", ".join(f"{arm.arm} {arm.count}/{arm.n}".strip() for arm in arms)
    return Cell(words, "" if change in (None, Change.ABSENT) else change.value)


def _miss_table(title: str, misses: Sequence[Miss], n: int) -> Block:
    heads = ("Subject", "Lesion", "Where", "Subtype", "MRI-negative", "FLAIR",
             "Highest probability inside", "Missed in runs")  # fmt: skip
    rows = [
        [
            Cell(m.subject.id, m.subject.site, head=True),
            Cell(f"{m.lesion.volume_ml:.2f} ml", f"lesion {m.lesion.lesion} of "
                 f"{len(m.subject.lesions)}", number=True),
            Cell(where(m.lesion.lobe, m.lesion.side) or "not known"),
            Cell(m.subject.subtype or "not said"),
            Cell(m.subject.mri_negative or "not said"),
            Cell(m.subject.flair),
            Cell("none" if m.site_max is None else f"{m.site_max:.2f}"),
            _runs(m.arms, m.change),
        ]
        for m in misses[:_MOST]
    ]  # fmt: skip
    caption = _caption(title, len(rows), len(misses), n)
    return table(caption, heads, rows) if rows else text(caption)


def _place_table(title: str, places: Sequence[FalsePlace], n: int) -> Block:
    heads = ("Subject", "Where", "Centre (RAS+ mm)", "MNI (mm)", "Volume", "Highest score",
             "In runs")  # fmt: skip
    rows = [
        [
            Cell(p.subject.id, ", ".join(
                word for word in (p.subject.group.value, p.subject.site) if word), head=True),
            Cell(where(p.cluster.lobe, p.cluster.side) or "not known"),
            Cell(_point(p.cluster.centre_mm), number=True),
            Cell("none" if p.cluster.centre_mni_mm is None else _point(p.cluster.centre_mni_mm),
                 number=True),
            Cell(f"{p.cluster.volume_ml:.2f} ml", number=True),
            Cell(f"{p.cluster.score:.2f}"),
            _runs(p.arms, p.change),
        ]
        for p in places[:_MOST]
    ]  # fmt: skip
    caption = _caption(title, len(rows), len(places), n)
    return table(caption, heads, rows) if rows else text(caption)


def _spot_table(found: Failures) -> Block:
    rows = [
        [
            Cell(where(s.lobe, s.side) or "not known", head=True),
            Cell(_point(s.centre_mni_mm), number=True),
            Cell(str(len(s.patients)), names_of(s.patients, 6)),
            Cell(str(len(s.controls)), names_of(s.controls, 6)),
            Cell(str(s.n_clusters)),
        ]
        for s in found.hot_spots[:_MOST]
    ]
    left = found.n_without_mni
    caption = (
        f"{_caption('Hot spots', len(rows), len(found.hot_spots), len(found.hot_spots))} Balls of "
        f"{PLACE_MM:g} mm in MNI space with false positives of several subjects. A count, not a "
        "test: some share a place by chance."
    ) + (f" {plural(left, 'place')} without MNI coordinates left out." if left else "")
    return table(caption, ("Where", "MNI (mm)", "Patients", "Controls", "Places, by run"), rows)


def _caption(title: str, shown: int, listed: int, n: int) -> str:
    if not listed:
        return f"{title}: none{f' repeated, {n} in all' if n else ''}."
    parts = [f"{title}: {listed}"]
    if n > listed:
        parts.append(f"of {n} in all")
    if shown < listed:
        parts.append(f"(the first {shown} shown)")
    return " ".join(parts) + "."


def _point(mm: tuple[float, float, float]) -> str:
    return ", ".join(f"{x:.0f}" for x in mm)
