"""The noise of the surroundings: measured, and drawn with the same strength and smoothness."""

import math

import pytest
import torch

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.conditions import label_channels
from fcdsynth.synthesis.grain import grain_of, measured_grain, smoothed, waves

SIZE = 32


def scene(tissue=Tissue.WHITE_MATTER):
    labels = torch.full((1, SIZE, SIZE, SIZE), int(tissue))
    empty = torch.zeros(1, SIZE, SIZE, SIZE)
    return label_channels(labels, empty, empty, empty), torch.ones(1, 1, SIZE, SIZE, SIZE)


def test_strength_and_smoothness_are_found_axis_by_axis():
    labels, where = scene()
    taps = torch.tensor([[[0.0, 0.2, 0.45], [0.1, 0.3, 0.0]]])
    noise = torch.randn(1, 2, SIZE, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    sd = torch.tensor([[0.05, 0.1]])
    # A slow rise over the crop is light, not noise.
    image = smoothed(noise, taps) * sd[:, :, None, None, None] + torch.linspace(0, 0.3, SIZE)
    found, again, count = measured_grain(image, labels, where)
    assert torch.allclose(found, sd, rtol=0.08)
    assert torch.allclose(again, taps, atol=0.06)
    assert count.item() == SIZE * SIZE * (SIZE - 2)


def test_smoothed_noise_keeps_its_variance_and_gets_the_correlation():
    noise = torch.randn(1, 1, SIZE, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    made = smoothed(noise, torch.tensor([[[0.5, 0.0, 0.0]]]))[:, :, 1:-1]
    assert made.std().item() == pytest.approx(1, abs=0.03)
    near = (made[:, :, 1:] * made[:, :, :-1]).mean() / made.square().mean()
    assert near.item() == pytest.approx(2 * 0.5 / (1 + 2 * 0.25), abs=0.03)
    across = (made[..., 1:] * made[..., :-1]).mean() / made.square().mean()
    assert across.item() == pytest.approx(0, abs=0.03)


def test_without_surroundings_the_style_decides():
    labels, where = scene(Tissue.CORTEX)  # no white matter to measure in
    guess = torch.tensor([[0.07]])
    sd, taps = grain_of(guess, torch.randn(1, 1, SIZE, SIZE, SIZE), labels, where)
    assert torch.equal(sd, guess)
    assert not taps.any()


def test_waves_are_slow_and_keep_the_variance():
    noise = torch.randn(2, 2, 48, 48, 48, generator=torch.Generator().manual_seed(2))
    made = waves(noise)[:, :, 4:-4, 4:-4, 4:-4]
    assert made.shape == (2, 2, 40, 40, 40)
    assert made.std().item() == pytest.approx(1, abs=0.05)
    # Two Gaussians of 2 voxels that are d apart overlap by exp(-d^2 / 16).
    for apart in (1, 2, 4):
        along = (made[:, :, apart:] * made[:, :, :-apart]).mean() / made.square().mean()
        assert along.item() == pytest.approx(math.exp(-(apart**2) / 16), abs=0.05)
    other = (made[:, 0] * made[:, 1]).mean() / made.square().mean()
    assert other.item() == pytest.approx(0, abs=0.05)
