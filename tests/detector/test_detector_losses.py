"""Losses against values counted by hand, and the cases that have no lesion."""

import math

import pytest
import torch

from fcdsynth.core.errors import SettingsError
from fcdsynth.detector.losses import DetectionLoss, batch_dice_loss
from fcdsynth.detector.networks import make_network


def logit(p):
    return math.log(p / (1 - p))


def volume(values):
    """Two voxels per patch: (batch, 1, 1, 1, 2)."""
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1, 2)


def test_batch_dice_by_hand():
    # Patient (0.8, 0.2) with lesion (1, 0); control (0.5, 0.5): overlap 0.8, sums 2.0 and 1.
    logits = volume([[logit(0.8), logit(0.2)], [0.0, 0.0]])
    target = volume([[1, 0], [0, 0]])
    assert batch_dice_loss(logits, target).item() == pytest.approx(1 - 1.6 / 3, abs=1e-6)


def test_false_positives_in_a_control_raise_the_dice_of_the_batch():
    target = volume([[1, 0], [0, 0]])
    quiet = volume([[4.0, -4.0], [-9.0, -9.0]])
    loud = volume([[4.0, -4.0], [3.0, -9.0]])
    assert batch_dice_loss(loud, target) > batch_dice_loss(quiet, target) + 0.2


def test_a_batch_of_controls_teaches_by_cross_entropy_alone():
    logits = torch.full((2, 1, 2, 2, 2), logit(0.2), requires_grad=True)
    loss, parts = DetectionLoss()(logits, torch.zeros(2, 1, 2, 2, 2))
    assert parts["dice_loss"].item() == 0
    assert loss.item() == pytest.approx(-math.log(0.8), abs=1e-6)
    loss.backward()
    # d/dlogit of the mean cross-entropy at an empty target is p / n.
    assert torch.allclose(logits.grad, torch.full_like(logits, 0.2 / 16), atol=1e-6)


def test_deep_supervision_weights_and_soft_coarse_targets():
    # Full resolution 2x2x2 with one lesion voxel, coarse 1x1x1 with share 1/8.
    target = torch.zeros(1, 1, 2, 2, 2)
    target[0, 0, 0, 0, 0] = 1
    full, coarse = torch.zeros(1, 1, 2, 2, 2), torch.full((1, 1, 1, 1, 1), logit(0.25))
    dice_full = 1 - 2 * 0.5 / (8 * 0.5 + 1)
    dice_coarse = 1 - 2 * 0.25 * 0.125 / (0.25 + 0.125)
    entropy_coarse = -(0.125 * math.log(0.25) + 0.875 * math.log(0.75))
    expected = (2 * (dice_full + math.log(2)) + dice_coarse + entropy_coarse) / 3
    loss, parts = DetectionLoss()([full, coarse], target)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    assert parts["dice_loss"].item() == pytest.approx(dice_full, abs=1e-6)


def test_a_perfect_answer_costs_almost_nothing():
    target = (torch.arange(64).reshape(1, 1, 4, 4, 4) < 5).float()
    loss, _ = DetectionLoss()(target * 60 - 30, target)
    assert loss.item() < 1e-6


def test_network_gives_halved_logits_in_training_and_one_in_use():
    network = make_network(2, 4, (1, 1, 1), 2)
    image = torch.randn(1, 2, 16, 16, 8)
    shapes = [tuple(t.shape) for t in network.train()(image)]
    assert shapes == [(1, 1, 16, 16, 8), (1, 1, 8, 8, 4)]
    assert network.eval()(image).shape == (1, 1, 16, 16, 8)


@pytest.mark.parametrize(
    ("width", "blocks", "supervised"),
    [(2, (1, 1), 1), (8, (1,), 1), (8, (1, 0), 1), (8, (1, 1), 2)],
)
def test_impossible_networks_are_refused(width, blocks, supervised):
    with pytest.raises(SettingsError):
        make_network(2, width, blocks, supervised)
