"""The verb ledger record: a cohort's subjects, images and masks into a ledger."""

from __future__ import annotations

from pathlib import Path

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.progress import track
from fcdsynth.core.subject import Origin, Subject
from fcdsynth.core.volume import Volume, read_mask, read_volume, voxel_hash
from fcdsynth.ledger.maskstore import pack
from fcdsynth.ledger.records import (
    ImageAdded,
    LabelMade,
    LabelStatus,
    Record,
    SubjectAdded,
    SyntheticMade,
    label_id,
)
from fcdsynth.ledger.state import State
from fcdsynth.ledger.store import Ledger
from fcdsynth.ledger.words import LabelOrigin, Rank, Status
from fcdsynth.measure.components import label_components

ACTOR = "fcdsynth"
_IMAGES = ("t1w_native", "flair_native")
# The mask that readers judge lies on the native T1w grid; cohorts that were not prepared have
# only the one for training.
_MASKS = ("lesion_t1w", "lesion")


def record(cohort: str, ledger: str, evidence_rank: int = 2, evidence: str = "") -> str:
    """Record a cohort's subjects, images and lesion masks; starts the ledger if need be.

    What is recorded already is not recorded again. A mask that differs from the subject's
    active one becomes a new version that follows it. A patient with a subtype (histology) gets
    evidence rank 4, the others the one given. Synthetic subjects are recorded with their
    parents, and their masks never become active.

    Args:
        cohort: Folder or table of a cohort.
        ledger: The ledger's file.
        evidence_rank: What the masks of patients without histology rest on: 0 a model, 1 a
            blinded MRI read, 2 an MRI read with report, 3 intracranial EEG or concordant PET,
            4 histology.
        evidence: The same in words.

    Returns:
        What was added.

    Raises:
        CohortError: If the cohort or a file of it cannot be read.
        LedgerError: If the ledger cannot be written.
        SettingsError: If the rank is out of range.
    """
    if evidence_rank not in set(Rank):
        raise SettingsError("evidence_rank", str(evidence_rank), "0 to 4", "Change it.")
    table = Cohort.read(cohort)
    path = Path(ledger)
    with Ledger.open(path) if path.exists() else Ledger.create(path) as opened:
        before = opened.head.seq
        for subject in track(table.subjects, "recording"):
            masks: list[Volume] = []
            records = _records(table, subject, opened.state, evidence_rank, evidence, masks)
            if records:
                opened.extend(records, ACTOR, masks)
        added = opened.head.seq - before
        return f"{ledger}: {added} events added, head {opened.head}"


def _records(
    cohort: Cohort, subject: Subject, state: State, rank: int, evidence: str, masks: list[Volume]
) -> list[Record]:
    own = SubjectAdded(
        subject.id, subject.group.value, subject.origin.value, subject.split.value, subject.site,
        subject.scanner, subject.side, subject.lobe, subject.family,
        tuple(p.subject for p in subject.parents),
    )  # fmt: skip
    found: list[Record] = [] if state.subjects.get(subject.id) == own else [own]
    image = ""
    for kind in _IMAGES:
        if subject.has(kind):
            one = _image(subject.id, kind, read_volume(cohort.path(subject, kind)))
            image = image or one.image
            if state.images.get(f"{subject.id} {kind}") != one.image:
                found.append(one)
    masks_there = [key for key in _MASKS if subject.has(key)]
    if not masks_there:
        return found
    key = masks_there[0]
    mask = read_mask(cohort.path(subject, key))
    digest = pack(mask)[0]
    label = label_id(subject.id, digest)
    if label in state.labels:
        return found
    masks.append(mask)
    synthetic = subject.origin is Origin.SYNTHETIC
    rank = 0 if synthetic else int(Rank.HISTOLOGY) if subject.subtype else rank
    parts = label_components(mask.array, mask.grid)[1]
    origin = LabelOrigin.SYNTHETIC if synthetic else LabelOrigin.HUMAN
    made = LabelMade(
        label, subject.id, digest, origin.value, rank, subject.subtype or evidence, image,
        parent=state.active.get(subject.id, ""), tool=key,
        volume_ml=float(mask.array.sum() * mask.grid.voxel_ml), components=len(parts),
    )  # fmt: skip
    found.append(made)
    if synthetic:
        parents = {p.role.value: p.subject for p in subject.parents}
        found.append(SyntheticMade(label, subject.id, parents, cohort.name))
    else:
        found.append(LabelStatus(label, Status.ACTIVE.value, f"recorded from {cohort.name}"))
    return found


def _image(subject: str, key: str, volume: Volume) -> ImageAdded:
    affine = tuple(float(round(v, 4)) + 0.0 for v in volume.grid.matrix.ravel())
    return ImageAdded(subject, key, voxel_hash(volume), tuple(volume.grid.shape), affine,
                      volume.grid.axis_codes)  # fmt: skip
