"""Sliding windows: they cover the brain, agree with the whole, and skip what holds none."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from fcdsynth.detector.infer import gaussian_weights, infer_logits, window_starts, windows_over

CPU = torch.device("cpu")


class Local(nn.Module):
    """Logits that depend on one voxel alone: windows must not change them."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, batch):
        self.seen += len(batch)
        return batch[:, :1] * 2 + batch[:, 1:]


def head(shape=(40, 28, 20), seed=0):
    rng = np.random.default_rng(seed)
    image = rng.uniform(0.2, 0.8, (2, *shape)).astype(np.float32)
    brain = np.zeros(shape, bool)
    brain[5:35, 4:25, 3:18] = True
    return image * brain, brain


def test_starts_cover_and_overlap():
    assert window_starts(0, 10, 10, 0.5) == [0]
    assert window_starts(2, 8, 10, 0.5) == [0]
    starts = window_starts(3, 30, 8, 0.5)
    assert (starts[0], starts[-1] + 8) == (3, 30)
    assert all(0 < b - a <= 4 for a, b in pairwise(starts))


def test_weights_are_symmetric_and_largest_in_the_middle():
    weights = gaussian_weights((5, 4, 3))
    assert np.allclose(weights, weights[::-1, ::-1, ::-1])
    assert weights.max() == weights[2, 1, 1] == 1
    assert weights.min() >= 1e-3


@pytest.mark.parametrize("windows", [1, 3])
@pytest.mark.parametrize("overlap", [0.25, 0.5])
def test_a_local_network_gives_what_it_gives_the_whole(windows, overlap):
    image, brain = head()
    z = np.where(image > 0, (image - 0.5) / 0.1, 0)
    found = infer_logits(Local(), image, ("t1w", "flair"), (16, 16, 16), CPU,
                         windows=windows, overlap=overlap)  # fmt: skip
    assert np.allclose(found[brain], (2 * z[0] + z[1])[brain], atol=1e-4)
    assert (found[~brain] == -20).all()


def test_a_volume_smaller_than_a_window():
    image, brain = head((10, 9, 8))
    brain = image[0] > 0
    found = infer_logits(Local(), image, ("t1w", "flair"), (16, 16, 16), CPU)
    assert found.shape == (10, 9, 8)
    assert (found[brain] > -20).all()


def test_windows_without_brain_are_passed_over():
    brain = np.zeros((64, 16, 16), bool)
    brain[:8, 4:12, 4:12] = brain[56:, 4:12, 4:12] = True
    corners = windows_over(brain, (16, 16, 16), 0.5)
    assert {c[0] for c in corners} == {0, 48}
    assert windows_over(np.zeros((8, 8, 8), bool), (16, 16, 16), 0.5) == []


def test_mirrored_average_is_symmetric():
    class Sided(nn.Module):
        def forward(self, batch):
            ramp = torch.linspace(-1, 1, batch.shape[2])[None, None, :, None, None]
            return batch[:, :1] + ramp

    image, brain = head((16, 16, 16))
    image[:] = np.where(image > 0, 0.5, 0)
    brain = image[0] > 0
    once = infer_logits(Sided(), image, ("t1w", "flair"), (16, 16, 16), CPU)
    both = infer_logits(Sided(), image, ("t1w", "flair"), (16, 16, 16), CPU, mirror=True)
    assert np.ptp(once[brain]) > 0.5
    assert np.allclose(both[brain], 0, atol=1e-6)
