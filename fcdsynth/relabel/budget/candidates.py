"""Candidates: everything that could be done in a round, of all kinds, each with its worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.subject import Origin, Split, Subject
from fcdsynth.ledger.records import Disagreed, SubjectAdded
from fcdsynth.ledger.rules import may
from fcdsynth.ledger.state import State
from fcdsynth.ledger.words import Rank, Status
from fcdsynth.relabel.budget.belief import Beliefs
from fcdsynth.relabel.budget.gains import (
    FAILURE_CAP,
    SAMPLED_CAP,
    SYNTHETIC_WORTH,
    LearningCurve,
    novelty,
)
from fcdsynth.relabel.budget.inputs import Failure, Row
from fcdsynth.relabel.budget.minutes import MinutesLaw
from fcdsynth.relabel.budget.work import (
    DISAGREEMENT,
    FAILURE,
    INSPECT,
    NEW,
    SUSPECTED,
    SYNTHETIC,
    WORDS,
    Work,
)


@dataclass(frozen=True)
class Setting:
    """What the worth of candidates rests on.

    Args:
        beliefs: Shares.
        law: Minutes.
        curve: Learning curve.
        state: What the ledger says; empty without one.
        reader: Pseudonym of who will read, empty for anyone.
        evidence_rank: What the round's reviews rest on.
        enough: Subjects not to be asked about, with the reason.
    """

    beliefs: Beliefs = field(default_factory=Beliefs)
    law: MinutesLaw = field(default_factory=MinutesLaw)
    curve: LearningCurve = field(default_factory=LearningCurve)
    state: State = field(default_factory=State)
    reader: str = ""
    evidence_rank: int = int(Rank.REPORT)
    enough: Mapping[str, str] = field(default_factory=dict)

    def work(
        self, kind: str, subject: str, p_change: float, gain: float, volume_ml: float = 0.0,
        p_harm: float = 0.0, harm: float = 0.0, cause: str = "", may_do: str = "",
        p_err: float | None = None, source: str = "", label: str = "",
    ) -> Work:  # fmt: skip
        """A piece of work with its minutes; volume and components are the label's if known."""
        made = self.state.labels.get(label)
        volume = made.volume_ml if made and made.volume_ml > 0 else volume_ml
        minutes = self.law.minutes(kind, volume, made.components if made else 0, self.reader)
        return Work(kind, subject, p_change, gain, minutes, self.law.source(kind), p_harm, harm,
                    label, cause, may_do, WORDS[kind], p_err, source)  # fmt: skip


LeftOut = dict[str, str]


def inspections(queue: Sequence[Row], setting: Setting) -> tuple[list[Work], LeftOut]:
    """Masks to be looked at again.

    A wrong mask is mended if the reader does not err, P(change) = P(err)(1 - e), worth 1; a right
    one is spoilt if the reader errs, P(harm) = (1 - P(err)) e. Spoiling costs 1, and 1 more for
    each rank of evidence by which the label stands above the review. Where both are 1 the worth is
    P(err) - e: break-even lies at the reader's own error rate (reference/papers.md B4).

    Returns:
        The work, and subjects that are left out with the reason.
    """
    e = setting.beliefs.reader_errs.mean
    found, left = [], {}
    for row in queue:
        label = setting.state.active.get(row.subject, "")
        rank = setting.state.rank_of(label) if label else int(Rank.REPORT)
        if row.p_err is None:
            left[row.subject] = "no p_err: only the gate looked at it, see gate.csv"
        elif setting.state.labels and not label:
            left[row.subject] = "no active label in the ledger"
        elif row.rests or row.subject in setting.enough:
            left[row.subject] = setting.enough.get(row.subject, row.rests)
        elif not may("edit", setting.evidence_rank, rank):
            left[row.subject] = (f"its label has evidence rank {rank}, which a review of rank "
                                 f"{setting.evidence_rank} may not edit")  # fmt: skip
        else:
            above = max(0, rank - setting.evidence_rank)
            found.append(setting.work(
                INSPECT, row.subject, row.p_err * (1 - e), 1.0, row.volume_ml,
                (1 - row.p_err) * e, 1.0 + above, row.cause, may_do(setting.evidence_rank, rank),
                row.p_err, SUSPECTED, label,
            ))  # fmt: skip
    return found, left


def may_do(review_rank: int, label_rank: int) -> str:
    """What a review may do to a label, in words: the evidence-rank rule."""
    edit, remove = (may(action, review_rank, label_rank) for action in ("edit", "remove"))
    if not edit:
        return "dispute"
    return "edit, remove" if remove else "edit, dispute"


