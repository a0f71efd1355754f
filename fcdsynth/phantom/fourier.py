"""What a scanner does along its phase-encoding axis: truncated k-space and motion ghosts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft


def encode(
    image: NDArray[np.float32],
    axis: int,
    kept: float = 1.0,
    apodised: bool = False,
    sway_vox: float = 0.0,
    cycles: float = 0.0,
    phase: float = 0.0,
) -> NDArray[np.float32]:
    """Pass an image through k-space along one axis.

    Lines beyond a share of the highest frequency are left out (zero filling), which makes edges
    ring (Gibbs) or, with a Hann window over the kept lines, blurs them. A head that sways while
    the lines are read one after the other turns the phase of each line, which sets faint copies
    of its edges beside it (Wood and Henkelman, Med Phys 1985).

    Args:
        image: Magnitude image, shape (x, y, z).
        axis: Phase-encoding axis of the array.
        kept: Share of the lines that is kept, above 0 up to 1.
        apodised: Whether the kept lines are weighted down towards the end.
        sway_vox: Amplitude of the sway along the axis, in voxels.
        cycles: Sways during the acquisition.
        phase: Phase of the sway at its start, radians.

    Returns:
        Magnitude image of the same shape.
    """
    if kept >= 1 and not apodised and sway_vox == 0:
        return image
    size = image.shape[axis]
    frequency = fft.fftfreq(size)  # cycles a voxel; lines are read from lowest to highest
    weight = (np.abs(frequency) <= kept / 2).astype(np.complex64)
    if apodised:
        weight *= 0.5 + 0.5 * np.cos(np.pi * np.clip(np.abs(frequency) / (kept / 2), 0, 1))
    time = frequency + 0.5
    place = sway_vox * np.sin(2 * np.pi * cycles * time + phase)
    weight *= np.exp(-2j * np.pi * frequency * place).astype(np.complex64)
    shape = [1, 1, 1]
    shape[axis] = size
    lines = fft.fft(image, axis=axis, overwrite_x=True)
    lines *= weight.astype(np.complex64).reshape(shape)
    return np.asarray(np.abs(fft.ifft(lines, axis=axis, overwrite_x=True)), np.float32)
