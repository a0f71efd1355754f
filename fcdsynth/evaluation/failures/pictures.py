"""Pictures of failures: the missed lesion or the false positive, and what each arm marked there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.core.volume import Volume, read_mask, read_volume
from fcdsynth.evaluation.cases import ClusterRecord, LesionRecord, Point
from fcdsynth.evaluation.failures.records import (
    Change,
    Count,
    Failures,
    FalsePlace,
    Miss,
    arm_of,
)
from fcdsynth.evaluation.pages.wording import where
from fcdsynth.measure.mirror import Midplane
from fcdsynth.review.pictures import Embedded, png_bytes, three_planes

Marks = Callable[[str, str], Volume | None]
"""Cluster map of a run (by name) in a subject (by id); None where it has none."""

MISS, FALSE_POSITIVE = "missed lesion", "false positive"
_DPI = 62
_ARMS = 3  # a fourth outline beside the reference could not be told apart


@dataclass(frozen=True, slots=True)
class FailurePicture(Embedded):
    """One picture of the report.

    Args:
        kind: ``missed lesion`` or ``false positive``.
        subject: Id.
        caption: What it shows, in a sentence.
        png: The image.
    """

    kind: str
    subject: str
    caption: str
    png: bytes


def draw_failures(
    failures: Failures, cohort: Cohort, marks: Marks, limit: int = 24
) -> tuple[FailurePicture, ...]:
    """Draw the failures that most deserve a look.

    Half of the pictures are for missed lesions and half for false positives; what one kind does
    not need the other gets. Of each kind come first those that the second arm introduced or
    removed, then the most repeated. T1w and FLAIR are the prepared volumes, which share the
    native T1w's world, else the native T1w.

    Args:
        failures: The review.
        cohort: Cohort that was evaluated.
        marks: Gives the cluster maps of the runs, on any grid of the native T1w's world.
        limit: Most pictures drawn.

    Returns:
        The pictures; none where the cohort has no volume to show.
    """
    misses = sorted((m for m in failures.misses if _shown(m)), key=_urgency)
    places = sorted((p for p in failures.places if _shown(p)), key=_urgency)
    half = limit // 2
    n_misses = min(len(misses), max(half, limit - len(places)))
    chosen: list[Miss | FalsePlace] = [*misses[:n_misses], *places[: limit - n_misses]]
    pictures = (_picture(failure, cohort, marks, _arms(failures)) for failure in chosen)
    return tuple(picture for picture in pictures if picture is not None)


def _shown(failure: Miss | FalsePlace) -> bool:
    return failure.repeated or failure.change in (Change.INTRODUCED, Change.REMOVED)


def _urgency(failure: Miss | FalsePlace) -> int:
    # A stable sort: within each class the review's own order stays.
    return {Change.INTRODUCED: 0, Change.REMOVED: 1}.get(failure.change or Change.ABSENT, 2)


def _arms(failures: Failures) -> dict[str, list[str]]:
    """Runs of the arms that are outlined, the compared ones first."""
    arms: dict[str, list[str]] = {arm: [] for arm in failures.compare or ()}
    for run in failures.runs:
        arms.setdefault(arm_of(run), []).append(run)
    return dict(list(arms.items())[:_ARMS])


def _picture(
    failure: Miss | FalsePlace, cohort: Cohort, marks: Marks, arms: Mapping[str, Sequence[str]]
) -> FailurePicture | None:
    record = failure.subject
    row = cohort[record.id]
    key = next((key for key in ("t1w", "t1w_native") if row.has(key)), None)
    if key is None:
        return None
    t1w = read_volume(cohort.path(row, key))
    flair = read_volume(cohort.path(row, "flair")) if row.has("flair") else None
    outlines: dict[str, Volume] = {}
    if record.reference:
        outlines["reference"] = read_mask(cohort.path(row, record.reference))
    for arm, runs in arms.items():
        marked = _marked([marks(run, record.id) for run in runs])
        if marked is not None:
            outlines[arm or "clusters"] = marked
    to_mni = read_to_mni(cohort, row)
    midplane = None if to_mni is None else Midplane.from_mni(to_mni)
    if isinstance(failure, Miss):
        centre = _inside(outlines.get("reference"), failure.lesion.centre_mm)
        kind, title = MISS, f"{record.id}: missed lesion, {failure.lesion.volume_ml:.2f} ml"
    else:
        centre, cluster = failure.cluster.centre_mm, failure.cluster
        kind, title = FALSE_POSITIVE, f"{record.id}: false positive, score {cluster.score:.2f}"
    figure = three_planes(t1w, flair, outlines, centre, title, midplane)
    caption = caption_of(failure)
    return FailurePicture(kind, record.id, caption, png_bytes(figure, _DPI))


def caption_of(failure: Miss | FalsePlace) -> str:
    """What a failure is, where it lies and which runs it occurred in, in a sentence."""
    record = failure.subject
    place: LesionRecord | ClusterRecord
    if isinstance(failure, Miss):
        place = failure.lesion
        words = f"missed lesion of {place.volume_ml:.2f} ml"
        level = "" if failure.site_max is None else (
            f"; highest probability inside it {failure.site_max:.2f}"
        )  # fmt: skip
    else:
        place = failure.cluster
        words = f"false positive of {place.volume_ml:.2f} ml"
        level = f"; highest score {place.score:.2f}"
    lies = where(place.lobe, place.side)
    lies = f", {lies}" if lies else ""
    site = f", site {record.site}" if record.site else ""
    change = "" if failure.change is None else f"; {failure.change.value}"
    return (
        f"{record.id} ({record.group.value}{site}): {words}{lies}; "
        f"{runs_in_words(failure.arms)}{change}{level}."
    )


def runs_in_words(arms: Sequence[Count]) -> str:
    """In how many runs of each arm a failure occurred."""
    if sum(arm.n for arm in arms) == 1:
        return "in the one run"
    return "in " + ", ".join(f"{arm.count} of {arm.n} runs of {arm.arm}" for arm in arms)


def _marked(maps: Sequence[Volume | None]) -> Volume | None:
    """Voxels marked in at least half of the runs that have a map of the subject."""
    known = [labels for labels in maps if labels is not None]
    if not known:
        return None
    total = np.sum([labels.array > 0 for labels in known], axis=0)
    return Volume(np.asarray(2 * total >= len(known)), known[0].grid)


def _inside(reference: Volume | None, centre_mm: Point) -> Point:
    # The centre of mass of a bent lesion may lie outside it.
    if reference is None:
        return centre_mm
    points = reference.grid.to_mm(np.argwhere(reference.array))
    if not len(points):
        return centre_mm
    x, y, z = points[np.argmin(np.linalg.norm(points - np.asarray(centre_mm), axis=1))]
    return (float(x), float(y), float(z))


def by_kind(pictures: Sequence[FailurePicture]) -> Mapping[str, Sequence[FailurePicture]]:
    """The pictures in their two kinds, an absent kind left out."""
    kinds = {kind: [p for p in pictures if p.kind == kind] for kind in (MISS, FALSE_POSITIVE)}
    return {kind: mine for kind, mine in kinds.items() if mine}
