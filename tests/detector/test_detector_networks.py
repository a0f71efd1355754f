"""The network: shapes, folding, and what a lesion voxel can reach."""

import pytest
import torch

from fcdsynth.core.errors import SettingsError
from fcdsynth.detector.networks import folded, make_network, unfolded


@pytest.mark.parametrize("fold", [1, 2])
def test_halved_logits_in_training_and_one_in_use(fold):
    network = make_network(2, (4, 8, 8), (1, 1, 1), 2, fold)
    image = torch.randn(1, 2, 16, 16, 8)
    shapes = [tuple(t.shape) for t in network.train()(image)]
    coarse = (8, 8, 4)
    assert network.factor == 4 * fold
    assert shapes[0] == (1, 1, 16, 16, 8)
    assert shapes[1][2:] == coarse
    assert network.eval()(image).shape == (1, 1, 16, 16, 8)


def test_folding_by_hand_and_back():
    image = torch.arange(2 * 4 * 2 * 2.0).reshape(1, 2, 4, 2, 2)
    parts = folded(image, 2)
    assert parts.shape == (1, 16, 2, 1, 1)
    # The first block of the first channel holds voxels 0 to 7, the second 8 to 15.
    assert parts[0, :8, 0, 0, 0].tolist() == list(range(8))
    assert parts[0, :8, 1, 0, 0].tolist() == list(range(8, 16))
    assert torch.equal(unfolded(parts, 2), image)


@pytest.mark.parametrize("fold", [1, 2])
def test_every_voxel_reaches_the_logits(fold):
    torch.manual_seed(0)
    network = make_network(1, (4, 8), (1, 1), 1, fold).eval()
    image = torch.randn(1, 1, 8, 8, 8)
    before = network(image)
    for place in ((0, 0, 0), (3, 4, 5), (7, 7, 7)):
        changed = image.clone()
        changed[(0, 0, *place)] += 1
        assert not torch.equal(network(changed), before)


def test_a_flipped_head_is_another_one_unless_it_is_averaged():
    """The network knows left from right: symmetry comes from flips, not from its form."""
    torch.manual_seed(1)
    network = make_network(1, (4, 8), (1, 1), 1).eval()
    image = torch.randn(1, 1, 8, 8, 8)
    assert not torch.allclose(network(image.flip(2)).flip(2), network(image), atol=1e-4)


def test_a_batch_norm_keeps_how_bright_a_patch_is():
    """An instance norm takes it away: the same patch, brighter, looks the same to it."""
    torch.manual_seed(0)
    image = torch.randn(1, 1, 8, 8, 8)
    gaps = {}
    for norm in ("instance", "batch"):
        network = make_network(1, (4, 8), (1, 1), 1, 1, norm).eval()
        stem = network.stem(image * 3)
        gaps[norm] = (stem - network.stem(image)).detach().abs().mean().item()
    assert gaps["instance"] < 0.01 < gaps["batch"]


def test_an_unknown_norm_is_refused():
    with pytest.raises(SettingsError, match=r"model.norm: found group"):
        make_network(1, (4, 8), (1, 1), 1, 1, "group")


def test_logits_begin_at_a_lesions_share():
    network = make_network(1, (4, 8), (1, 1), 1).train()
    logits = network(torch.randn(2, 1, 8, 8, 8))[0]
    assert logits.detach().mean().item() == pytest.approx(-4.6, abs=1.0)


@pytest.mark.parametrize(
    ("widths", "blocks", "supervised", "fold", "key"),
    [
        ((2, 4), (1, 1), 1, 1, "model.widths"),
        ((8,), (1,), 1, 1, "model.widths"),
        ((8, 8), (1, 0), 1, 1, "model.blocks"),
        ((8, 8), (1,), 1, 1, "model.blocks"),
        ((8, 8), (1, 1), 2, 1, "model.supervised"),
        ((8, 8), (1, 1), 1, 3, "model.fold"),
    ],
)
def test_impossible_networks_are_refused(widths, blocks, supervised, fold, key):
    with pytest.raises(SettingsError, match=key):
        make_network(2, widths, blocks, supervised, fold)
