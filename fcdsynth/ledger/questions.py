"""What a ledger must be able to answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from fcdsynth.core.errors import LedgerError
from fcdsynth.ledger.chain import Event
from fcdsynth.ledger.records import Disagreed, LabelMade, ModelTrained, Reviewed
from fcdsynth.ledger.state import State
from fcdsynth.ledger.store import Ledger


@dataclass(frozen=True)
class Step:
    """One event in the life of a label version.

    Args:
        event: The event.
        words: It in a sentence.
    """

    event: Event
    words: str


def history(ledger: Ledger, subject: str | None = None, label: str | None = None) -> list[Step]:
    """Who changed what, when, on what evidence, seeing what, in how many minutes.

    Args:
        ledger: The ledger.
        subject: Of this subject's labels.
        label: Of this label version; all of the ledger when neither is given.

    Raises:
        LedgerError: If there is no such subject or label.
    """
    state = ledger.state
    _require(subject is None or subject in state.subjects, subject, "subject")
    _require(label is None or label in state.labels, label, "label")
    wanted = set(state.labels)
    if subject is not None:
        wanted = set(state.versions.get(subject, ()))
    if label is not None:
        wanted &= {label}
    everything = subject is None and label is None
    found = []
    for event in ledger.events():
        told = event.fields
        labels = {told.get("label"), told.get("new_label"), told.get("parent")} - {None, ""}
        labels |= set(told.get("labels", ()))
        about = bool(labels & wanted) or (label is None and told.get("subject") == subject)
        if everything or about:
            found.append(Step(event, _words(event.verb, told)))
    return found


def _words(verb: str, told: Mapping[str, object]) -> str:
    match verb:
        case "label made":
            parent = f", replacing {told['parent']}" if told["parent"] else ""
            return (f"{told['label']} made: {told['origin']}, {told['volume_ml']:.2f} ml, evidence "
                    f"rank {told['evidence_rank']}{parent}")  # fmt: skip
        case "label status":
            return f"{told['label']} is now {told['status']}" + (
                f": {told['reason']}" if told["reason"] else ""
            )
        case "reviewed":
            seen = ", ".join(map(str, _list(told["seen"]))) or "images alone"
            changed = "" if told["before"] == told["after"] else f" (first {told['before']})"
            reason = f", {told['reason']}" if told["reason"] else ""
            minutes = float(str(told["seconds_active"])) / 60
            signed = "signed" if told["signed"] else "not signed"
            on = f"evidence rank {told['evidence_rank']}, saw {seen}"
            return (f"{told['label']} read by {told['reader']}: {told['after']}{changed}{reason}; "
                    f"{on}, {minutes:.1f} min, {signed}")  # fmt: skip
        case "model trained":
            return f"model {told['model']} trained on {len(_list(told['labels']))} labels"
        case "disagreed":
            return (f"readers differ about {told['label']}: Dice {told['dice']:.2f}; "
                    f"{told['resolution'] or 'unresolved'}")  # fmt: skip
        case "released":
            return f"release {told['release']}"
    names = [str(told[key]) for key in ("subject", "label", "reader", "round") if told.get(key)]
    return f"{verb}: {' '.join(names)}"


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def trained_on(state: State, model: str) -> tuple[LabelMade, ...]:
    """Label versions that trained a model.

    Raises:
        LedgerError: If there is no such model.
    """
    _require(model in state.models, model, "model")
    return tuple(state.labels[label] for label in state.models[model].labels)


def models_that_saw(state: State, label: str) -> tuple[ModelTrained, ...]:
    """Models that a label version trained: what a withdrawal is about.

    Raises:
        LedgerError: If there is no such label.
    """
    _require(label in state.labels, label, "label")
    return tuple(state.models[model] for model in state.saw.get(label, ()))


def children_of(state: State, subject: str) -> tuple[str, ...]:
    """Synthetic subjects that a subject gave something to.

    Raises:
        LedgerError: If there is no such subject.
    """
    _require(subject in state.subjects, subject, "subject")
    by_parents = {s.subject for s in state.subjects.values() if subject in s.parents}
    by_labels = {s.subject for s in state.synthetic.values() if subject in s.parents.values()}
    return tuple(sorted(by_parents | by_labels))


def disagreements(state: State) -> tuple[tuple[Disagreed, tuple[Reviewed, ...]], ...]:
    """What readers differed about, with their reviews; who won stands in ``resolver``."""
    return tuple((d, tuple(state.reviews[r] for r in d.reviews)) for d in state.disagreements)


@dataclass(frozen=True, slots=True)
class Yield:
    """Reviews and what they confirmed.

    Args:
        reviews: Number of them.
        confirmed: Those that changed the label or rejected it.
        minutes: What they took.
    """

    reviews: int
    confirmed: int
    minutes: float

    @property
    def minutes_per_error(self) -> float:
        """Minutes for one confirmed error; infinite where none was."""
        return self.minutes / self.confirmed if self.confirmed else float("inf")


def yields(state: State, by: str = "channel") -> dict[str, Yield]:
    """Confirmed errors and minutes by ``channel``, ``reader``, ``source`` or ``task``.

    Raises:
        LedgerError: If reviews have no such column.
    """
    _require(by in ("channel", "reader", "source", "task"), by, "column of reviews")
    counts: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0.0])
    for review in state.reviews.values():
        row = counts[getattr(review, by)]
        row[0] += 1
        row[1] += review.after in ("edit", "reject")
        row[2] += review.seconds_active / 60
    return {key: Yield(int(n), int(hits), minutes) for key, (n, hits, minutes) in counts.items()}


def _require(holds: bool, name: str | None, what: str) -> None:
    if not holds:
        raise LedgerError(f"{what} {name!r}", f"no such {what} in the ledger", f"a {what} of it",
                          "Look it up with fcdsynth ledger log.")  # fmt: skip
