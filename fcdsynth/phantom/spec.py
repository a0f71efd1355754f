"""Draw one subject: everything random about it, as a record that is written down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fcdsynth.measure.lobes import BONN_LOBES, BONN_SIDES
from fcdsynth.phantom.acquisition import ScanSpec
from fcdsynth.phantom.annotator import AnnotatorSpec
from fcdsynth.phantom.contrast import CONTRASTS, ContrastSpec
from fcdsynth.phantom.parts import Part
from fcdsynth.phantom.placement import LesionSpec
from fcdsynth.phantom.pose import PoseSpec
from fcdsynth.phantom.shells import ShellSpec

# Lesion volume: log-normal law, median 2.8 ml and spread 1.25 on the natural logarithm (MELD,
# Spitzer et al. 2022, areas turned into volumes), cut to what the phantom is asked to hold.
VOLUME_MEDIAN_ML, VOLUME_SIGMA = 2.8, 1.25
VOLUME_RANGE_ML = (0.3, 20.0)
_TYPE_IIB = 34 / 50  # of the 50 patients of ds004199 with histology
_TAIL_IIB = 0.64  # transmantle sign in visible type II (Mellerio et al. 2012)
# Below this contrast times cube root of relative volume, a radiologist reports nothing.
_OVERLOOKED = 0.6


@dataclass(frozen=True)
class Demographics:
    """Columns of participants.tsv that no image depends on."""

    sex: str
    age_code: int
    onset_code: int | None
    operated: bool


@dataclass(frozen=True)
class SubjectSpec:
    """Everything random about one subject.

    Args:
        id: Such as ``sub-00001``.
        patient: Whether it has a lesion.
        site_number: Scanner, from 1.
        anatomy: File name of the label map, or the template's name.
        pose: Size, pose and warp of the head.
        shell: Skull and scalp, for anatomies without them.
        contrast: Brightness and texture.
        scans: The two acquisitions, by contrast.
        demographics: Columns of participants.tsv.
        lesion: The lesion, None for controls.
        annotator: How it was outlined, None for controls.
    """

    id: str
    patient: bool
    site_number: int
    anatomy: str
    pose: PoseSpec
    shell: ShellSpec
    contrast: ContrastSpec
    scans: dict[str, ScanSpec]
    demographics: Demographics
    lesion: LesionSpec | None
    annotator: AnnotatorSpec | None


@dataclass(frozen=True)
class LesionLaw:
    """What a user may choose about lesions and their outlines.

    Args:
        contrast_sd: Lowest and highest FLAIR contrast in standard deviations of the
            surrounding tissue.
        annotator_sd_mm: Spread of the outline's error in mm.
        shift_share: Share of outlines that are also shifted by 2 to 4 mm.
    """

    contrast_sd: tuple[float, float]
    annotator_sd_mm: float
    shift_share: float


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    return (float(values[0]), float(values[1]), float(values[2]))


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31))


def draw_volume_ml(rng: np.random.Generator) -> float:
    """Draw from the truncated log-normal law by rejection (accepts about 90 %)."""
    while True:
        volume = float(np.exp(np.log(VOLUME_MEDIAN_ML) + VOLUME_SIGMA * rng.standard_normal()))
        if VOLUME_RANGE_ML[0] <= volume <= VOLUME_RANGE_ML[1]:
            return volume


def draw_lesion(rng: np.random.Generator, law: LesionLaw) -> LesionSpec:
    """Draw a lesion: place, size, type and looks."""
    volume_ml = draw_volume_ml(rng)
    contrast_sd = float(rng.uniform(*law.contrast_sd))
    subtype = "IIb" if rng.random() < _TYPE_IIB else "IIa"
    shares = np.array(list(BONN_LOBES.values())) / sum(BONN_LOBES.values())
    dark = rng.random() < 0.08 and law.contrast_sd[0] < 2
    visible = contrast_sd * np.cbrt(volume_ml / VOLUME_MEDIAN_ML)
    return LesionSpec(
        lobe=str(rng.choice(list(BONN_LOBES), p=shares)),
        side="L" if rng.random() < BONN_SIDES["L"] / sum(BONN_SIDES.values()) else "R",
        volume_ml=volume_ml,
        subtype=subtype,
        contrast_sd=-contrast_sd if dark else contrast_sd,
        t1w_sd=float(-contrast_sd * rng.uniform(0.05, 0.35)),
        thickening_mm=float(rng.uniform(0.3, 1.8)),
        blur_mm=float(rng.uniform(0.6, 2.4)),
        cortex_share=float(rng.uniform(0.45, 1.0)),
        tail=bool(subtype == "IIb" and not dark and rng.random() < _TAIL_IIB),
        roughness=float(rng.uniform(0.3, 0.8)),
        depth_bias=2.5 if volume_ml < VOLUME_MEDIAN_ML else 0.8,
        mri_negative=bool(visible < _OVERLOOKED),
        seed=_seed(rng),
    )


def draw_annotator(rng: np.random.Generator, law: LesionLaw) -> AnnotatorSpec:
    """Draw how a lesion was outlined."""
    sd = law.annotator_sd_mm
    direction = rng.standard_normal(3)
    length = rng.uniform(2, 4) if rng.random() < law.shift_share else rng.uniform(0, 0.4 * sd)
    return AnnotatorSpec(
        offset_mm=float(np.clip(rng.normal(0.3 * sd, 0.7 * sd), -1.5 * sd, 2 * sd)),
        wobble_mm=sd,
        shift_mm=_triple(direction / np.linalg.norm(direction) * length),
        keeps_tail=bool(rng.random() < 0.5),
        seed=_seed(rng),
    )


def draw_subject(
    id: str, patient: bool, site_number: int, anatomies: tuple[str, ...],
    seed: tuple[int, int, int], law: LesionLaw,
) -> SubjectSpec:  # fmt: skip
    """Draw a subject from its own seed, so that other subjects have no influence on it."""
    rng = np.random.default_rng(seed)
    pose = PoseSpec(
        flip=bool(rng.random() < 0.5),
        angles_deg=_triple(rng.normal(0, (4, 2, 3))),
        shift_mm=_triple(rng.normal((0, 22, 18), (2, 6, 6))),
        stretch=_triple(np.exp(rng.normal(0, 0.03) + rng.normal(0, 0.018, 3))),
        warp_mm=float(rng.uniform(1.8, 3.0)),
        detail_mm=float(rng.uniform(0.7, 1.3)),
        seed=_seed(rng),
    )
    shell = ShellSpec(
        csf_mm=float(rng.uniform(1.2, 2.6)),
        table_mm=float(rng.uniform(1.4, 2.0)),
        marrow_mm=float(rng.uniform(1.8, 3.6)),
        fat_mm=float(rng.uniform(3.0, 5.5)),
        skin_mm=float(rng.uniform(1.6, 2.4)),
    )
    factors = {
        c: tuple(float(v) for v in np.exp(rng.normal(0, 0.015, len(Part)))) for c in CONTRASTS
    }
    scans = {
        contrast: ScanSpec(
            tilt_deg=_triple(rng.normal(0, (4, 2, 2))),
            offset_mm=_triple(rng.normal(0, 3, 3)),
            motion_deg=(0.0, 0.0, 0.0) if contrast == "t1w" else _triple(rng.normal(0, 0.9, 3)),
            motion_mm=(0.0, 0.0, 0.0) if contrast == "t1w" else _triple(rng.normal(0, 1.2, 3)),
            seed=_seed(rng),
        )
        for contrast in CONTRASTS
    }
    age = int(rng.integers(3, 11))
    demographics = Demographics(
        sex="M" if rng.random() < 0.55 else "F",
        age_code=age,
        onset_code=int(rng.integers(1, age + 1)) if patient else None,
        operated=bool(patient and rng.random() < 50 / 85),
    )
    anatomy = str(rng.choice(anatomies))
    contrast = ContrastSpec(factors, _seed(rng))
    lesion = draw_lesion(rng, law) if patient else None
    annotator = draw_annotator(rng, law) if patient else None
    return SubjectSpec(id, patient, site_number, anatomy, pose, shell, contrast, scans,
                       demographics, lesion, annotator)  # fmt: skip
