"""Our records against what panoptica and picai_eval say, with a reason for every difference.

A reason is never taken on trust. Where two definitions part, both answers are worked out anew
from a table that plain numpy counted, each by its own definition, and the difference is only
explained when each side gives exactly its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from oracle_scenes import Table
from scipy.optimize import linear_sum_assignment

from fcdsynth.evaluation.cases import SubjectRecord
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import NEAR_MM, Rule

MANY = "panoptica pairs one to one; under overlap ours lets a cluster find all lesions it touches"
EXTRA = "panoptica counts a second cluster on a lesion as false; ours counts it apart, as extra"
PAIRING = "panoptica pairs by overlap; ours by score, then by overlap"
FEWER = "panoptica's bipartite matching has the largest summed IoU, not the most lesions found"
HALVES = "panoptica averages two one-sided means; ours is the mean over both surfaces"
POOLED = "panoptica takes the percentile of both sides together; ours the larger of two percentiles"
PICAI_PAIRING = "picai_eval pairs by overlap; ours by score, then by overlap"
PICAI_LAST = "picai_eval gives up the lowest threshold of a curve without a missed lesion"
_CLOSE = 1e-5
_MM = 2e-3


@dataclass(frozen=True)
class Difference:
    """Two answers that are not one.

    Args:
        where: The case or cohort.
        what: The quantity.
        ours: Our answer.
        theirs: The other one.
        reason: Why the definitions part; empty when nothing explains it.
    """

    where: str
    what: str
    ours: Any
    theirs: Any
    reason: str = ""


@dataclass
class Ledger:
    """Comparisons of one case or cohort, and what differed."""

    where: str
    compared: int = 0
    differences: list[Difference] = field(default_factory=list)

    def equal(
        self, what: str, ours: Any, theirs: Any, reason: str = "", within: float = _CLOSE
    ) -> None:
        """Compare; ``reason`` is given only where both sides were shown to keep to their own."""
        self.compared += 1
        if (ours is None) != (theirs is None) or (
            ours is not None and not np.allclose(ours, theirs, rtol=0, atol=within)
        ):
            self.differences.append(Difference(self.where, what, ours, theirs, reason))


def matching_key(pairs: Mapping[int, int], table: Table) -> tuple[Any, ...]:
    """What ours maximises, in order: lesions found, scores from the highest down, summed IoU."""
    scores = tuple(sorted((table.scores[c] for c in pairs.values()), reverse=True))
    return len(pairs), scores, round(sum(float(table.iou[p]) for p in pairs.items()), 9)


def best_matching(hits: NDArray[np.bool_], table: Table, one_to_one: bool) -> tuple[Any, ...]:
    """The best key by trying everything; lesions are few."""
    n_lesions = hits.shape[0]
    if not one_to_one:  # each lesion on its own: highest score, then largest overlap
        pairs = {
            row: max(np.flatnonzero(hits[row]), key=lambda c: (table.scores[c], table.iou[row, c]))
            for row in range(n_lesions) if hits[row].any()
        }  # fmt: skip
        return matching_key(pairs, table)
    best: tuple[Any, ...] = (0, (), 0.0)
    for choice in product(*[[None, *np.flatnonzero(hits[row])] for row in range(n_lesions)]):
        pairs = {row: c for row, c in enumerate(choice) if c is not None}
        if len(set(pairs.values())) == len(pairs):
            best = max(best, matching_key(pairs, table))
    return best


def panoptica_pairs(rule: Rule, table: Table) -> list[float]:
    """IoU of the pairs its own definition gives, largest first."""
    iou, kept = table.iou, []
    if rule is Rule.OVERLAP:  # greedy by IoU, one to one, strictly above 0
        rows, columns = set(), set()
        for row, c in sorted(np.argwhere(iou > 0).tolist(), key=lambda p: -iou[p[0], p[1]]):
            if row not in rows and c not in columns:
                rows.add(row)
                columns.add(c)
                kept.append(float(iou[row, c]))
    elif iou.size:  # largest summed IoU among pairs of at least 0.1
        worth = np.where(iou >= 0.1, iou, 0)
        kept = [float(x) for x in worth[linear_sum_assignment(worth, maximize=True)] if x > 0]
    return sorted(kept, reverse=True)


def picai_pairs(table: Table) -> float:
    """What its matching maximises: pairs of IoU of at least 0.1, then their summed IoU."""
    worth = np.where(table.iou >= 0.1, table.iou + 1, 0)
    return float(worth[linear_sum_assignment(worth, maximize=True)].sum()) if worth.size else 0.0


@dataclass
class Aligned:
    """A record whose lesions and clusters were found again in the table."""

    record: SubjectRecord
    table: Table
    lesions: list[int]
    clusters: dict[int, int]

    @classmethod
    def of(cls, record: SubjectRecord, table: Table, labels: NDArray[np.int16]) -> Aligned:
        """Lesions by size and centre, clusters by their first voxel in our cluster map."""
        lesions = []
        for lesion in record.lesions:
            off = [
                abs(size - lesion.size_vox) + np.abs(centre - lesion.centre_mm).max()
                for _, size, centre in table.lesions
            ]
            lesions.append(int(np.argmin(off)))
        clusters = {int(labels.ravel()[first]): n for n, first in enumerate(table.clusters)}
        return cls(record, table, lesions, clusters)

    def found(self, rule: Rule) -> dict[int, int]:
        """Table's lesion to table's cluster under a rule."""
        fates = zip(self.lesions, self.record.lesions, strict=True)
        return {
            row: self.clusters[lesion.found[rule].cluster]
            for row, lesion in fates if lesion.found[rule].cluster is not None
        }  # fmt: skip


def compare_case(mine: Aligned, says: Mapping[str, Any]) -> Ledger:
    """One subject: instances, both rules against panoptica, IoU against picai_eval, the gaps."""
    record, table = mine.record, mine.table
    log = Ledger(record.id)
    log.equal("lesions", len(record.lesions), len(table.lesions))
    log.equal("clusters", len(record.clusters), len(table.clusters))
    log.equal("lesions told apart", len(set(mine.lesions)), len(table.lesions))
    log.equal("clusters told apart", len(mine.clusters), len(table.clusters))
    if log.differences:
        return log
    for rule in (Rule.OVERLAP, Rule.IOU):
        _panoptica(log, rule, mine, says[rule.value])
    if record.is_patient:
        log.equal("dice of the whole mask", record.dice, says["overlap"]["dice"])
    _picai(log, mine, says["picai"])
    for first, gap in says["gaps"].items():
        number = table.clusters.index(int(first))
        (cluster,) = [c for c in record.clusters if mine.clusters[c.cluster] == number]
        near = gap <= NEAR_MM + _MM / 2
        log.equal("gap mm", cluster.gap_mm, gap if near else None, within=_MM)
        log.equal("false under near", cluster.roles[Rule.NEAR] is Role.FALSE, not near)
    return log


def _panoptica(log: Ledger, rule: Rule, mine: Aligned, says: Mapping[str, Any]) -> None:
    table, found = mine.table, mine.found(rule)
    hits = table.iou > 0 if rule is Rule.OVERLAP else table.iou >= 0.1
    key = matching_key(found, table)
    log.equal(f"{rule} lesions found", key[0], best_matching(hits, table, rule.one_to_one)[0])
    ours_kept = key == best_matching(hits, table, rule.one_to_one)
    log.equal(f"{rule} matching is the best there is", ours_kept, True)
    theirs = {table.clusters.index(p["cluster"]): p for p in says["pairs"]}
    firsts = [first for first, _, _ in table.lesions]
    ious = sorted((p["IOU"] for p in says["pairs"]), reverse=True)
    expected = panoptica_pairs(rule, table)
    theirs_kept = len(ious) == len(expected) and np.allclose(ious, expected)
    both = ours_kept and theirs_kept
    one_each = bool((hits.sum(axis=0) <= 1).all() and (hits.sum(axis=1) <= 1).all())
    reason = "" if one_each or not both else MANY if rule is Rule.OVERLAP else FEWER
    log.equal(f"{rule} true positives", len(found), says["tp"], reason)
    log.equal(f"{rule} misses", len(table.lesions) - len(found), says["fn"], reason)
    log.equal(f"{rule} panoptica adds up", says["tp"], len(ious))
    log.equal(f"{rule} panoptica adds up", says["fp"], len(table.clusters) - says["tp"])
    counts = {role: mine.record.n_role(rule, role) for role in Role}
    log.equal(f"{rule} false is no hit", counts[Role.FALSE], int((~hits.any(axis=0)).sum()))
    log.equal(f"{rule} all clusters", sum(counts.values()), len(table.clusters))
    spare = "" if one_each or not both else EXTRA
    log.equal(f"{rule} false positives", counts[Role.FALSE], says["fp"], spare)
    for lesion, row in zip(mine.record.lesions, mine.lesions, strict=True):
        fate = lesion.found[rule]
        pair = [p for p in theirs.values() if p["lesion"] == firsts[row]]
        if not pair or fate.cluster is None:
            continue  # counted above
        (pair,) = pair
        other = table.clusters.index(pair["cluster"])
        log.equal(f"{rule} finder", found[row], other, "" if one_each or not both else PAIRING)
        if found[row] != other:
            continue
        log.equal(f"{rule} dice", fate.dice, pair["DSC"])
        log.equal(f"{rule} iou", fate.dice / (2 - fate.dice), pair["IOU"])
        centre = next(c for c in mine.record.clusters if c.cluster == fate.cluster).centre_mm
        apart = float(np.linalg.norm(np.subtract(centre, lesion.centre_mm)))
        log.equal(f"{rule} centre distance mm", apart, pair["CEDI"], within=_MM)
        log.equal(f"{rule} assd by our mean mm", fate.assd_mm, pair["assd_pooled"], within=_MM)
        log.equal(f"{rule} hd95 by our rule mm", fate.hd95_mm, pair["hd95_larger"], within=_MM)
        halves = np.isclose(pair["ASSD"], pair["assd_halves"])
        log.equal(f"{rule} assd mm", fate.assd_mm, pair["ASSD"], HALVES if halves else "", _MM)
        pooled = np.isclose(pair["HD95"], pair["hd95_pooled"])
        log.equal(f"{rule} hd95 mm", fate.hd95_mm, pair["HD95"], POOLED if pooled else "", _MM)


def _picai(log: Ledger, mine: Aligned, says: Sequence[Sequence[float]]) -> None:
    table, found = mine.table, mine.found(Rule.IOU)
    false = sorted(c.score for c in mine.record.clusters if c.roles[Rule.IOU] is Role.FALSE)
    theirs = sorted(score for lesion, score, _ in says if not lesion)
    log.equal("picai false positives", len(false), len(theirs))
    if len(false) == len(theirs):
        log.equal("picai their scores", false, theirs)
    pairs = sorted((score, overlap) for lesion, score, overlap in says if lesion and overlap)
    log.equal("picai true positives", len(found), len(pairs))
    missed = sum(1 for lesion, _, overlap in says if lesion and not overlap)
    log.equal("picai misses", len(table.lesions) - len(found), missed)
    if len(found) == len(pairs):
        kept = np.isclose(sum(1 + overlap for _, overlap in pairs), picai_pairs(table))
        hits = table.iou >= 0.1
        simple = (hits.sum(axis=0) <= 1).all() and (hits.sum(axis=1) <= 1).all()
        ours = sorted((table.scores[c], float(table.iou[row, c])) for row, c in found.items())
        reason = PICAI_PAIRING if kept and not simple else ""
        log.equal("picai score and overlap of pairs", ours, pairs, reason)
