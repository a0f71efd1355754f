"""Further channels, each an option: deep features, look-alikes, and how a mask was learnt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fcdsynth.core.errors import SettingsError
from fcdsynth.core.volume import Volume
from fcdsynth.relabel.deep import DeepRegions, features_path, judge_regions
from fcdsynth.relabel.dynamics import read_dynamics
from fcdsynth.relabel.fusion import Verdict
from fcdsynth.relabel.neighbours import find_neighbours, inconsistency
from fcdsynth.relabel.planting.copies import Measured
from fcdsynth.relabel.profile.maps import IMAGES, LABEL_FREE
from fcdsynth.relabel.weights import ChannelRecord, credit, mix

PLANTED = "planted"
FURTHER = ("margin", "margin_overlooked", "neighbours", "aum", "memory", "forgotten")
_SHELLS = ("shell", "less_around", "less_across", "step")


@dataclass(frozen=True)
class Further:
    """Values of the further channels, larger is more suspicious.

    Args:
        values: By channel of `FURTHER`, by subject; channels without data are left out.
        ambiguity: Closeness of a mask to the boundary, by subject: for a second reader.
        rare: Subjects whose mask looks like no other: for a second reader too.
    """

    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    ambiguity: Mapping[str, float] = field(default_factory=dict)
    rare: frozenset[str] = frozenset()


def measure_further(
    measured: Sequence[Sequence[Measured]], masks: Mapping[str, Volume], detections: Path,
    subjects: Sequence[str], fits: Path | None, threshold: float,
) -> Further:  # fmt: skip
    """Measure what the files at hand allow.

    Args:
        measured: For each patient its mask as given, then its copies.
        masks: Masks by patient, those that hold something.
        detections: Folder of the out-of-fold maps.
        subjects: Subjects with a map, patients and controls.
        fits: Folder of the fits, for their snapshots; None leaves them out.
        threshold: Probability from which a voxel counts as seen.

    Raises:
        CohortError: If region features are damaged.
        RunError: If a fit's snapshots are asked for and absent.
    """
    values: dict[str, dict[str, float]] = {}
    ambiguity: dict[str, float] = {}
    files = {s: features_path(detections, s) for s in subjects}
    regions = {s: DeepRegions.read(path) for s, path in files.items() if path.is_file()}
    if regions:
        deep = judge_regions(regions, masks)
        values["margin"] = {s: d.unlike for s, d in deep.items() if s in masks}
        values["margin_overlooked"] = {s: d.overlooked for s, d in deep.items() if s in masks}
        ambiguity = {s: d.ambiguity for s, d in deep.items() if s in masks}
    alike, rare = _neighbours(measured)
    if alike:
        values["neighbours"] = alike
    if fits is not None:
        dynamics = read_dynamics(fits, threshold)
        values["aum"] = {s: -d.aum for s, d in dynamics.items() if s in masks}
        values["memory"] = {s: d.memory for s, d in dynamics.items() if s in masks}
        values["forgotten"] = {s: d.forgotten for s, d in dynamics.items() if s in masks}
    return Further(values, ambiguity, rare)


def mixed(
    verdicts: Mapping[str, Verdict], further: Further, channels: Sequence[str],
    record: ChannelRecord | None = None,
) -> tuple[dict[str, Verdict], dict[str, dict[str, float]]]:  # fmt: skip
    """Order by the weighted mean of rank shares, the planted score's and the channels'.

    Args:
        verdicts: By subject.
        further: Values of the channels.
        channels: Which count, of `FURTHER`.
        record: What reviews said of the channels so far; equal weights when None.

    Returns:
        The verdicts with the scores that order them, and each channel's share in a subject's
        place.

    Raises:
        SettingsError: If a channel is unknown, or there is nothing to measure it on.
    """
    for name in channels:
        if name not in FURTHER or name not in further.values:
            there = ", ".join(further.values) or "none"
            raise SettingsError(
                "channels", repr(name), f"one of those measured here: {there}",
                "Run detect with --features true for margins, give --fits for aum, memory and "
                "forgotten, or leave the channel out.",
            )  # fmt: skip
    if not channels:
        return dict(verdicts), {name: {PLANTED: 1.0} for name in verdicts}
    names = list(verdicts)
    scores = {PLANTED: [verdicts[name].score for name in names]} | {
        channel: [further.values[channel].get(name, np.nan) for name in names]
        for channel in channels
    }
    known = record or ChannelRecord.of(list(scores))
    weights = {name: known.weights.get(name, 1 / len(scores)) for name in scores}
    found = mix(scores, weights)
    ordered = {name: replace(verdicts[name], score=float(found[k]))
               for k, name in enumerate(names)}  # fmt: skip
    return ordered, {name: credit(scores, weights, k) for k, name in enumerate(names)}


def _neighbours(
    measured: Sequence[Sequence[Measured]],
) -> tuple[dict[str, float], frozenset[str]]:
    """Lesions against their mirrored places, in numbers that no label has shaped."""
    rows, labels, groups = [], [], []
    for own in measured:
        for one in own:
            mirrored = one.spec is not None and one.spec.error == "side"
            if one.spec is None or mirrored:
                rows.append(one.profile.numbers)
                labels.append(0 if mirrored else 1)
                groups.append(one.subject)
    names = sorted({name for row in rows for name in row if _is_label_free(name)})
    kept = [name for name in names if all(np.isfinite(row.get(name, np.nan)) for row in rows)]
    if len(set(labels)) < 2 or not kept:
        return {}, frozenset()
    features = np.array([[row[name] for name in kept] for row in rows])
    found = find_neighbours(features, groups)
    score = inconsistency(found, labels)
    given = [k for k, label in enumerate(labels) if label == 1]
    return (
        {groups[k]: float(score[k]) for k in given},
        frozenset(groups[k] for k in given if found.rare[k]),
    )


def _is_label_free(name: str) -> bool:
    role, _, rest = name.partition("_")
    return role == "largest" and any(
        rest.startswith(key) and any(word in rest[len(key) :] for word in _SHELLS)
        for key in (*IMAGES, *LABEL_FREE)
    )
