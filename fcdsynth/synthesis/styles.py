"""What a finished generator needs to know about its training: lesion styles and geometry."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import default_collate

from fcdsynth.core.errors import RunError
from fcdsynth.core.subject import Split
from fcdsynth.synthesis.conditions import blanked, label_channels, to_network
from fcdsynth.synthesis.data import SynthesisData
from fcdsynth.synthesis.networks import Generator

FILE = "styles.json"


@dataclass(frozen=True)
class LesionStyle:
    """Style code of one training lesion.

    Args:
        subject: Id of the patient.
        mean: Mean of the code.
        sd: Standard deviation of the code.
    """

    subject: str
    mean: tuple[float, ...]
    sd: tuple[float, ...]

    def sample(self, rng: np.random.Generator) -> NDArray[np.float32]:
        """Draw a code like this lesion's."""
        code = np.asarray(self.mean) + np.asarray(self.sd) * rng.standard_normal(len(self.mean))
        return code.astype(np.float32)


@dataclass(frozen=True)
class Styles:
    """Styles of all training lesions, and the geometry the generator was trained at.

    Args:
        crop: Side of the training crops, voxels.
        margin_mm: Width of the redrawn rim around a lesion.
        spacing_mm: Voxel sizes of the training cohort.
        flair: Whether there is a FLAIR channel.
        lesions: In order of their subjects' ids.
    """

    crop: int
    margin_mm: float
    spacing_mm: tuple[float, float, float]
    flair: bool
    lesions: tuple[LesionStyle, ...]

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
        lesions = tuple(LesionStyle(r["subject"], tuple(r["mean"]), tuple(r["sd"]))
                        for r in record["lesions"])  # fmt: skip
        return cls(
            record["crop"],
            record["margin_mm"],
            tuple(record["spacing_mm"]),
            record["flair"],
            lesions,
        )


@torch.no_grad()
def write_styles(folder: Path, generator: Generator, data: SynthesisData) -> None:
    """Encode every training lesion once and write ``styles.json``.

    Args:
        folder: The run's folder.
        generator: The averaged generator.
        data: The data module of the fit.
    """
    patches = data.make_dataset(data.cohort.of_split(Split.TRAIN), training=True)
    device = next(generator.parameters()).device
    lesions = []
    for subject in sorted(patches.patients, key=lambda s: s.id):
        batch = default_collate([patches.lesion_patch(subject)])
        labels = label_channels(
            batch["tissue"], batch["lesion"], batch["soft"], batch["region"]
        ).to(device)
        image = to_network(batch["target"].to(device))
        mean, log_variance = generator.encode_lesion(image, blanked(image, labels), labels)
        codes = [mean[0], (0.5 * log_variance[0]).exp()]
        mean_list, sd_list = (tuple(round(float(x), 6) for x in code) for code in codes)
        lesions.append(LesionStyle(subject.id, mean_list, sd_list))
    spacing = patches.head(patches.subjects[0]).spacing_mm
    styles = Styles(data.crop, data.margin_mm, spacing, data.flair, tuple(lesions))
    (folder / FILE).write_text(json.dumps(asdict(styles), indent=1) + "\n", encoding="utf-8")
