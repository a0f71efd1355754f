"""What became of the drawn subjects: refusals, their reasons, and when they are too many."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fcdsynth.core.errors import RunError
from fcdsynth.core.provenance import plain
from fcdsynth.synthesis.honesty import BEYOND, CHANGED, Judge

FILE = "refusals.json"
_REMEDIES = {
    CHANGED: "The generator hardly acts on the lesion label: train it longer",
    BEYOND: "The lesion label changes tissue far from the mask: train the generator longer",
}


def write_refusals(folder: Path, judge: Judge, records: Sequence[dict[str, Any]]) -> list[str]:
    """Write ``refusals.json``.

    Args:
        folder: The run's folder.
        judge: The tests.
        records: What `fcdsynth.synthesis.job.work` gave, a record a subject.

    Returns:
        What a reader must know, as sentences.
    """
    notices = _notices(judge, records)
    refused = [(record, faults) for record in records for faults in record["refused"]]
    counts = Counter(fault["test"] for _, faults in refused for fault in faults)
    kept = Counter(fault["test"] for record in records if record["made"]
                   for fault in record["checks"]["faults"])  # fmt: skip
    lost = [record["id"] for record in records if not record["made"]]
    summary = {
        "subjects": len(records),
        "made": len(records) - len(lost),
        "left_out": lost,
        "draws_refused": len(refused),
        "by_test": dict(sorted(counts.items())),
        "kept_in_spite_of": dict(sorted(kept.items())),
        "limits": {
            "checks": plain(judge.checks),
            "lesions": dict(zip(judge.names, map(plain, judge.lesions), strict=True)),
            "healthy": dict(zip(judge.names, map(plain, judge.healthy), strict=True)),
            "agreement": None if judge.agreement is None else round(judge.agreement.limit, 3),
        },
        "by_subject": {
            record["id"]: {"tries": record["tries"], "made": record["made"],
                           "refused": record["refused"]}
            for record in records if record["refused"]
        },
        "notices": notices,
    }  # fmt: skip
    (folder / FILE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return notices


def _notices(judge: Judge, records: Sequence[dict[str, Any]]) -> list[str]:
    notices = []
    if not judge.checks.refuse:
        notices.append("No pair was refused and no mask trimmed: checks.refuse is false.")
    if any(record["group"] == "patient" for record in records):
        for name, known in zip(judge.names, judge.lesions, strict=True):
            if known is None:
                notices.append(
                    f"Too few training lesions to know the range of the {name} contrast."
                )
        if len(judge.names) > 1 and judge.agreement is None:
            notices.append("Too few training lesions to know how their contrasts agree.")
    for record in records:
        if not record["made"]:
            tests = Counter(fault["test"] for faults in record["refused"] for fault in faults)
            named = ", ".join(f"{test} {n}" for test, n in tests.most_common())
            notices.append(f"{record['id']} was left out after {record['tries']} draws: {named}.")
    return notices


def refuse_too_many(folder: Path, records: Sequence[dict[str, Any]]) -> None:
    """Stop when more than half of the patients, or of the controls, were left out.

    Each group for itself: a generator that ignores the lesion label loses every patient and no
    control.

    Raises:
        RunError: Naming the group, the commonest tests and what to do.
    """
    for group in ("patient", "control"):
        members = [record for record in records if record["group"] == group]
        lost = [record for record in members if not record["made"]]
        if 2 * len(lost) <= len(members):
            continue
        tests = Counter(fault["test"] for r in lost for faults in r["refused"] for fault in faults)
        example = lost[0]["refused"][-1][0]
        named = ", ".join(f"{test} {n}" for test, n in tests.most_common())
        advice = _REMEDIES.get(tests.most_common(1)[0][0], "Train the generator longer")
        raise RunError(
            f"{group}s of the run",
            f"{len(lost)} of {len(members)} refused at every draw ({named}; in "
            f"{lost[0]['id']}: {example['found']}, {example['expected']} asked for)",
            "at most half refused",
            f"{advice}, or see {folder / FILE} and change the limits (--checks).",
        )
