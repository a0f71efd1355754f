"""False positives that an arm introduced, traced to the training lesions that look like them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from statsmodels.stats.proportion import proportion_confint

from fcdsynth.core.subject import Origin
from fcdsynth.detector.likeness import TRAINING, Alike, read_likeness
from fcdsynth.evaluation.cases import ClusterRecord, SubjectRecord
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule, rule_named
from fcdsynth.study.layout import StudyFolder
from fcdsynth.study.plan import Draw, Plan
from fcdsynth.study.settings import Arm

SAME_MM = 10.0
"""A false positive whose centre lies this near to one of the baseline's was there before."""
GROUPS = ("introduced", "kept", "found")


@dataclass(frozen=True)
class Share:
    """How often the nearest training lesion of a group of clusters is synthetic.

    Args:
        group: ``introduced`` false positives, those ``kept`` from the baseline, or clusters that
            ``found`` a lesion.
        n: Clusters.
        synthetic: Those whose nearest training lesion is synthetic.
        low: Lower end of the Wilson interval of the share, 95 %.
        high: Upper end.
    """

    group: str
    n: int
    synthetic: int
    low: float
    high: float


@dataclass(frozen=True)
class Traced:
    """One introduced false positive.

    Args:
        draw: Name of the draw.
        subject: Whose.
        cluster: Its number.
        score: Its score.
        alike: The training lesions that look most like it, nearest first.
    """

    draw: str
    subject: str
    cluster: int
    score: float
    alike: tuple[Alike, ...]


@dataclass(frozen=True)
class Tracing:
    """Where an arm's false positives come from.

    Args:
        arm: The arm.
        among: Share of synthetic ones among the training lesions: what chance would give.
        shares: By group.
        introduced: The introduced ones, highest score first.
        givers: Synthetic subjects by how many introduced false positives they are nearest to.
    """

    arm: str
    among: float
    shares: tuple[Share, ...]
    introduced: tuple[Traced, ...]
    givers: tuple[tuple[str, int], ...]


def trace(folder: StudyFolder, plan: Plan, arm: Arm) -> Tracing:
    """Trace an arm's false positives at its own operating point, over all draws.

    Raises:
        RunError: If the arm or the baseline has no evaluation.
    """
    rule = rule_named(plan.rule)
    counts: dict[str, list[int]] = {group: [0, 0] for group in GROUPS}
    introduced: list[Traced] = []
    givers: Counter[str] = Counter()
    among = []
    for draw in plan.draws:
        before = Report.read(folder.evaluation(draw, plan.arms[0])).subjects
        after = Report.read(folder.evaluation(draw, arm)).subjects
        alike = _by_cluster(read_likeness(folder.likeness(draw, arm)))
        among.append(_among(folder, draw, arm))
        for s, cluster, group in _grouped(before, after, rule):
            nearest = alike.get((s.id, cluster.cluster), [])
            if not nearest:
                continue
            made = nearest[0].origin == Origin.SYNTHETIC
            counts[group][0] += 1
            counts[group][1] += made
            if group == "introduced":
                introduced.append(
                    Traced(draw.name, s.id, cluster.cluster, cluster.score, tuple(nearest))
                )
                if made:
                    givers[nearest[0].training_subject] += 1
    shares = []
    for group, (n, synthetic) in counts.items():
        low, high = proportion_confint(synthetic, n, method="wilson") if n else (0.0, 1.0)
        shares.append(Share(group, n, synthetic, float(low), float(high)))
    introduced.sort(key=lambda t: -t.score)
    return Tracing(arm.name, float(np.mean(among)), tuple(shares), tuple(introduced),
                   tuple(givers.most_common()))  # fmt: skip


def _grouped(
    before: tuple[SubjectRecord, ...], after: tuple[SubjectRecord, ...], rule: Rule
) -> Iterator[tuple[SubjectRecord, ClusterRecord, str]]:
    known = {s.id: [c.centre_mm for c in s.clusters if c.roles[rule] is Role.FALSE] for s in before}
    for s in after:
        there = np.array(known[s.id], dtype=float).reshape(-1, 3)
        for cluster in s.clusters:
            if cluster.roles[rule] is not Role.FALSE:
                yield s, cluster, "found"
                continue
            gaps = np.linalg.norm(there - np.array(cluster.centre_mm), axis=1)
            yield s, cluster, "kept" if (gaps <= SAME_MM).any() else "introduced"


def _by_cluster(rows: list[Alike]) -> dict[tuple[str, int], list[Alike]]:
    found: dict[tuple[str, int], list[Alike]] = {}
    for row in sorted(rows, key=lambda r: r.rank):
        found.setdefault((row.subject, row.cluster), []).append(row)
    return found


def _among(folder: StudyFolder, draw: Draw, arm: Arm) -> float:
    record = json.loads((folder.likeness(draw, arm) / TRAINING).read_text())
    return float(record["synthetic"] / record["lesions"])
