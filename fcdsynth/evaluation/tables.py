"""The tables beside a report: subjects, lesions, clusters, figures and FROC points as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from fcdsynth.evaluation.cases import LesionRecord, SubjectRecord
from fcdsynth.evaluation.froc import FrocPoint
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.metrics import Figure
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.site import STATISTICS, SiteProbability

Row = Mapping[str, Any]
_AXES = ("x_mm", "y_mm", "z_mm")
_MNI_AXES = ("mni_x_mm", "mni_y_mm", "mni_z_mm")
_WHOLE = ("id", "group", "origin", "site", "scanner", "subtype", "lobe", "mri_negative", "flair",
          "family", "seen_site", "reference", "mirror_by", "random_in")  # fmt: skip


def write_tables(report: Report, folder: Path) -> None:
    """Write ``subjects.csv``, ``lesions.csv``, ``clusters.csv``, ``figures.csv``, ``froc.csv``.

    Columns that depend on a rule end in its name. An empty cell means: no value.
    """
    subjects = report.subjects
    write_rows(folder / "subjects.csv", _subject_columns(), (_subject(s) for s in subjects))
    lesions = (_lesion(s.id, lesion) for s in subjects for lesion in s.lesions)
    write_rows(folder / "lesions.csv", _lesion_columns(), lesions)
    write_rows(folder / "clusters.csv", _cluster_columns(), _clusters(subjects))
    for name, kind, rows in (
        ("figures.csv", Figure, [asdict(figure) for figure in report.figures]),
        ("froc.csv", FrocPoint, [asdict(point) for point in report.froc]),
    ):
        write_rows(folder / name, [f.name for f in fields(kind)], rows)


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write rows as CSV; a column that a row lacks stays empty."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({key: _cell(value) for key, value in row.items()})


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else value


def _site_columns(name: str) -> list[str]:
    return [f"{name}_{key}" for key in STATISTICS]


def _site(name: str, site: SiteProbability | None) -> dict[str, float]:
    return {} if site is None else {f"{name}_{key}": v for key, v in asdict(site).items()}


def _subject_columns() -> list[str]:
    counts = ("found", "lesions_found", "false_positives", "extra_clusters", "chance")
    return [
        *_WHOLE, "score", "n_lesions", "n_clusters", "dice_whole_mask", *_site_columns("site"),
        *_site_columns("mirror"), *(f"{name}_{rule}" for rule in Rule for name in counts),
    ]  # fmt: skip


def _subject(s: SubjectRecord) -> Row:
    row: dict[str, Any] = {name: getattr(s, name) for name in _WHOLE}
    row |= {
        "score": s.score,
        "n_lesions": len(s.lesions),
        "n_clusters": len(s.clusters),
        "dice_whole_mask": s.dice,
    }
    row |= _site("site", s.whole_site) | _site("mirror", s.whole_mirror)
    for rule in Rule:
        row[f"false_positives_{rule}"] = s.n_role(rule, Role.FALSE)
        row[f"extra_clusters_{rule}"] = s.n_role(rule, Role.EXTRA)
        if s.is_patient:
            row[f"found_{rule}"] = s.n_found(rule) > 0
            row[f"lesions_found_{rule}"] = s.n_found(rule)
            row[f"chance_{rule}"] = None if s.chance is None else s.chance[rule]
    return row


def _lesion_columns() -> list[str]:
    fates = ("found", "cluster", "score", "dice", "assd_mm", "hd95_mm", "chance")
    return [
        "id", "lesion", "size_vox", "volume_ml", *_AXES, "lobe", "side", "inside_brain",
        *_site_columns("site"),
        *_site_columns("mirror"), *_site_columns("random"),
        *(f"{name}_{rule}" for rule in Rule for name in fates),
    ]  # fmt: skip


def _lesion(subject_id: str, lesion: LesionRecord) -> Row:
    row: dict[str, Any] = {
        "id": subject_id,
        "lesion": lesion.lesion,
        "size_vox": lesion.size_vox,
        "volume_ml": lesion.volume_ml,
        "lobe": lesion.lobe,
        "side": lesion.side,
        "inside_brain": lesion.inside_brain,
    }
    row |= dict(zip(_AXES, lesion.centre_mm, strict=True))
    row |= _site("site", lesion.site) | _site("mirror", lesion.mirror)
    row |= _site("random", lesion.random)
    for rule, fate in lesion.found.items():
        row[f"found_{rule}"] = fate.cluster is not None
        row |= {f"{name}_{rule}": value for name, value in asdict(fate).items()}
    return row


def _cluster_columns() -> list[str]:
    return ["id", "cluster", "score", "size_vox", "volume_ml", *_AXES, *_MNI_AXES, "lobe",
            "side", "gap_mm",
            *(f"role_{rule}" for rule in Rule)]  # fmt: skip


def _clusters(subjects: Sequence[SubjectRecord]) -> Iterable[Row]:
    for s in subjects:
        for c in s.clusters:
            yield {
                "id": s.id,
                "cluster": c.cluster,
                "score": c.score,
                "size_vox": c.size_vox,
                "volume_ml": c.volume_ml,
                "lobe": c.lobe,
                "side": c.side,
                "gap_mm": c.gap_mm,
                **dict(zip(_AXES, c.centre_mm, strict=True)),
                **dict(zip(_MNI_AXES, c.centre_mni_mm or (None, None, None), strict=True)),
                **{f"role_{rule}": role.value for rule, role in c.roles.items()},
            }
