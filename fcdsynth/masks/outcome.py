"""What draw writes beside the masks: table rows, refusal counts and a summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Group, Origin, Parent, Role, Split, Subject
from fcdsynth.masks.spec import LesionSpec

_FROM_HOST = ("t1w", "flair", "brain", "tissue", "depth", "transforms")


def row_of(table: Cohort, folder: Path, record: dict[str, Any]) -> Subject:
    """The table row of a drawn subject.

    Args:
        table: The cohort of its host.
        folder: Folder of the drawn cohort.
        record: What `fcdsynth.masks.job.work` gave.
    """
    specs: tuple[LesionSpec, ...] = record["specs"]
    spec, name = specs[0], record["id"]
    host = table.moved(folder)[spec.host]
    donors = sorted({s.donor for s in specs if s.donor})
    lesional = spec.kind == "lesion"
    files = {key: host.files[key] for key in _FROM_HOST if host.has(key)}
    own = ["lesion"] * lesional + ["soft", "region"] + ["track"] * (record["track_vox"] > 0)
    files |= {key: f"{name}/{name}_{key}.nii.gz" for key in own}
    files["spec"] = f"{name}/{name}_spec.json"
    return Subject(
        name,
        Group.PATIENT if lesional else Group.CONTROL,
        Origin.SYNTHETIC,
        site=host.site,
        scanner=host.scanner,
        split=Split.TRAIN,
        parents=(Parent(host.id, Role.HOST), *(Parent(d, Role.MASK) for d in donors)),
        sex=host.sex,
        age_code=host.age_code,
        subtype=spec.subtype if lesional else "",
        side=spec.side if lesional else "",
        lobe=",".join(dict.fromkeys(s.lobe for s in specs if s.lobe)) if lesional else "",
        files=files,
    )


def write_outcome(
    folder: Path, drawn: Sequence[dict[str, Any]], notices: Sequence[str] = ()
) -> None:
    """Write refusals.json and summary.json.

    Args:
        folder: Folder of the drawn cohort.
        drawn: What `fcdsynth.masks.job.work` gave, a record a subject.
        notices: What a reader must know.
    """
    summary = _summary(drawn) | {"notices": list(notices)}
    for name, record in (("refusals.json", _refusals(drawn)), ("summary.json", summary)):
        (folder / name).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _refusals(drawn: Sequence[dict[str, Any]]) -> dict[str, Any]:
    refused: Counter[str] = Counter()
    for record in drawn:
        refused.update(record["refused"])
    total = sum(refused.values())
    return {"accepted": len(drawn), "refused": total, "by_test": dict(sorted(refused.items()))}


def _summary(drawn: Sequence[dict[str, Any]]) -> dict[str, Any]:
    specs: list[LesionSpec] = [spec for record in drawn for spec in record["specs"]]
    volumes = [s.volume_ml for s in specs]
    shares = (0.05, 0.25, 0.5, 0.75, 0.95)
    return {
        "kind": dict(sorted(Counter(s.kind for s in specs).items())),
        "volume_ml": {f"q{round(100 * q):02d}": round(float(np.quantile(volumes, q)), 3)
                      for q in shares},
        "side": dict(sorted(Counter(s.side for s in specs).items())),
        "lobe": dict(sorted(Counter(s.lobe or "unknown" for s in specs).items())),
        "method": dict(sorted(Counter(s.method for s in specs).items())),
        "lesions_per_subject": dict(sorted(Counter(len(r["specs"]) for r in drawn).items())),
        "subtype": dict(sorted(Counter(s.subtype for s in specs).items())),
        "tracks": sum(record["track_vox"] > 0 for record in drawn),
        "masks_per_host": dict(sorted(Counter(s.host for s in specs).items())),
    }  # fmt: skip