def new_cases(cohort: Cohort, labelled: Sequence[Subject | SubjectAdded], n: int,
              setting: Setting) -> list[Work]:  # fmt: skip
    """Patients without a mask: the curve's next label, times novelty.

    A reader who errs adds noise, P(harm) = e, that costs what a label is worth.
    """
    e = setting.beliefs.reader_errs.mean
    found = []
    for subject in cohort.subjects:
        masked = any(subject.has(key) for key in ("lesion", "lesion_t1w"))
        known = subject.id in setting.state.active
        if subject.is_patient and subject.origin is not Origin.SYNTHETIC and not (masked or known):
            gain = setting.curve.new_case(n) * novelty(subject, labelled)
            found.append(setting.work(NEW, subject.id, 1.0, gain, p_harm=e, harm=gain,
                                      cause="no mask", may_do="draw"))  # fmt: skip
    return found


def synthetic_cases(cohort: Cohort, n: int, setting: Setting) -> list[Work]:
    """Synthetic patients that nobody has judged.

    An accepted one is worth 0.22 of a new label, times how often it is sampled (against the
    others, at most twice). One that is accepted by mistake costs as much.
    """
    beliefs, state = setting.beliefs, setting.state
    times = {m.subject: m.times_sampled for m in state.synthetic.values() if m.times_sampled > 0}
    usual = sum(times.values()) / len(times) if times else 1.0
    judged = {state.synthetic[label].subject for label in state.synthetic
              if state.synthetic[label].verdict or state.reviews_of.get(label)}  # fmt: skip
    labels = {made.subject: label for label, made in state.synthetic.items()}
    accepted, e = beliefs.accepts.mean, beliefs.reader_errs.mean
    found = []
    for s in cohort.subjects:
        usable = s.split not in (Split.VAL, Split.TEST) and s.is_patient and s.id not in judged
        if s.origin is Origin.SYNTHETIC and usable:
            often = min(times.get(s.id, usual) / usual, SAMPLED_CAP)
            gain = SYNTHETIC_WORTH * setting.curve.new_case(n) * often
            found.append(setting.work(
                SYNTHETIC, s.id, accepted, gain, p_harm=(1 - accepted) * e, harm=gain,
                cause="not judged", may_do="accept, reject", label=labels.get(s.id, ""),
            ))  # fmt: skip
    return found


def open_disagreements(setting: Setting) -> list[Work]:
    """Masks that readers differ about, worth 1 less the readers' agreement.

    Agreement is their Dice overlap, 0 where they differ about presence, and 0.5 where a label is
    disputed and nothing was measured.
    """
    state = setting.state
    last: dict[str, Disagreed] = {d.label: d for d in state.disagreements}
    labels = [name for name, d in last.items() if not d.resolution]
    labels += [name for name, status in state.status.items()
               if status is Status.DISPUTED and name not in last]  # fmt: skip
    found = []
    for label in labels:
        status, subject = state.status[label], state.labels[label].subject
        rank = state.rank_of(label)
        if status not in (Status.ACTIVE, Status.DISPUTED) or (
            not may("edit", setting.evidence_rank, rank)
        ):
            continue
        d = last.get(label)
        agreement = 0.5 if d is None else d.dice if d.presence_agreed else 0.0
        found.append(setting.work(
            DISAGREEMENT, subject, setting.beliefs.resolves.mean, 1.0 - agreement,
            cause="readers differ" if d else "disputed",
            may_do=may_do(setting.evidence_rank, rank), label=label,
        ))  # fmt: skip
    return found


def failures(failed: Sequence[Failure], setting: Setting) -> list[Work]:
    """Places where detectors fail again and again, worth their number in a row, 2 at most."""
    worst: dict[str, Failure] = {}
    for one in failed:
        if one.subject not in worst or one.times > worst[one.subject].times:
            worst[one.subject] = one
    found = []
    for subject, one in sorted(worst.items()):
        label = setting.state.active.get(subject, "")
        rank = setting.state.rank_of(label) if label else int(Rank.REPORT)
        found.append(setting.work(
            FAILURE, subject, setting.beliefs.explains.mean, min(one.times, FAILURE_CAP),
            cause=f"{one.kind}, {one.times} in a row", may_do=may_do(setting.evidence_rank, rank),
            label=label,
        ))  # fmt: skip
    return found
