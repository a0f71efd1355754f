"""Draw a whole brain by overlapping windows of the training crop's size."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fcdsynth.synthesis.conditions import (
    LABELS,
    LESION,
    REGION,
    SOFT,
    TISSUES,
    blanked,
    label_channels,
    to_network,
    to_prepared,
)
from fcdsynth.synthesis.networks import Generator
from fcdsynth.synthesis.redraw import LEAST_INTENSITY, RedrawSpec, Scene, WholeSpec

_OVERLAP = 0.5


@torch.inference_mode()
def draw_whole(
    generator: Generator, scene: Scene, host: Scene, spec: RedrawSpec, whole: WholeSpec
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Draw every brain voxel of a scene, with its lesion and without.

    Nothing of the host's images enters but what the style code holds of them. Each voxel has one
    noise, whatever windows it lies in, and one style; windows are joined by Gaussian weights.

    Args:
        generator: In evaluation mode.
        scene: The crop that ``spec`` names; its region is its brain.
        host: The same with the host's own labels, for the drawing without a lesion.
        spec: The random part.
        whole: The same of full mode.

    Returns:
        Prepared intensities, shape (contrast, x, y, z), exactly 0 outside the brain: as asked
        for, and from the same codes and noise with empty lesion channels. The same array twice
        where there is no lesion.
    """
    device = next(generator.parameters()).device

    def given(array: NDArray[Any], kind: type) -> Tensor:
        return torch.from_numpy(array.astype(kind))[None]

    labels = label_channels(
        given(scene.tissue, np.int64), given(scene.lesion, np.float32),
        given(scene.soft, np.float32), given(scene.region, np.float32),
    )  # fmt: skip
    own = F.one_hot(given(host.tissue, np.int64), TISSUES).movedim(-1, 1).float()
    source = torch.Generator().manual_seed(spec.noise_seed)
    noise = generator.draw_noise(1, spec.size, source)
    lesion_code, style = (
        torch.tensor(code, dtype=torch.float32, device=device)[None]
        for code in (spec.code, whole.code)
    )

    def drawn(shown: Tensor, code: Tensor, grain: Tensor) -> Tensor:
        empty = to_network(torch.zeros_like(grain))
        made = generator(blanked(empty, shown), shown, code, grain, style_code=style)[1]
        return torch.as_tensor(made)

    def window(told: Tensor) -> tuple[Tensor, Tensor]:
        shown, bare_tissue = told[:, :LABELS], told[:, LABELS : LABELS + TISSUES]
        grain = told[:, LABELS + TISSUES :]
        if not bool(shown[:, REGION].any()):
            nothing = torch.zeros_like(grain)
            return nothing, nothing.clone()
        image = drawn(shown, lesion_code, grain)
        if not bool(shown[:, LESION].any()):
            return image, image.clone()
        bare = torch.cat([bare_tissue, shown[:, TISSUES:]], 1)
        bare[:, [LESION, SOFT]] = 0
        return image, drawn(bare, torch.zeros_like(lesion_code), grain)

    # What is joined stays in main memory: a whole brain with its labels may not fit beside a
    # window on a small GPU.
    inferer = SlidingWindowInferer(
        whole.window, sw_batch_size=1, overlap=_OVERLAP, mode="gaussian", sw_device=device,
        device=torch.device("cpu"),
    )  # fmt: skip
    pair = inferer(torch.cat([labels, own, noise], 1), window)
    lesional, bare = (_finished(image, scene.region) for image in pair)
    return lesional, bare if scene.lesion.any() else lesional


def _finished(image: Any, region: NDArray[np.bool_]) -> NDArray[np.float32]:
    made = to_prepared(image[0]).clamp(LEAST_INTENSITY, 1).numpy()
    return np.where(region, made, 0).astype(np.float32)
