"""Subject: one person (real, simulated or synthetic) with the files that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class Group(StrEnum):
    """Whether the subject has an FCD."""

    PATIENT = "patient"
    CONTROL = "control"


class Origin(StrEnum):
    """Where the images come from."""

    REAL = "real"
    PHANTOM = "phantom"
    SYNTHETIC = "synthetic"


class Split(StrEnum):
    """What the subject is used for."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    NONE = "none"


class Role(StrEnum):
    """What a real subject gave to a synthetic one."""

    HOST = "host"
    STYLE = "style"
    MASK = "mask"


FILE_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "t1w": "T1-weighted volume",
        "flair": "FLAIR volume",
        "lesion": "lesion mask for training, as an annotator drew it (or as it was drawn or made)",
        "truth": "exact lesion mask on the native T1w grid; phantoms only, read by evaluate alone",
        "lesion_t1w": "the annotator's mask carried to the native T1w grid (written by prepare)",
        "t1w_native": "T1-weighted volume as acquired (written by prepare)",
        "flair_native": "FLAIR volume as acquired (written by prepare)",
        "brain": "brain mask",
        "labels": "label map of FreeSurfer, FastSurfer or SynthSeg in the T1w's world, any grid",
        "tissue": "tissue labels, see fcdsynth.core.tissue",
        "depth": "sulcal depth: mm below the closed brain hull",
        "ribbon": "depth in the cortical ribbon, above 0 at the pial to 1 at the white matter side",
        "lobes": "lobe and side labels, see fcdsynth.measure.lobes",
        "t1w_z": "T1w z-score against the cohort's own controls (written by prepare)",
        "flair_z": "FLAIR z-score against the cohort's own controls (written by prepare)",
        "t1w_mirror": "T1w minus its mirrored place, in robust SD of the brain",
        "flair_mirror": "FLAIR minus its mirrored place, in robust SD of the brain",
        "soft": "soft lesion map in [0, 1] (written by draw)",
        "track": "transmantle track, the part of the region that runs to a ventricle (by draw)",
        "region": "region that was or will be redrawn (written by draw)",
        "drawn": "lesion mask as drawn, before it was trimmed to what changed (by synthesize)",
        "transforms": "JSON with the 4 x 4 world matrices flair_to_t1w and t1w_to_mni",
        "spec": "JSON with the draw's spec",
    }
)


# The files of a prepared subject that share its prepared grid.
ON_PREPARED_GRID = (
    "t1w", "flair", "lesion", "brain", "tissue", "depth", "lobes", "ribbon", "t1w_mirror",
    "flair_mirror", "t1w_z", "flair_z",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parent:
    """A real subject that a synthetic one was made from, with its role."""

    subject: str
    role: Role

    def __str__(self) -> str:
        return f"{self.subject}:{self.role.value}"

    @classmethod
    def parse(cls, text: str) -> Parent:
        """Read ``id:role`` back."""
        subject, _, role = text.rpartition(":")
        return cls(subject, Role(role))


@dataclass(frozen=True, slots=True)
class Subject:
    """One row of a cohort table.

    Args:
        id: Pseudonym, such as ``sub-00001``; unique in a cohort.
        group: Patient or control.
        origin: Real, phantom or synthetic.
        site: Name of the site, empty when unknown.
        scanner: Serial number or name of the scanner, empty when unknown.
        split: What the subject is used for.
        parents: For synthetic subjects, the real ones they were made from.
        sex: ``M``, ``F`` or empty.
        age_code: Age as given by the source (a class code in ds004199), or empty.
        subtype: Histological subtype (``IIa``, ``IIb``), or empty.
        side: ``L``, ``R`` or empty.
        lobe: Lobe code or codes, comma separated, as in ds004199 (``FL``, ``TL,PL``), or empty.
        mri_negative: ``yes``, ``no`` or empty.
        family: Subjects that share a name here are no independent evidence: relatives, repeated
            scans of one person, or simulated ones of one anatomy. Empty for one on their own.
        files: Path of each file by its key in `FILE_KEYS`, relative to the cohort folder.
    """

    id: str
    group: Group
    origin: Origin
    site: str = ""
    scanner: str = ""
    split: Split = Split.NONE
    parents: tuple[Parent, ...] = ()
    sex: str = ""
    age_code: str = ""
    subtype: str = ""
    side: str = ""
    lobe: str = ""
    mri_negative: str = ""
    family: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_patient(self) -> bool:
        """Whether the subject has an FCD."""
        return self.group is Group.PATIENT

    def has(self, key: str) -> bool:
        """Whether the subject has a file of this key."""
        return bool(self.files.get(key))
