"""index: read a BIDS folder into a cohort, or name everything that is wrong with it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Literal

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, FcdsynthError, SettingsError
from fcdsynth.core.progress import track
from fcdsynth.core.run import Run
from fcdsynth.core.subject import Origin, Subject
from fcdsynth.prepare.acquisition import Acquisition
from fcdsynth.prepare.audit import CONFOUND, audit_acquisition, warnings_of
from fcdsynth.prepare.bids import DESCRIPTION, find_files, is_phantom, subject_folders
from fcdsynth.prepare.faults import raise_faults
from fcdsynth.prepare.participants import NAME, Participant, read_participants
from fcdsynth.prepare.scans import Scans, check_scans

_LOG = logging.getLogger(__name__)
NOTES = "notes.json"


def index(bids: str, out: str, flair: Literal["required", "optional"] = "required") -> Path:
    """Read a BIDS folder of T1w, FLAIR and lesion masks into a cohort table.

    Reads participants.tsv, headers, file lengths and mask voxels. Either everything is in order
    and the table is written, or all faults are shown in one table and nothing is written.
    Warns when scanner, protocol, scan settings or voxel size predict the group, each alone or all
    together.

    Args:
        bids: BIDS folder, laid out like OpenNeuro ds004199.
        out: Folder to write cohort.csv, confound.json and notes.json into.
        flair: ``required``: a subject without FLAIR is a fault; ``optional``: it is prepared from
            its T1w alone, and has no FLAIR file anywhere.

    Returns:
        The output folder.

    Raises:
        CohortError: If the folder has any fault.
        SettingsError: If ``flair`` is neither of the two words.
    """
    if flair not in ("required", "optional"):
        raise SettingsError("flair", repr(flair), "required or optional", "Choose one of them.")
    root = Path(bids)
    if not root.is_dir():
        raise CohortError(bids, "no folder there", "a BIDS folder", "Check the path.")
    people, faults = read_participants(root)
    layouts = {person.id: find_files(root, person.id) for person in people if person.id}
    settings = {
        "bids": bids,
        "flair": flair,
        "files_sha256": _fingerprint(root),
    }
    small = [root / NAME, root / DESCRIPTION]
    run = Run(out, "index", settings, [path for path in small if path.is_file()])
    if run.complete:
        return run.out
    faults += _rows_and_folders(root, people)
    found: dict[str, Scans] = {}
    for person in track(people, "checking"):
        if not (root / person.id).is_dir() or not person.id:
            continue
        found[person.id] = check_scans(layouts[person.id], person, flair == "optional")
        faults += found[person.id].faults
    raise_faults(faults, bids)

    origin = Origin.PHANTOM if is_phantom(root) else Origin.REAL
    sidecars = {person.id: layouts[person.id].t1w_sidecar for person in people}
    with run:
        folder = run.folder.resolve()
        subjects = tuple(
            _subject(person, origin, found[person.id], sidecars[person.id], folder)
            for person in people
        )
        Cohort(folder, subjects, root.resolve().name).write()
        groups = [person.group for person in people]
        acquired = [Acquisition.of(layouts[p.id], found[p.id].grids) for p in people]
        audits, guessed = audit_acquisition(acquired, groups)
        notes = {name: scans.notes for name, scans in found.items() if scans.notes}
        alarms = warnings_of(audits, guessed)
        confound = {
            "alone": [a.to_json() for a in audits],
            "classifier": [g.to_json() for g in guessed],
            "warnings": alarms,
        }
        for file, record in ((CONFOUND, confound), (NOTES, notes)):
            (folder / file).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for name, texts in notes.items():
        for text in texts:
            _LOG.warning("%s: %s", name, text)
    for text in alarms:
        _LOG.warning("CONFOUND: %s", text)
    return run.out


def _fingerprint(root: Path) -> str:
    """Hash of names and lengths of all files, so that a changed folder is indexed afresh."""
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            length = path.stat().st_size if path.exists() else -1
            digest.update(f"{path.relative_to(root)}\t{length}\n".encode())
    return digest.hexdigest()


def _rows_and_folders(root: Path, people: list[Participant]) -> list[FcdsynthError]:
    """Rows without a folder and folders without a row."""
    folders = set(subject_folders(root))
    ids = {person.id for person in people}
    faults: list[FcdsynthError] = []
    if not ids and not folders:
        faults.append(CohortError(str(root), "no subject", "sub-* folders and their rows",
                                  "Give the root of a BIDS data set."))  # fmt: skip
    for name in sorted(ids - folders):
        faults.append(CohortError(name or NAME, f"a row of {NAME} without a folder",
                                  f"a folder {name or 'sub-ID'}",
                                  "Add the folder or remove the row."))  # fmt: skip
    for name in sorted(folders - ids):
        faults.append(CohortError(name, f"a folder without a row in {NAME}", "one row",
                                  "Add the row or remove the folder."))  # fmt: skip
    return faults


def _subject(
    person: Participant, origin: Origin, scans: Scans, sidecar: dict[str, object], folder: Path
) -> Subject:
    # Links stay as they are named: resolving a git-annex link would lose the BIDS name.
    files = {key: os.path.relpath(Path(path).absolute(), folder)
             for key, path in scans.files.items()}  # fmt: skip
    return Subject(
        person.id,
        person.group,
        origin,
        site=str(sidecar.get("InstitutionName", "")).strip(),
        scanner=str(sidecar.get("DeviceSerialNumber", "")).strip(),
        split=person.split,
        sex=person.sex,
        age_code=person.age_code,
        subtype=person.subtype,
        side=person.side,
        lobe=person.lobe,
        mri_negative=person.mri_negative,
        family=person.family,
        files=files,
    )
