"""Redraw a region of a brain, or a whole brain, from a spec that is written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.conditions import (
    blanked,
    joined,
    label_channels,
    to_network,
    to_prepared,
)
from fcdsynth.synthesis.crops import Corner, cut
from fcdsynth.synthesis.networks import Generator

LEAST_INTENSITY = 0.01  # prepared intensity inside the brain never falls below this


@dataclass(frozen=True)
class WholeSpec:
    """What belongs to a brain that is drawn whole.

    Args:
        scan: Whose style it has: ``host``, ``sampled``, or the id of a training subject.
        code: Context style code.
        window: Side of the windows, voxels.
    """

    scan: str
    code: tuple[float, ...]
    window: int


@dataclass(frozen=True)
class RedrawSpec:
    """Everything random about one redrawn region.

    Args:
        subject: Id of the synthetic subject.
        host: Id of the subject whose images are redrawn.
        style: Id of the training patient whose lesion style is used; empty when it was drawn
            from the law of all of them, or for a control.
        code: Lesion style code; zeros for a control.
        noise_seed: Seed of the noise maps.
        corner: First voxel of the crop.
        size: Sizes of the crop.
        feather_vox: Layers over which the region passes into its surroundings; 0 in full mode.
        border: How dense the grey-white border of the lesion may be, relative to its
            surroundings (`thickness.border_ratio`); None leaves the host's labels.
        whole: In full mode, what else there is to know.
    """

    subject: str
    host: str
    style: str
    code: tuple[float, ...]
    noise_seed: int
    corner: Corner
    size: Corner
    feather_vox: int
    border: float | None = None
    whole: WholeSpec | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """The crop of a brain that is redrawn; what reaches over the volume's edge is background.

    Args:
        image: Prepared intensities, shape (contrast, x, y, z).
        tissue: Labels, shape (x, y, z).
        lesion: Mask, empty for a control, same shape.
        soft: Soft lesion map in [0, 1], same shape.
        region: Voxels to redraw, inside the brain, same shape.
    """

    image: NDArray[np.float32]
    tissue: NDArray[Any]
    lesion: NDArray[np.bool_]
    soft: NDArray[np.float32]
    region: NDArray[np.bool_]

    @classmethod
    def cut(
        cls,
        image: NDArray[np.float32],
        tissue: NDArray[Any],
        lesion: NDArray[Any],
        soft: NDArray[np.float32],
        region: NDArray[Any],
        corner: Corner,
        size: Corner,
    ) -> Scene:
        """Cut it out of whole volumes."""
        return cls(
            cut(image, corner, size),
            cut(tissue, corner, size),
            cut(lesion, corner, size).astype(bool),
            cut(soft, corner, size),
            cut(region, corner, size).astype(bool),
        )


@torch.inference_mode()
def draw(
    generator: Generator, scene: Scene, spec: RedrawSpec, lesional: bool = True
) -> NDArray[np.float32]:
    """Redraw the region of a scene; every voxel outside it keeps its value to the bit.

    Args:
        generator: In evaluation mode.
        scene: The crop that ``spec`` names.
        spec: The random part.
        lesional: False draws the same region with the same noise but with empty lesion channels
            and an empty style code: what the lesion label does not explain.

    Returns:
        New prepared intensities of the crop, shape (contrast, x, y, z).
    """

    def given(array: NDArray[Any], kind: type) -> torch.Tensor:
        return torch.from_numpy(array.astype(kind)).to(device)[None]

    device = next(generator.parameters()).device
    share = float(lesional)
    target = to_network(given(scene.image, np.float32))
    labels = label_channels(
        given(scene.tissue, np.int64), given(scene.lesion, np.float32) * share,
        given(scene.soft, np.float32) * share, given(scene.region, np.float32),
    )  # fmt: skip
    source = torch.Generator().manual_seed(spec.noise_seed)
    noise = generator.draw_noise(1, spec.size, source).to(device)
    code = torch.tensor(spec.code, dtype=torch.float32, device=device)[None] * share
    _, fake = generator(blanked(target, labels), labels, code, noise)
    whole = to_prepared(joined(fake, target, labels, spec.feather_vox))
    made = whole[0].clamp(LEAST_INTENSITY, 1).cpu().numpy()
    keep = ~scene.region | (scene.tissue == Tissue.BACKGROUND)
    return np.where(keep, scene.image, made).astype(np.float32)
