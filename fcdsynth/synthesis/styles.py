"""What a finished generator needs to know about its training: styles, contrasts, geometry."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import default_collate

from fcdsynth.core.errors import RunError
from fcdsynth.core.subject import Split, Subject
from fcdsynth.synthesis.conditions import blanked, conditions
from fcdsynth.synthesis.contrasts import Contrasts, healthy_contrasts, lesion_contrasts
from fcdsynth.synthesis.data import SynthesisData
from fcdsynth.synthesis.networks import Generator
from fcdsynth.synthesis.patches import SynthesisPatches
from fcdsynth.synthesis.scans import Scan, code_of, law_of, normal_like
from fcdsynth.synthesis.stretch import stretch_of, stretched
from fcdsynth.synthesis.thickness import border_ratio

FILE = "styles.json"
# Places measured in every training subject; with 20 subjects, 80 healthy contrasts.
_PLACES = 4


@dataclass(frozen=True)
class LesionStyle:
    """Style code of one training lesion, and what it shows.

    Args:
        subject: Id of the patient.
        mean: Mean of the code.
        sd: Standard deviation of the code.
        contrasts: Lesion minus ring in the real image, one number per channel in prepared
            units; NaN where it could not be measured.
        border: How dense its grey-white border is, see `border_ratio`; NaN where it could not be
            measured.
    """

    subject: str
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    contrasts: Contrasts
    border: float


@dataclass(frozen=True)
class Styles:
    """Styles of all training lesions and scans, and the geometry the generator was trained at.

    Args:
        crop: Side of the training crops, voxels.
        margin_mm: Width of the redrawn rim around a lesion.
        spacing_mm: Voxel sizes of the training cohort.
        flair: Whether there is a FLAIR channel.
        lesions: In order of their subjects' ids.
        healthy: Contrasts of untouched places of the training subjects, one number per channel.
        scans: Styles of the training subjects' scans in order of their ids; none where whole
            brains were not trained.
        stretch: Codes are drawn farther from their mean by this factor, see
            `fcdsynth.synthesis.stretch`.
    """

    crop: int
    margin_mm: float
    spacing_mm: tuple[float, float, float]
    flair: bool
    lesions: tuple[LesionStyle, ...]
    healthy: tuple[Contrasts, ...]
    scans: tuple[Scan, ...]
    stretch: float

    def code_like(self, lesion: LesionStyle, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw a code like a training lesion's, as far apart as drawn lesions need."""
        centre = np.mean([known.mean for known in self.lesions], axis=0)
        code = np.asarray(lesion.mean) + np.asarray(lesion.sd) * rng.standard_normal(len(centre))
        return stretched(code, centre, self.stretch).astype(np.float32)

    def code_between(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw a code from the normal law of all training lesions' codes, as far apart."""
        codes = np.array([known.mean for known in self.lesions])
        return stretched(normal_like(codes, rng), codes.mean(0), self.stretch).astype(np.float32)

    @classmethod
    def read(cls, folder: Path) -> Styles:
        """Read them from a run's folder.

        Raises:
            RunError: If the run is not one of a generator.
        """
        path = folder / FILE
        if not path.is_file():
            raise RunError(str(folder), f"no {FILE}", "the run of a generator",
                           "Fit with a configuration of configs/synthesis.")  # fmt: skip
        record = json.loads(path.read_text(encoding="utf-8"))
        try:
            return cls(
                record["crop"],
                record["margin_mm"],
                tuple(record["spacing_mm"]),
                record["flair"],
                tuple(LesionStyle(r["subject"], tuple(r["mean"]), tuple(r["sd"]),
                                  _numbers(r["contrasts"]), *_numbers([r["border"]]))
                      for r in record["lesions"]),
                tuple(_numbers(r) for r in record["healthy"]),
                tuple(Scan(r["subject"], r["site"], tuple(r["code"])) for r in record["scans"]),
                float(record["stretch"]),
            )  # fmt: skip
        except KeyError as error:
            raise RunError(
                str(path), f"no {error.args[0]}", "what fit writes into this file today",
                "Fit the generator again with this version.",
            ) from error  # fmt: skip

    def write(self, folder: Path) -> None:
        """Write them into a run's folder.

        Mean and covariance of the scans' codes (``scan_law``) are there for other programs.
        """
        record = asdict(self) | {"scan_law": law_of(self.scans)}
        record["healthy"] = [_plain(values) for values in self.healthy]
        for row, lesion in zip(record["lesions"], self.lesions, strict=True):
            row["contrasts"] = _plain(lesion.contrasts)
            row["border"] = _plain((lesion.border,))[0]
        (folder / FILE).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _plain(values: Contrasts) -> list[float | None]:
    return [None if np.isnan(value) else round(value, 6) for value in values]


def _numbers(values: list[float | None]) -> Contrasts:
    return tuple(float("nan") if value is None else value for value in values)


def _shown(
    patches: SynthesisPatches, subject: Subject, device: torch.device
) -> tuple[Tensor, Tensor]:
    """True image in [-1, 1] and labels around a training lesion, a batch of one."""
    target, labels, _ = conditions(default_collate([patches.lesion_patch(subject)]))
    return target.to(device), labels.to(device)


@torch.no_grad()
def write_styles(folder: Path, generator: Generator, data: SynthesisData) -> None:
    """Encode and measure every training lesion and scan once, and write ``styles.json``.

    Args:
        folder: The run's folder.
        generator: The averaged generator.
        data: The data module of the fit.
    """
    patches = data.make_dataset(data.cohort.of_split(Split.TRAIN), training=True)
    device = next(generator.parameters()).device
    patients = sorted(patches.patients, key=lambda s: s.id)
    lesions = []
    for subject in patients:
        image, labels = _shown(patches, subject, device)
        mean, log_variance = generator.encode_lesion(image, blanked(image, labels), labels)
        codes = [mean[0], (0.5 * log_variance[0]).exp()]
        mean_list, sd_list = (tuple(round(float(x), 6) for x in code) for code in codes)
        head = patches.head(subject)
        shown = lesion_contrasts(head, data.margin_mm)
        border = border_ratio(head.tissue, head.lesion, head.spacing_mm)
        lesions.append(LesionStyle(subject.id, mean_list, sd_list, shown, border))
    healthy: list[Contrasts] = []
    scans = []
    for subject in sorted(patches.subjects, key=lambda s: s.id):
        head = patches.head(subject)
        if data.full_share > 0:
            scans.append(Scan(subject.id, subject.site, code_of(generator, head.thinned)))
        healthy += healthy_contrasts(patches, head, data.margin_mm, data.crop, _PLACES)
    spacing = patches.head(patches.subjects[0]).spacing_mm
    Styles(
        data.crop, data.margin_mm, spacing, data.flair, tuple(lesions), tuple(healthy),
        tuple(scans), stretch_of(
            generator, (_shown(patches, s, device) for s in patients),
            np.array([x.mean for x in lesions]),
        ),
    ).write(folder)  # fmt: skip
