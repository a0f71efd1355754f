"""The files that flag leaves: queue.csv, second_reader.csv, gate.csv and flag.json."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from fcdsynth.core.detection import Detections
from fcdsynth.relabel.causes import CHANNELS, Cause, Severity
from fcdsynth.relabel.channels import ChannelSettings, Region
from fcdsynth.relabel.facts import MaskFacts
from fcdsynth.relabel.further import FURTHER, Further
from fcdsynth.relabel.fusion import FEWEST, Suspicion
from fcdsynth.relabel.gate import Finding
from fcdsynth.relabel.learned import Judged
from fcdsynth.relabel.sentences import evidence

QUEUE = "queue.csv"
GATE = "gate.csv"
SECOND_READER = "second_reader.csv"
SUMMARY = "flag.json"
CHANNEL_COLUMNS: Mapping[Cause, str] = {
    Cause.MIRRORED: "e_mirrored",
    Cause.OVERLOOKED: "e_overlooked",
    Cause.UNSUPPORTED: "e_unsupported",
    Cause.TOO_SMALL: "e_too_small",
    Cause.TOO_LARGE: "e_too_large",
}
COLUMNS = (
    "rank", "subject", "component", "cause", "severity", "score", "p_err",
    *CHANNEL_COLUMNS.values(), *FURTHER, "volume_ml", "x_mm", "y_mm", "z_mm", "side", "evidence",
    "rests", "picture", "minutes",
)  # fmt: skip


Point = tuple[float, float, float]


def place(entry: Suspicion, facts: MaskFacts) -> tuple[int, float, Point | None, str]:
    """Component, volume, centre and side shown in the queue: the worst region's, or the mask's."""
    if entry.region is not None:
        r = entry.region
        return (r.number, r.volume_ml, r.centre_mm, r.side)
    if facts.components:
        first = facts.components[0]
        side = facts.midplane.side(first.centre_mm) if facts.midplane else ""
        return (1, first.volume_ml, first.centre_mm, side)
    return (0, 0.0, None, "")


def write_queue(
    path: Path,
    queue: Sequence[Suspicion],
    facts_of: Mapping[str, MaskFacts],
    pictures: Sequence[str],
    n_scored: int,
    further: Further,
    rests: Mapping[str, str],
) -> None:
    """Write the queue, most suspicious first; the column minutes is for the reviewer.

    Args:
        path: The file.
        queue: Entries in order.
        facts_of: Facts of each entry's mask by subject id.
        pictures: Relative path of each entry's picture, empty where none was drawn.
        n_scored: Number of masks that the percentiles compare.
        further: Values of the further channels.
        rests: Why a mask is not to be asked about in this round, by subject.
    """
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for rank, (entry, picture) in enumerate(zip(queue, pictures, strict=True), start=1):
            number, volume_ml, centre, side = place(entry, facts_of[entry.subject])
            gate = [f for f in entry.findings if f.severity is not Severity.NOTE]
            writer.writerow(
                [rank, entry.subject, number, entry.cause.value if entry.cause else ""]
                + [gate[0].severity.value if gate else "", _number(entry.score, 4)]
                + [_number(entry.verdict.p_err, 4) if entry.verdict else ""]
                + [_number(entry.percentiles[channel], 4) for channel in CHANNEL_COLUMNS]
                + [
                    _number(further.values.get(name, {}).get(entry.subject, math.nan), 4)
                    for name in FURTHER
                ]
                + [_number(volume_ml, 4)]
                + [_number(x, 2) for x in centre or (math.nan,) * 3]
                + [side, evidence(entry, n_scored), rests.get(entry.subject, ""), picture, ""]
            )


def write_second_reader(path: Path, further: Further) -> None:
    """Write the masks that are doubtful or rare, most doubtful first: no errors by that alone."""
    doubtful = sorted(further.ambiguity, key=lambda s: -_known(further.ambiguity[s]))
    alone = sorted(further.rare - set(doubtful))
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["subject", "ambiguity", "rare"])
        for subject in (*doubtful, *alone):
            value = further.ambiguity.get(subject, math.nan)
            writer.writerow([subject, _number(value, 4), "yes" if subject in further.rare else ""])


def _known(value: float) -> float:
    return value if math.isfinite(value) else -1.0


def write_gate(path: Path, findings: Sequence[Finding]) -> None:
    """Write every finding of the gate, notes too."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["subject", "cause", "severity", "evidence"])
        for f in findings:
            writer.writerow([f.subject, f.cause.value, f.severity.value, f.evidence])


def write_summary(
    path: Path,
    queue: Sequence[Suspicion],
    findings: Sequence[Finding],
    masks: Sequence[MaskFacts],
    maps: Detections,
    support: Mapping[str, Sequence[Region]],
    settings: ChannelSettings,
    rule: str,
    judged: Judged | None = None,
) -> None:
    """Write the counts, the limits of the figures in words, and what was compared."""
    patients = [facts.subject.id for facts in masks if facts.subject.is_patient]
    notes = ["Research software, not a medical device. A high rank asks for a second look; it is "
             "no proof that a mask is wrong."]  # fmt: skip
    if rule == "deviation":
        notes.append(
            "The score counts robust deviations from the cohort's median on the worst channel; a "
            "mask below 2 hardly stands out, and its cause is only its weakest point."
        )
    if judged is not None:
        rate = judged.certainty.base_rate
        notes.append(
            "p_err is the probability that a mask is wrong, if errors look like the planted ones "
            f"and {rate:.0%} of all masks are wrong ({judged.certainty.base_from}). Reviews of "
            "masks drawn at random are what replaces that assumption."
        )
    if len(support) < FEWEST:
        notes.append(
            f"Only {len(support)} masks have a map: percentiles of fewer than {FEWEST} masks say "
            "little, and unusual volumes are not looked for. Read the evidence, not the score."
        )
    unscored = [subject for subject in patients if subject not in support]
    if unscored:
        notes.append(f"No usable map for {', '.join(unscored)}: only the gate looked at them.")
    by_cause = {cause.value: sum(f.cause is cause for f in findings) for cause in Cause}
    record = {
        "n_patients": len(patients),
        "n_controls": len(masks) - len(patients),
        "n_scored": len(support),
        "n_gate_first": sum(entry.gated for entry in queue),
        "small_cohort": len(support) < FEWEST,
        "rule": rule,
        "threshold": settings.threshold,
        "gate": {cause: n for cause, n in by_cause.items() if n},
        "channels": [channel.value for channel in CHANNELS],
        "trained_on": len(maps.trained_on),
        "certainty": judged.certainty.plain() if judged else None,
        "n_planted": len(judged.planted) if judged else 0,
        "notes": notes,
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else ""
