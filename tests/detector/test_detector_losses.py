"""Losses against values counted by hand, and the cases that have no lesion."""

import math

import pytest
import torch

from fcdsynth.core.errors import SettingsError
from fcdsynth.detector.losses import DetectionLoss, batch_overlap_loss, voxelwise_loss


def logit(p):
    return math.log(p / (1 - p))


def volume(values):
    """Two voxels per patch: (batch, 1, 1, 1, 2)."""
    return torch.tensor(values, dtype=torch.float32).reshape(-1, 1, 1, 1, 2)


def test_batch_dice_by_hand():
    # Patient (0.8, 0.2) with lesion (1, 0); control (0.5, 0.5): overlap 0.8, sums 2.0 and 1.
    logits = volume([[logit(0.8), logit(0.2)], [0.0, 0.0]])
    target = volume([[1, 0], [0, 0]])
    assert batch_overlap_loss(logits, target).item() == pytest.approx(1 - 1.6 / 3, abs=1e-6)


def test_false_positives_in_a_control_raise_the_dice_of_the_batch():
    target = volume([[1, 0], [0, 0]])
    quiet = volume([[4.0, -4.0], [-9.0, -9.0]])
    loud = volume([[4.0, -4.0], [3.0, -9.0]])
    assert batch_overlap_loss(loud, target) > batch_overlap_loss(quiet, target) + 0.2


def test_a_batch_of_controls_teaches_by_cross_entropy_alone():
    logits = torch.full((2, 1, 2, 2, 2), logit(0.2), requires_grad=True)
    loss, parts = DetectionLoss()(logits, torch.zeros(2, 1, 2, 2, 2))
    assert parts["overlap_loss"].item() == 0
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
    assert parts["overlap_loss"].item() == pytest.approx(dice_full, abs=1e-6)


def test_a_perfect_answer_costs_almost_nothing():
    target = (torch.arange(64).reshape(1, 1, 4, 4, 4) < 5).float()
    loss, _ = DetectionLoss()(target * 60 - 30, target)
    assert loss.item() < 1e-6


def test_tversky_weighs_missed_voxels_more():
    logits = volume([[logit(0.8), logit(0.2)], [0.0, 0.0]])
    target = volume([[1, 0], [0, 0]])
    # Overlap 0.8, sums 2.0 and 1: 0.8 / (0.3 * 2 + 0.7 * 1).
    loss = batch_overlap_loss(logits, target, 0.3).item()
    assert loss == pytest.approx(1 - 0.8 / 1.3, abs=1e-6)


def test_focal_loss_by_hand():
    logits = volume([[logit(0.9), logit(0.3)]])
    target = volume([[1, 0]])
    expected = (0.1**2 * -math.log(0.9) + 0.3**2 * -math.log(0.7)) / 2
    assert voxelwise_loss(logits, target, 2.0).item() == pytest.approx(expected, rel=1e-5)
    plain = (-math.log(0.9) - math.log(0.7)) / 2
    assert voxelwise_loss(logits, target).item() == pytest.approx(plain, rel=1e-5)


def test_without_an_overlap_only_voxels_count():
    logits, target = torch.zeros(1, 1, 2, 2, 2), torch.ones(1, 1, 2, 2, 2)
    loss, parts = DetectionLoss("none", "cross_entropy")(logits, target)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)
    assert parts["overlap_loss"].item() == 0


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"overlap": "jaccard"}, "model.overlap"),
        ({"voxelwise": "mse"}, "model.voxelwise"),
        ({"overlap": "tversky", "false_weight": 1.0}, "model.false_weight"),
        ({"voxelwise": "focal", "focus": -1.0}, "model.focus"),
    ],
)
def test_unknown_losses_are_refused(settings, key):
    with pytest.raises(SettingsError, match=key):
        DetectionLoss(**settings)
