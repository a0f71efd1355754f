"""The failure review as one table: ``failures.csv``, a row for each miss, place and hot spot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.failures.records import Change, Count, Failures, arm_of
from fcdsynth.evaluation.tables import write_rows

FILE = "failures.csv"
_COLUMNS = (
    "kind", "id", "group", "site", "scanner", "subtype", "mri_negative", "flair", "lesion",
    "lobe", "side", "volume_ml", "x_mm", "y_mm", "z_mm", "mni_x_mm", "mni_y_mm", "mni_z_mm",
    "highest_site_probability", "highest_score", "runs", "runs_of", "repeated", "change",
    "synthetic_mm", "synthetic_id", "patients", "controls",
)  # fmt: skip


def write_failures(failures: Failures, folder: Path) -> Path:
    """Write ``failures.csv``; ``runs`` counts the runs with the failure, ``runs_of`` all runs.

    After the common columns stand ``ARM_runs`` and ``ARM_of`` for each arm. An empty cell means:
    no value, or a column of another kind of row.

    Args:
        failures: The review.
        folder: Where to write.
    """
    arms = list(dict.fromkeys(arm_of(run) for run in failures.runs))
    columns = [*_COLUMNS, *(f"{arm}_{what}" for arm in arms for what in ("runs", "of"))]
    path = folder / FILE
    write_rows(path, columns, (*_misses(failures), *_places(failures), *_spots(failures)))
    return path


def _subject(subject: SubjectRecord) -> dict[str, Any]:
    names = ("id", "site", "scanner", "subtype", "mri_negative", "flair")
    return {name: getattr(subject, name) for name in names} | {"group": subject.group.value}


def _point(prefix: str, point: tuple[float, float, float] | None) -> dict[str, float]:
    return {} if point is None else dict(
        zip((f"{prefix}x_mm", f"{prefix}y_mm", f"{prefix}z_mm"), point, strict=True)
    )  # fmt: skip


def _runs(arms: tuple[Count, ...], repeated: bool, change: Change | None) -> dict[str, Any]:
    row: dict[str, Any] = {
        "runs": sum(arm.count for arm in arms),
        "runs_of": sum(arm.n for arm in arms),
        "repeated": repeated,
        "change": None if change is None else change.value,
    }
    for arm in arms:
        row |= {f"{arm.arm}_runs": arm.count, f"{arm.arm}_of": arm.n}
    return row


def _misses(failures: Failures) -> Iterator[dict[str, Any]]:
    for miss in failures.misses:
        lesion = miss.lesion
        yield {
            "kind": "missed lesion",
            **_subject(miss.subject),
            "lesion": lesion.lesion,
            "lobe": lesion.lobe,
            "side": lesion.side,
            "volume_ml": lesion.volume_ml,
            "highest_site_probability": miss.site_max,
            **_point("", lesion.centre_mm),
            **_runs(miss.arms, miss.repeated, miss.change),
        }


def _places(failures: Failures) -> Iterator[dict[str, Any]]:
    traced: dict[str, Iterator[tuple[float, str]]] = {}
    if failures.tracing is not None:
        for near in failures.tracing.groups:
            traced[near.group] = zip(near.distances_mm, near.nearest, strict=True)
    for place in failures.places:
        cluster = place.cluster
        row = {
            "kind": "false positive",
            **_subject(place.subject),
            "lobe": cluster.lobe,
            "side": cluster.side,
            "volume_ml": cluster.volume_ml,
            "highest_score": cluster.score,
            **_point("", cluster.centre_mm),
            **_point("mni_", cluster.centre_mni_mm),
            **_runs(place.arms, place.repeated, place.change),
        }
        # Distances were kept in the order of the places that have MNI coordinates.
        if place.change is not None and cluster.centre_mni_mm is not None:
            found = next(traced.get(place.change.value, iter(())), None)
            if found is not None:
                row["synthetic_mm"], row["synthetic_id"] = found
        yield row


def _spots(failures: Failures) -> Iterator[dict[str, Any]]:
    for spot in failures.hot_spots:
        yield {
            "kind": "hot spot",
            "lobe": spot.lobe,
            "side": spot.side,
            "runs": spot.n_clusters,
            "patients": " ".join(spot.patients),
            "controls": " ".join(spot.controls),
            **_point("mni_", spot.centre_mni_mm),
        }
