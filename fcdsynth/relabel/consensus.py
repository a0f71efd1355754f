"""Readers who differ: how much, and one outline from three of them on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from fcdsynth.core.resample import resample_mask
from fcdsynth.core.volume import Volume
from fcdsynth.ledger.maskstore import pack
from fcdsynth.ledger.records import Disagreed, LabelMade, LabelStatus, Record, Reviewed, label_id
from fcdsynth.ledger.rules import may
from fcdsynth.ledger.state import State
from fcdsynth.ledger.store import Ledger
from fcdsynth.ledger.words import LabelOrigin, Status
from fcdsynth.measure.agreement import compare_outlines, staple
from fcdsynth.measure.components import label_components
from fcdsynth.relabel.decisions import Decision

FEWEST = 3


@dataclass(frozen=True)
class Settled:
    """A decision with what the ledger is told of the readers behind it.

    Args:
        decision: The decision; another one where the readers' outlines were joined.
        records: What differed, and the joint outline.
        masks: Masks that the records speak of, by hash.
    """

    decision: Decision
    records: tuple[Record, ...] = ()
    masks: Mapping[str, Volume] = field(default_factory=dict)


def settle(ledger: Ledger, decision: Decision) -> Settled:
    """Measure how readers differ, and join the outlines of three or more who all drew one.

    Whether there is a lesion is never joined: readers who differ about that leave the mask
    disputed, for a reader who resolves it.

    Args:
        ledger: The ledger.
        decision: From `fcdsynth.relabel.decisions.decide`.
    """
    state = ledger.state
    readers = _readers(state, decision)
    if len({(r.after, r.new_label) for r in readers}) < 2:
        return Settled(decision)
    outlines = [outline(ledger, decision.label, review) for review in readers]
    joined = None
    if decision.outcome == "disputed" and len(decision.voices) == len(readers):
        joined = _joined(state, decision, readers, outlines)
    settled, made, masks = joined or (decision, (), {})
    told = _differ(settled, readers, outlines)
    known = any((d.label, d.reviews, d.resolution) == (told.label, told.reviews, told.resolution)
                for d in state.disagreements)  # fmt: skip
    return Settled(settled, made if known else (told, *made), masks)


def outline(ledger: Ledger, label: str, review: Reviewed) -> Volume:
    """What a reader says is the lesion, on the grid of the label that was reviewed."""
    state = ledger.state
    given = ledger.mask(state.labels[label].mask)
    if review.after == "reject":
        return Volume(np.zeros(given.array.shape, dtype=bool), given.grid)
    if review.after != "edit":
        return given
    drawn = ledger.mask(state.labels[review.new_label].mask)
    return drawn if drawn.grid.close_to(given.grid) else resample_mask(drawn, given.grid)


def _readers(state: State, decision: Decision) -> list[Reviewed]:
    """The last signed reading of each reader who decided something."""
    found: dict[str, Reviewed] = {}
    for name in state.reviews_of.get(decision.label, ()):
        review = state.reviews[name]
        if review.signed and review.after != "unsure" and review.task != "disagreement":
            found[review.reader] = review
    return list(found.values())


def _differ(
    decision: Decision, readers: Sequence[Reviewed], outlines: Sequence[Volume]
) -> Disagreed:
    """Means over pairs of readers."""
    pairs = [compare_outlines(a, b) for a, b in combinations(outlines, 2)]
    apart = [p.distance_mm for p in pairs if p.distance_mm is not None]
    judge = decision.voices[-1] if decision.voices[-1].task == "disagreement" else None
    return Disagreed(
        decision.label, tuple(r.review for r in readers), all(p.presence for p in pairs),
        float(np.mean([p.dice for p in pairs])), float(np.mean([p.surface_dice for p in pairs])),
        float(np.mean(apart)) if apart else None,
        "" if decision.outcome == "disputed" else decision.outcome,  # else it stays open
        judge.reader if judge else "", decision.reason,
    )  # fmt: skip


def _joined(
    state: State, decision: Decision, readers: Sequence[Reviewed], outlines: Sequence[Volume]
) -> tuple[Decision, tuple[Record, ...], Mapping[str, Volume]] | None:
    if len(readers) < FEWEST or not all(o.array.any() for o in outlines):
        return None
    strongest = max(readers, key=lambda r: r.evidence_rank)
    if not may("edit", strongest.evidence_rank, state.rank_of(decision.label)):
        return None
    mask = staple(outlines).mask
    if not mask.array.any():
        return None
    digest = pack(mask)[0]
    label = label_id(decision.subject, digest)
    names = ", ".join(r.reader for r in readers)
    reason = f"consensus of {names} (STAPLE)"
    made = LabelMade(
        label, decision.subject, digest, LabelOrigin.CONSENSUS.value, strongest.evidence_rank,
        reason, parent=decision.label, tool="STAPLE",
        volume_ml=float(mask.array.sum() * mask.grid.voxel_ml),
        components=len(label_components(mask.array, mask.grid)[1]),
    )  # fmt: skip
    change = LabelStatus(label, Status.ACTIVE.value, reason, strongest.review)
    settled = replace(decision, outcome="edited", changes=(change,), reason=reason)
    known = label in state.labels
    return settled, () if known else (made,), {} if known else {digest: mask}
