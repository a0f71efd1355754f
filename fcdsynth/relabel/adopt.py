"""The verb adopt: signed decisions make the next version of a cohort."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from fcdsynth.core.cohort import TABLE, Cohort
from fcdsynth.core.errors import CohortError, LedgerError
from fcdsynth.core.resample import resample_mask
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Origin, Split, Subject
from fcdsynth.core.volume import Volume, read_grid, read_mask, write_volume
from fcdsynth.ledger.maskstore import pack
from fcdsynth.ledger.records import Released, label_id
from fcdsynth.ledger.state import State
from fcdsynth.ledger.store import Ledger
from fcdsynth.ledger.words import Status
from fcdsynth.relabel.consensus import settle
from fcdsynth.relabel.decisions import Decision, decide
from fcdsynth.relabel.facts import MASK_KEY

SUMMARY = "adopt.json"
ACTOR = "fcdsynth adopt"


def adopt(cohort: str, ledger: str, out: str) -> Path:
    """Make the next version of a cohort from signed decisions.

    Nothing is edited in place: the new folder holds a table whose version is one higher, and the
    masks that differ, on the native T1w grid and on the prepared grid. A patient whose mask was
    withdrawn or is disputed stays in the table and leaves training and validation; a withdrawn
    mask is no longer listed. Test subjects stay test subjects, and changes to their masks are
    counted apart, as they change what is measured. Reviews that nobody signed are not adopted.
    Three or more readers who all drew an outline are joined by STAPLE; how readers differ is
    written down. The ledger receives all this and a release, in one transaction at the end.

    ``fcdsynth study`` compares before and after: an arm with ``labels: OUT`` trains on the new
    masks.

    Args:
        cohort: Folder or table of the prepared cohort that was reviewed.
        ledger: The ledger's file.
        out: Folder of the next version.

    Returns:
        The folder.

    Raises:
        CohortError: If the cohort cannot be read, or its masks are not in the ledger.
        LedgerError: If the ledger cannot be read or written.
        RunError: If the folder holds something else.
    """
    table = Cohort.read(cohort)
    given = Path(cohort)
    version = table.version + 1
    name = f"{table.name}-v{version}"
    inputs = [given if given.suffix == ".csv" else given / TABLE]
    with Ledger.open(ledger) as opened:
        state = opened.state
        before = state.releases.get(name)
        settings = {"cohort": cohort, "ledger": ledger, "release": name}
        run = Run(out, "adopt", settings, inputs)
        if run.complete:
            return run.out
        with run:
            settled = [settle(opened, d) for d in decide(state)] if before is None else []
            decisions = tuple(one.decision for one in settled)
            joint = {digest: mask for one in settled for digest, mask in one.masks.items()}
            # A release without its folder is of a run that was stopped just before the end.
            release = before or _release(table, state, decisions, name)
            _write(run.folder, run.out, table, version, release, opened, joint)
            _write_summary(run.folder / SUMMARY, table, release, decisions)
            if before is None:
                told = [record for one in settled
                        for record in (*one.records, *one.decision.changes)]  # fmt: skip
                opened.extend([*told, release], ACTOR, list(joint.values()))
    return run.out


def _release(table: Cohort, state: State, decisions: tuple[Decision, ...], name: str) -> Released:
    """Labels and exclusions after the decisions, by subject."""
    labels, excluded = dict(state.active), {}
    for label, status in state.status.items():
        subject = state.labels[label].subject
        if status is Status.DISPUTED and subject not in labels:
            labels[subject] = label
            excluded[subject] = "disputed"
        if status is Status.WITHDRAWN and subject not in labels:
            excluded[subject] = "withdrawn"
    for decision in decisions:
        if decision.outcome in ("kept", "edited"):
            excluded.pop(decision.subject, None)
        if decision.outcome == "edited":
            labels[decision.subject] = decision.changes[0].label
        elif decision.outcome == "withdrawn":
            labels.pop(decision.subject, None)
            excluded[decision.subject] = f"withdrawn: {decision.reason}"
        elif decision.outcome == "disputed":
            excluded[decision.subject] = f"disputed: {decision.reason}"
    ids = {s.id for s in table.subjects}
    return Released(
        name, str(state.head), {k: v for k, v in sorted(labels.items()) if k in ids},
        {k: v for k, v in sorted(excluded.items()) if k in ids},
        {s.id: s.split.value for s in table.subjects},
    )  # fmt: skip


def _write(
    folder: Path, final: Path, table: Cohort, version: int, release: Released, ledger: Ledger,
    joint: Mapping[str, Volume],
) -> None:  # fmt: skip
    rows = []
    moved = table.moved(final)
    for subject, row in zip(table.subjects, moved.subjects, strict=True):
        label = release.labels.get(subject.id)
        excluded = subject.id in release.excluded
        if subject.origin is Origin.SYNTHETIC or not (label or excluded or subject.has(MASK_KEY)):
            rows.append(row)
            continue
        files = dict(row.files)
        if label is None and not excluded:
            raise CohortError(
                subject.id, "no label of it in the ledger", "every mask recorded",
                "Run fcdsynth ledger record on this cohort first.",
            )  # fmt: skip
        if label is None:
            for key in ("lesion", MASK_KEY):
                files.pop(key, None)
        else:
            files |= _adopted(folder, table, subject, label, ledger, joint)
        split = row.split
        if excluded and split in (Split.TRAIN, Split.VAL):
            split = Split.NONE
        elif not excluded and split is Split.NONE:
            split = _before_exclusion(ledger.state, subject.id)
        rows.append(replace(row, files=files, split=split))
    next_version = replace(moved, folder=folder, subjects=tuple(rows), version=version)
    next_version.write()


def _before_exclusion(state: State, subject: str) -> Split:
    """The split that a subject had when a release put it aside; none where none did."""
    for release in state.releases.values():
        if subject in release.excluded:
            return Split(release.splits.get(subject, Split.NONE))
    return Split.NONE


def _adopted(
    folder: Path, table: Cohort, subject: Subject, label: str, ledger: Ledger,
    joint: Mapping[str, Volume],
) -> Mapping[str, str]:  # fmt: skip
    """Files of an adopted mask, none where the cohort has that mask already."""
    if subject.has(MASK_KEY) and label == _own(table, subject):
        return {}
    # A joint outline is written into the ledger at the end, with the release.
    mine = [d for d in joint if label_id(subject.id, d) == label]
    mask = joint[mine[0]] if mine else ledger.mask(ledger.state.labels[label].mask)
    grids = {MASK_KEY: MASK_KEY if subject.has(MASK_KEY) else "t1w_native", "lesion": "t1w"}
    place = folder / subject.id
    place.mkdir(exist_ok=True)
    for key, like in grids.items():
        grid = read_grid(table.path(subject, like))
        mask_there = mask if mask.grid.close_to(grid) else resample_mask(mask, grid)
        if not mask_there.array.any():
            raise LedgerError(
                label, f"a mask that lies outside the {key} grid of {subject.id}",
                "a mask on the head", "Look at the edited mask.",
            )  # fmt: skip
        write_volume(place / f"{subject.id}_{key}.nii.gz", mask_there)
    return {key: f"{subject.id}/{subject.id}_{key}.nii.gz" for key in grids}


def _own(table: Cohort, subject: Subject) -> str:
    return label_id(subject.id, pack(read_mask(table.path(subject, MASK_KEY)))[0])


def _write_summary(
    path: Path, table: Cohort, release: Released, decisions: tuple[Decision, ...]
) -> None:
    test = {s.id for s in table.subjects if s.split is Split.TEST}
    outcomes = ("kept", "edited", "withdrawn", "disputed")
    record = {
        "release": release.release,
        "from": table.name,
        "head": release.head,
        "decisions": {o: sum(d.outcome == o for d in decisions) for o in outcomes},
        "in_test": {o: sum(d.outcome == o and d.subject in test for d in decisions)
                    for o in outcomes},
        "excluded": dict(release.excluded),
        "changes": [{"subject": d.subject, "label": d.label, "outcome": d.outcome,
                     "reason": d.reason} for d in decisions],
    }  # fmt: skip
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
