"""Records: what can be written into a ledger, each kind a frozen dataclass with a verb."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Record:
    """Base of all records; fields are JSON values, tuples, or enums of text and numbers."""

    verb: ClassVar[str] = ""


@dataclass(frozen=True)
class SubjectAdded(Record):
    """A subject, by pseudonym; recorded again when something of it changes, such as the split."""

    verb: ClassVar[str] = "subject added"
    subject: str
    group: str
    origin: str
    split: str = "none"
    site: str = ""
    scanner: str = ""
    side: str = ""
    lobe: str = ""
    family: str = ""
    parents: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageAdded(Record):
    """An image file, by the hash of its voxels; ``shape`` and ``affine`` are its grid's."""

    verb: ClassVar[str] = "image added"
    subject: str
    modality: str
    image: str
    shape: tuple[int, ...]
    affine: tuple[float, ...]
    orientation: str


@dataclass(frozen=True)
class LabelMade(Record):
    """A version of a subject's lesion mask; ``mask`` is the hash of what the ledger keeps.

    ``label`` is its id, see `label_id`; ``parent`` the id of the version that it replaces.
    """

    verb: ClassVar[str] = "label made"
    label: str
    subject: str
    mask: str
    origin: str
    evidence_rank: int
    evidence: str = ""
    image: str = ""
    parent: str = ""
    tool: str = ""
    volume_ml: float = 0.0
    components: int = 0


@dataclass(frozen=True)
class LabelStatus(Record):
    """A label version's status changes; ``review`` is the decision behind it."""

    verb: ClassVar[str] = "label status"
    label: str
    status: str
    reason: str = ""
    review: str = ""


@dataclass(frozen=True)
class ReaderJoined(Record):
    """A reader, by pseudonym; ``agreement`` with planted truth, a share, where it is known."""

    verb: ClassVar[str] = "reader joined"
    reader: str
    role: str
    years: float = 0.0
    trained: bool = False
    agreement: float | None = None


@dataclass(frozen=True)
class RegionMade(Record):
    """A region of a label or a place beside it, mm RAS+."""

    verb: ClassVar[str] = "region made"
    region: str
    label: str
    centre_mm: tuple[float, ...]
    volume_ml: float
    side: str = ""
    lobe: str = ""


@dataclass(frozen=True)
class Reviewed(Record):
    """One reader's decision about one label version.

    ``blinded`` and ``seen`` name what was hidden and shown (score, model, source, other reader).
    ``before`` and ``after`` are the decisions before and after the model was revealed; only
    signed ones are ever adopted. Times are seconds, idle time over a minute already removed.
    ``channel`` is why the mask was asked about.
    """

    verb: ClassVar[str] = "reviewed"
    review: str
    label: str
    reader: str
    task: str
    before: str
    after: str
    evidence_rank: int
    round: int = 0
    source: str = ""
    region: str = ""
    channel: str = ""
    blinded: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    confidence: int = 0
    reason: str = ""
    new_label: str = ""
    seconds_active: float = 0.0
    seconds_idle: float = 0.0
    position: int = 0
    software: str = ""
    signed: bool = False


@dataclass(frozen=True)
class Disagreed(Record):
    """Readers differ about a label: presence agreed or not, overlap, distance, and who won."""

    verb: ClassVar[str] = "disagreed"
    label: str
    reviews: tuple[str, ...]
    presence_agreed: bool
    dice: float
    surface_dice: float
    distance_mm: float | None
    resolution: str = ""
    resolver: str = ""
    rule: str = ""


@dataclass(frozen=True)
class Scored(Record):
    """A channel's value for a label version in a round of flag."""

    verb: ClassVar[str] = "scored"
    label: str
    model: str
    channel: str
    raw: float
    round: int = 0
    percentile: float | None = None
    p_err: float | None = None
    weight: float | None = None
    ema: float | None = None
    rank: int = 0


@dataclass(frozen=True)
class Influenced(Record):
    """How much a label version moved a model."""

    verb: ClassVar[str] = "influenced"
    label: str
    model: str
    method: str
    value: float
    effect: float | None = None


@dataclass(frozen=True)
class ModelTrained(Record):
    """A model, the label versions and the subjects (synthetic ones too) that trained it."""

    verb: ClassVar[str] = "model trained"
    model: str
    labels: tuple[str, ...]
    subjects: tuple[str, ...] = ()
    commit: str = ""
    config: str = ""
    folds: int = 1
    seeds: tuple[int, ...] = ()
    checkpoints: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SyntheticMade(Record):
    """A synthetic subject's label, its parents by role, and what a validator said of it."""

    verb: ClassVar[str] = "synthetic made"
    label: str
    subject: str
    parents: Mapping[str, str]
    generator: str
    seed: int = 0
    similarity: float | None = None
    validator: str = ""
    verdict: str = ""
    times_sampled: int = 0


@dataclass(frozen=True)
class RoundPlanned(Record):
    """A round of expert work: minutes by task, what they are expected to give, and the rule."""

    verb: ClassVar[str] = "round planned"
    round: int
    minutes: Mapping[str, float]
    expected: Mapping[str, float]
    rule: str = ""


@dataclass(frozen=True)
class RoundClosed(Record):
    """The end of a round; ``minutes`` are the sum of its reviews' by task."""

    verb: ClassVar[str] = "round closed"
    round: int
    minutes: Mapping[str, float]
    got: Mapping[str, float]


@dataclass(frozen=True)
class Failed(Record):
    """A place where models failed so many times in a row: missed, false or extent."""

    verb: ClassVar[str] = "failed"
    subject: str
    kind: str
    times: int
    models: tuple[str, ...] = ()
    region: str = ""
    cause: str = "unknown"


@dataclass(frozen=True)
class Released(Record):
    """A cohort version: the head of the chain it was made from, its labels, who is left out."""

    verb: ClassVar[str] = "released"
    release: str
    head: str
    labels: Mapping[str, str]
    excluded: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)


def label_id(subject: str, mask: str) -> str:
    """Id of a label version: the subject and the first 12 characters of the mask's hash."""
    return f"{subject}@{mask[:12]}"
