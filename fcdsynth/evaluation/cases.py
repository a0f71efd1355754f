"""The records of one evaluation: what was measured on each subject, lesion and cluster.

They are the only layer that saw images. Every figure is derived from them, so a report can be
recomputed from its JSON alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fcdsynth.core.subject import Group
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.site import SiteProbability

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Found:
    """The fate of a lesion under one rule.

    Args:
        cluster: The cluster that found it, None when missed.
        score: Score of that cluster.
        dice: Dice of lesion and that cluster.
        chance: Share of random draws in which the lesion was found; None without draws.
    """

    cluster: int | None
    score: float | None
    dice: float | None
    chance: float | None


@dataclass(frozen=True, slots=True)
class LesionRecord:
    """One 26-connected lesion of the reference mask.

    Args:
        lesion: Its number in the subject, 1 the largest.
        size_vox: Voxels on the native T1w grid.
        volume_ml: Volume in ml.
        centre_mm: Centre of mass, RAS+ mm, native T1w world.
        inside_brain: Share of its voxels inside the brain mask.
        site: Probability inside it.
        mirror: Probability at the mirrored site, None where there is none to speak of.
        random: Mean probability at random sites of the same volume, None as above.
        found: Its fate by rule.
    """

    lesion: int
    size_vox: int
    volume_ml: float
    centre_mm: Point
    inside_brain: float
    site: SiteProbability
    mirror: SiteProbability | None
    random: SiteProbability | None
    found: Mapping[Rule, Found]


@dataclass(frozen=True, slots=True)
class ClusterRecord:
    """One cluster of the detector.

    Args:
        cluster: Its number in the subject's cluster map.
        score: Calibrated lesion probability in [0, 1].
        size_vox: Voxels on the native T1w grid.
        volume_ml: Volume in ml.
        centre_mm: Centre of mass, RAS+ mm, native T1w world.
        gap_mm: Distance to the nearest lesion voxel, None beyond 20 mm or without a lesion.
        roles: What it counts as by rule.
    """

    cluster: int
    score: float
    size_vox: int
    volume_ml: float
    centre_mm: Point
    gap_mm: float | None
    roles: Mapping[Rule, Role]


@dataclass(frozen=True, slots=True)
class SubjectRecord:
    """One subject.

    Args:
        id: Pseudonym.
        group: Patient or control.
        origin: Real, phantom or synthetic.
        site: Name of the site, empty when unknown.
        scanner: Name of the scanner, empty when unknown.
        subtype: Histological subtype, or empty.
        lobe: Lobe code, or empty.
        mri_negative: ``yes``, ``no`` or empty.
        flair: Whether the subject has a FLAIR volume.
        reference: Which mask was the reference: ``truth``, ``lesion_t1w``, or empty for
            controls.
        lesions: Lesions, largest first.
        clusters: Clusters, highest score first.
        dice: Dice of the whole reference and all clusters; None for controls.
        whole_site: Probability inside the whole reference mask; None for controls.
        whole_mirror: Probability at its mirrored site, None where there is none.
        mirror_by: What the mirror is: ``mni`` or ``brain centre``; empty for controls.
        chance: Share of random draws in which any lesion was found, by rule; None for
            controls or without draws.
    """

    id: str
    group: Group
    origin: str
    site: str
    scanner: str
    subtype: str
    lobe: str
    mri_negative: str
    flair: bool
    reference: str
    lesions: tuple[LesionRecord, ...]
    clusters: tuple[ClusterRecord, ...]
    dice: float | None
    whole_site: SiteProbability | None
    whole_mirror: SiteProbability | None
    mirror_by: str
    chance: Mapping[Rule, float] | None

    @property
    def is_patient(self) -> bool:
        """Whether the subject has an FCD."""
        return self.group is Group.PATIENT

    @property
    def score(self) -> float:
        """Highest score of the subject's clusters, 0 when it has none."""
        return max((cluster.score for cluster in self.clusters), default=0.0)

    def n_found(self, rule: Rule) -> int:
        """Number of lesions found under a rule."""
        return sum(lesion.found[rule].cluster is not None for lesion in self.lesions)

    def n_role(self, rule: Rule, role: Role) -> int:
        """Number of clusters that count as a role under a rule."""
        return sum(cluster.roles[rule] is role for cluster in self.clusters)

    def to_json(self) -> dict[str, Any]:
        """As plain dictionaries, lists and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SubjectRecord:
        """Read back what `to_json` gave, also after a trip through JSON text."""
        chance = record["chance"]
        return cls(
            **{
                **record,
                "group": Group(record["group"]),
                "lesions": tuple(_lesion(entry) for entry in record["lesions"]),
                "clusters": tuple(_cluster(entry) for entry in record["clusters"]),
                "whole_site": _site(record["whole_site"]),
                "whole_mirror": _site(record["whole_mirror"]),
                "chance": None if chance is None else {Rule(k): v for k, v in chance.items()},
            }
        )


def _site(entry: Mapping[str, float] | None) -> SiteProbability | None:
    return None if entry is None else SiteProbability(**entry)


def _lesion(entry: Mapping[str, Any]) -> LesionRecord:
    return LesionRecord(
        **{
            **entry,
            "centre_mm": tuple(entry["centre_mm"]),
            "site": SiteProbability(**entry["site"]),
            "mirror": _site(entry["mirror"]),
            "random": _site(entry["random"]),
            "found": {Rule(name): Found(**fate) for name, fate in entry["found"].items()},
        }
    )


def _cluster(entry: Mapping[str, Any]) -> ClusterRecord:
    roles = {Rule(name): Role(role) for name, role in entry["roles"].items()}
    return ClusterRecord(**{**entry, "centre_mm": tuple(entry["centre_mm"]), "roles": roles})
