"""The records of one evaluation: what was measured on each subject, lesion and cluster.

They are the only layer that saw images. Every figure is derived from them, so a report can be
recomputed from its JSON alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fcdsynth.core.errors import CohortError
from fcdsynth.core.subject import Group
from fcdsynth.evaluation.matching import Role
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.site import SiteProbability

Point = tuple[float, float, float]
_VOLUME_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Found:
    """The fate of a lesion under one rule.

    Args:
        cluster: The cluster that found it, None when missed.
        score: Score of that cluster.
        dice: Dice of lesion and that cluster.
        assd_mm: Average symmetric surface distance of the two, mm.
        hd95_mm: 95th percentile of their surface distances (Hausdorff 95), mm.
        chance: Share of random draws in which the lesion was found; None without draws.
    """

    cluster: int | None
    score: float | None
    dice: float | None
    assd_mm: float | None
    hd95_mm: float | None
    chance: float | None


@dataclass(frozen=True, slots=True)
class LesionRecord:
    """One 26-connected lesion of the reference mask.

    Args:
        lesion: Its number in the subject, 1 the largest.
        size_vox: Voxels on the native T1w grid.
        volume_ml: Volume in ml.
        centre_mm: Centre of mass, RAS+ mm, native T1w world.
        lobe: Lobe by the prepared lobe map, else the subject's when that names one lobe; or empty.
        side: ``L`` or ``R``, likewise.
        inside_brain: Share of its voxels inside the brain mask; None without a mask.
        site: Probability inside it; None where maps hold no probabilities.
        mirror: Probability at the mirrored site, None where there is none to speak of.
        random: Mean probability at random sites of the same volume, None as above.
        found: Its fate by rule.
    """

    lesion: int
    size_vox: int
    volume_ml: float
    centre_mm: Point
    lobe: str
    side: str
    inside_brain: float | None
    site: SiteProbability | None
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
        centre_mni_mm: The same in MNI space; None without a transform.
        lobe: Lobe of most of its voxels by the prepared lobe map, or empty.
        side: ``L`` or ``R``, by the same map, else by the MNI x, else by the middle of
            the brain.
        gap_mm: Distance to the nearest lesion voxel, None beyond 20 mm or without a lesion.
        roles: What it counts as by rule.
    """

    cluster: int
    score: float
    size_vox: int
    volume_ml: float
    centre_mm: Point
    centre_mni_mm: Point | None
    lobe: str
    side: str
    gap_mm: float | None
    roles: Mapping[Rule, Role]


@dataclass(frozen=True, slots=True)
class VoxelBins:
    """Voxels of the brain by their probability, in bins of equal width from 0 to 1.

    Args:
        n: Voxels in each bin.
        lesion: Those of them inside the reference.
        total: Sum of their probabilities.
    """

    n: tuple[int, ...]
    lesion: tuple[int, ...]
    total: tuple[float, ...]


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
        lobe: Lobe code of the table, or empty.
        mri_negative: ``yes``, ``no`` or empty.
        flair: ``3D``, ``2D`` (thick slices), ``none``, or ``unknown``.
        family: Subjects of one family are resampled together; empty for one on their own.
        seen_site: Whether the detector was trained on subjects of the same site: ``yes``,
            ``no``, or empty when unknown.
        reference: Which mask was the reference: ``truth``, ``lesion_t1w``, or empty for
            controls.
        lesions: Lesions, largest first.
        clusters: Clusters, highest score first.
        dice: Dice of the whole reference and all clusters; None for controls.
        whole_site: Probability inside the whole reference mask; None for controls.
        whole_mirror: Probability at its mirrored site, None where there is none.
        ranked: Whether scores tell clusters apart; not so in binary maps.
        brain: Whether there is a brain mask.
        mirror_by: What the mirror is: ``mni`` or ``brain centre``; empty where there is none.
        random_in: Where random sites lie: ``ribbon`` (the prepared map of the cortical ribbon) or
            ``brain``; empty where there are none.
        chance: Share of random draws in which any lesion was found, by rule; None for
            controls or without draws.
        bins: Voxels by probability, in the brain mask where there is one; None where maps hold
            no probabilities.
    """

    id: str
    group: Group
    origin: str
    site: str
    scanner: str
    subtype: str
    lobe: str
    mri_negative: str
    flair: str
    family: str
    seen_site: str
    reference: str
    lesions: tuple[LesionRecord, ...]
    clusters: tuple[ClusterRecord, ...]
    dice: float | None
    whole_site: SiteProbability | None
    whole_mirror: SiteProbability | None
    ranked: bool
    brain: bool
    mirror_by: str
    random_in: str
    chance: Mapping[Rule, float] | None
    bins: VoxelBins | None

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

    def require_same_reference(self, other: SubjectRecord) -> None:
        """Raise unless another run saw the same lesions in this subject.

        Raises:
            CohortError: If group or volumes differ.
        """
        ours, theirs = ([le.volume_ml for le in s.lesions] for s in (self, other))
        same = len(ours) == len(theirs) and all(
            abs(a - b) <= _VOLUME_TOLERANCE * a for a, b in zip(ours, theirs, strict=True)
        )
        if self.group is not other.group or not same:
            raise CohortError(
                self.id, f"lesions of {theirs} ml in a later run", f"those of the first: {ours} ml",
                "Evaluate all runs against one version of the reference masks.",
            )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """As plain dictionaries, lists and numbers."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> SubjectRecord:
        """Read back what `to_json` gave, also after a trip through JSON text."""
        chance, bins = record["chance"], record["bins"]
        return cls(
            **{
                **record,
                "group": Group(record["group"]),
                "lesions": tuple(_lesion(entry) for entry in record["lesions"]),
                "clusters": tuple(_cluster(entry) for entry in record["clusters"]),
                "whole_site": _site(record["whole_site"]),
                "whole_mirror": _site(record["whole_mirror"]),
                "chance": None if chance is None else {Rule(k): v for k, v in chance.items()},
                "bins": None
                if bins is None
                else VoxelBins(**{k: tuple(v) for k, v in bins.items()}),
            }
        )


def _site(entry: Mapping[str, float] | None) -> SiteProbability | None:
    return None if entry is None else SiteProbability(**entry)


def _lesion(entry: Mapping[str, Any]) -> LesionRecord:
    return LesionRecord(
        **{
            **entry,
            "centre_mm": tuple(entry["centre_mm"]),
            "site": _site(entry["site"]),
            "mirror": _site(entry["mirror"]),
            "random": _site(entry["random"]),
            "found": {Rule(name): Found(**fate) for name, fate in entry["found"].items()},
        }
    )


def _cluster(entry: Mapping[str, Any]) -> ClusterRecord:
    roles = {Rule(name): Role(role) for name, role in entry["roles"].items()}
    mni = entry["centre_mni_mm"]
    return ClusterRecord(
        **{
            **entry,
            "centre_mm": tuple(entry["centre_mm"]),
            "centre_mni_mm": None if mni is None else tuple(mni),
            "roles": roles,
        }
    )
