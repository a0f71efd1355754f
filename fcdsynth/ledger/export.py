"""The verb ledger export: everything as JSON lines, and masks as BIDS derivatives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fcdsynth import __version__
from fcdsynth.core.run import Run
from fcdsynth.core.volume import write_volume
from fcdsynth.ledger.chain import Event
from fcdsynth.ledger.records import LabelMade
from fcdsynth.ledger.state import State
from fcdsynth.ledger.store import Ledger
from fcdsynth.ledger.words import LabelOrigin, Status

EVENTS = "events.jsonl"
_BIDS_VERSION = "1.10.0"


def export(ledger: str, out: str, masks: bool = True) -> Path:
    """Write a ledger in formats that outlive it.

    ``events.jsonl`` holds every event in order, with its hash. With masks, the folder is a BIDS
    derivative data set: of every subject each version of its mask,
    ``sub-XX_space-orig_label-lesion_desc-v01_mask.nii.gz``, what readers drew as ``desc-r1`` and
    so on, a consensus as ``desc-cons``, each with a sidecar. ``head.json`` is the ledger's head,
    against which ``ledger verify --head`` finds a tail that was cut off later.

    Args:
        ledger: The ledger's file.
        out: Folder to write.
        masks: Whether masks are written too; planted ones never are.

    Returns:
        The folder.

    Raises:
        LedgerError: If the ledger cannot be read or a mask in it is damaged.
        RunError: If the folder holds something else.
    """
    with Ledger.open(ledger) as opened:
        head = opened.head
        run = Run(out, "ledger export", {"ledger": ledger, "masks": masks, "head": str(head)}, [])
        if run.complete:
            return run.out
        with run:
            lines = (json.dumps(_plain(event), sort_keys=True) for event in opened.events())
            (run.folder / EVENTS).write_text("".join(f"{line}\n" for line in lines), "utf-8")
            record = {"seq": head.seq, "hash": head.hash}
            (run.folder / "head.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
            if masks:
                _write_masks(run.folder, opened)
    return run.out


def _plain(event: Event) -> dict[str, Any]:
    return {"seq": event.seq, "time": event.time, "actor": event.actor, "verb": event.verb,
            "payload": event.fields, "previous": event.previous, "hash": event.hash}  # fmt: skip


def _write_masks(folder: Path, ledger: Ledger) -> None:
    state = ledger.state
    described: dict[str, str] = {}
    for subject, versions in sorted(state.versions.items()):
        names = _descriptions(state, versions)
        for label, desc in names.items():
            made = state.labels[label]
            stem = f"{subject}_space-orig_label-lesion_desc-{desc}_mask"
            place = folder / subject / "anat"
            place.mkdir(parents=True, exist_ok=True)
            write_volume(place / f"{stem}.nii.gz", ledger.mask(made.mask))
            (place / f"{stem}.json").write_text(
                json.dumps(_sidecar(state, made), indent=2) + "\n", encoding="utf-8"
            )
            described[desc] = _DESCRIBED.get(desc[:1], "version of the mask, oldest first")
    rows = ["desc_id\tdescription", *(f"{d}\t{text}" for d, text in sorted(described.items()))]
    (folder / "descriptions.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    record = {
        "Name": "fcdsynth ledger: lesion masks and their history",
        "BIDSVersion": _BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "fcdsynth", "Version": __version__}],
        "SourceDatasets": [],
        "DatasetLinks": {"raw": "../"},
    }
    (folder / "dataset_description.json").write_text(
        json.dumps(record, indent=2) + "\n", encoding="utf-8"
    )


_DESCRIBED = {
    "r": "what one reader drew",
    "c": "consensus of three readers or more (STAPLE)",
    "v": "version of the mask, oldest first",
}


def _descriptions(state: State, versions: list[str]) -> dict[str, str]:
    """``r1``, ``cons`` or ``v01`` of each label version; planted ones are left out."""
    by_review = {r.new_label: r.reader for r in state.reviews.values() if r.new_label}
    readers = {name: f"r{k}" for k, name in enumerate(sorted(state.readers), start=1)}
    found: dict[str, str] = {}
    used: set[str] = set()
    for number, label in enumerate(versions, start=1):
        made = state.labels[label]
        if made.origin == LabelOrigin.PLANTED:
            continue
        desc = f"v{number:02d}"
        if made.origin == LabelOrigin.CONSENSUS and "cons" not in used:
            desc = "cons"
        elif label in by_review and readers.get(by_review[label], "") not in used | {""}:
            desc = readers[by_review[label]]
        used.add(desc)
        found[label] = desc
    return found


def _sidecar(state: State, made: LabelMade) -> dict[str, Any]:
    status = state.status[made.label]
    return {
        "Type": "Lesion",
        "Sources": [f"bids:raw:{made.subject}"],
        "SpatialReference": "orig",
        "LabelVersion": made.label,
        "Parent": made.parent or None,
        "Origin": made.origin,
        "Status": status.value,
        "EvidenceRank": made.evidence_rank,
        "Evidence": made.evidence,
        "VolumeMl": made.volume_ml,
        "MaskHash": made.mask,
        "Active": status is Status.ACTIVE,
    }
