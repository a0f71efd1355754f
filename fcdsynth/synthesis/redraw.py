"""Redraw one region of one brain with a trained generator, from a spec that is written down."""

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
from fcdsynth.synthesis.crops import Corner, cut, paste
from fcdsynth.synthesis.networks import Generator

LEAST_INTENSITY = 0.01  # prepared intensity inside the brain never falls below this


@dataclass(frozen=True)
class RedrawSpec:
    """Everything random about one redrawn region.

    Args:
        subject: Id of the synthetic subject.
        host: Id of the subject whose images are redrawn.
        style: Id of the training patient whose lesion style is used; empty when it was drawn
            from the standard normal law, or for a control.
        code: Lesion style code; zeros for a control.
        noise_seed: Seed of the noise maps.
        corner: First voxel of the crop.
        size: Sizes of the crop.
        feather_vox: Layers over which the region passes into its surroundings.
    """

    subject: str
    host: str
    style: str
    code: tuple[float, ...]
    noise_seed: int
    corner: Corner
    size: Corner
    feather_vox: int


@torch.inference_mode()
def redraw(
    generator: Generator,
    image: NDArray[np.float32],
    tissue: NDArray[Any],
    lesion: NDArray[Any],
    soft: NDArray[np.float32],
    region: NDArray[np.bool_],
    spec: RedrawSpec,
) -> NDArray[np.float32]:
    """Redraw a region; every voxel outside it keeps the host's value to the bit.

    Args:
        generator: In evaluation mode.
        image: Prepared intensities, shape (contrast, x, y, z).
        tissue: Labels, shape (x, y, z).
        lesion: Mask, empty for a control, same shape.
        soft: Soft lesion map in [0, 1], same shape.
        region: Voxels to redraw, inside the brain, same shape.
        spec: The random part.

    Returns:
        New prepared intensities, shape (contrast, x, y, z).
    """

    def crop(array: NDArray[Any]) -> torch.Tensor:
        return torch.from_numpy(cut(array, spec.corner, spec.size)).to(device)[None]

    device = next(generator.parameters()).device
    target = to_network(crop(image))
    inside = crop(region.astype(np.float32))
    labels = label_channels(
        crop(tissue.astype(np.int64)), crop(lesion.astype(np.float32)),
        crop(soft.astype(np.float32)), inside,
    )  # fmt: skip
    source = torch.Generator().manual_seed(spec.noise_seed)
    noise = generator.draw_noise(1, spec.size, source).to(device)
    code = torch.tensor(spec.code, dtype=torch.float32, device=device)[None]
    _, fake = generator(blanked(target, labels), labels, code, noise)
    whole = to_prepared(joined(fake, target, inside[:, None], spec.feather_vox))
    made = whole[0].clamp(LEAST_INTENSITY, 1).cpu().numpy()
    pasted = image.copy()
    paste(pasted, made, spec.corner)
    keep = ~region | (tissue == Tissue.BACKGROUND)
    return np.where(keep, image, pasted).astype(np.float32)
