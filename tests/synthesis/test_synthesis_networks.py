"""What MONAI's SPADENet gets wrong, and what the own generator must get right."""

import pytest
import torch
from monai.networks.nets import SPADENet
from torch import nn

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.conditions import (
    LABELS,
    LESION,
    REGION,
    SOFT,
    blanked,
    label_channels,
    tissue_means,
)
from fcdsynth.synthesis.discriminator import TwoScaleDiscriminator
from fcdsynth.synthesis.networks import Generator
from fcdsynth.synthesis.spade import Spade, SpadeBlock, voxel_norm


def patch(size=(12, 12, 12), seed=0, lesion=True):
    """Image and labels with a box to redraw and a smaller box of lesion."""
    source = torch.Generator().manual_seed(seed)
    tissue = torch.randint(1, 4, (1, *size), generator=source)
    mask = torch.zeros(1, *size)
    region = mask.clone()
    region[:, 3:9, 3:9, 3:9] = 1
    if lesion:
        mask[:, 4:8, 4:8, 4:8] = 1
    labels = label_channels(tissue, mask, mask * 0.7, region)
    image = torch.rand(1, 2, *size, generator=source) * 2 - 1
    return image, labels


def lively(channels=(8, 8, 6), **settings):
    """A generator whose last layer is not near zero, so that effects show in float32."""
    torch.manual_seed(3)
    network = Generator(2, channels, hidden=8, style=4, lesion_style=3, **settings)
    nn.init.normal_(network.last.weight, std=0.3)
    return network.eval()


def draw(network, image, labels, code=None, noise=None):
    code = torch.ones(len(image), 3) if code is None else code
    with torch.no_grad():
        return network(blanked(image, labels), labels, code, noise)[0]


def correction(network, image, labels):
    """What the decoder adds to the painted means, which follow every label by themselves."""
    painted = tissue_means(blanked(image, labels), labels).clamp(-0.99, 0.99)
    return torch.atanh(draw(network, image, labels)) - torch.atanh(painted)


def relabelled(labels, voxel):
    changed = labels.clone()
    old = int(labels[0, : len(Tissue), *voxel].argmax())
    changed[0, old, *voxel] = 0
    changed[0, old % 3 + 1, *voxel] = 1
    return changed


def test_every_voxels_label_counts_also_at_odd_coordinates():
    network = lively()
    image, labels = patch()
    before = correction(network, image, labels)
    for voxel in [(5, 5, 5), (4, 5, 6), (5, 6, 7), (7, 7, 7), (1, 1, 1), (11, 11, 11)]:
        after = correction(network, image, relabelled(labels, voxel))
        assert (after - before)[0, :, *voxel].abs().max() > 1e-3, voxel


def test_monais_net_does_not_see_labels_at_odd_coordinates():
    # D1, the reason for an own decoder; should it ever pass upstream, think again.
    torch.manual_seed(0)
    network = SPADENet(3, 1, 1, 4, [16, 16, 16], [8, 4], z_dim=4, is_vae=False).eval()
    _, labels = patch((16, 16, 16))
    labels, z = labels[:, :4], torch.ones(1, 4)
    odd = labels.clone()
    odd[:, :, 5, 5, 5] = 1 - odd[:, :, 5, 5, 5]
    even = labels.clone()
    even[:, :, 6, 6, 6] = 1 - even[:, :, 6, 6, 6]
    with torch.no_grad():
        plain, at_odd, at_even = (network.decode(k, z) for k in (labels, odd, even))
    assert torch.equal(plain, at_odd)
    assert not torch.equal(plain, at_even)


@pytest.mark.parametrize("channel", [LESION, SOFT, REGION])
def test_each_mask_channel_counts_at_one_odd_voxel(channel):
    network = lively()
    image, labels = patch(lesion=False)
    context = blanked(image, labels)
    changed = labels.clone()
    changed[0, channel, 5, 7, 5] = 1 - changed[0, channel, 5, 7, 5]
    code = torch.ones(1, 3)
    with torch.no_grad():
        before, after = (network(context, k, code)[0] for k in (labels, changed))
    assert (after - before)[0, :, 5, 7, 5].abs().max() > 1e-5


def test_spade_gives_one_label_the_same_effect_in_any_crop():
    # D2: MONAI normalises gamma and beta over the crop, so a lesion's effect depends on its size.
    torch.manual_seed(0)
    block = SpadeBlock(4, 6, condition=5, style=2, hidden=8)

    def effect(size):
        condition = torch.zeros(1, 5, size, size, size)
        features = torch.ones(1, 4, size, size, size)
        changed = condition.clone()
        middle = slice(size // 2 - 1, size // 2 + 2)
        changed[0, 2, middle, middle, middle] = 1
        style = torch.ones(1, 2)
        around = slice(size // 2 - 4, size // 2 + 5)
        with torch.no_grad():
            change = block(features, changed, style) - block(features, condition, style)
        return change[..., around, around, around]

    small, large = effect(14), effect(26)
    assert small.abs().max() > 0.01
    torch.testing.assert_close(small, large, rtol=1e-5, atol=1e-6)


def test_trunk_norm_looks_at_one_voxel():
    features = torch.randn(1, 3, 4, 4, 4)
    whole = voxel_norm(features)
    corner = voxel_norm(features[..., :2, :2, :2])
    torch.testing.assert_close(whole[..., :2, :2, :2], corner)
    length = whole.square().mean(1)
    torch.testing.assert_close(length, torch.ones_like(length), atol=1e-3, rtol=0)


def test_gamma_and_beta_are_bare_convolutions():
    spade = Spade(4, 8)
    assert type(spade.gamma) is nn.Conv3d
    assert type(spade.beta) is nn.Conv3d
    names = [type(m).__name__ for m in lively().modules()]
    assert not [n for n in names if "Norm" in n]


def test_the_channel_list_stays_as_it_was():
    # D3: MONAI reverses it in place, so a second network is built wrongly.
    channels = [8, 6, 4]
    first = Generator(2, channels, 4, 4, 2)
    second = Generator(2, channels, 4, 4, 2)
    assert channels == [8, 6, 4]
    assert [p.shape for p in first.parameters()] == [p.shape for p in second.parameters()]
    Generator(2, (8, 6, 4), 4, 4, 2)


@pytest.mark.parametrize("size", [(8, 8, 8), (16, 12, 20), (9, 11, 13)])
def test_any_size_gives_an_image_of_that_size(size):
    # D7: no layer is tied to one size.
    image, labels = patch(size)
    out = draw(lively(), image, labels)
    assert out.shape == image.shape
    assert out.abs().max() <= 1


def test_t1w_alone():
    network = Generator(1, [6, 4], 4, 4, 2)
    image, labels = patch()
    out, _ = network(blanked(image[:, :1], labels), labels, torch.zeros(1, 2))
    assert out.shape == (1, 1, 12, 12, 12)


def test_nothing_of_the_blanked_region_reaches_the_generator():
    network = lively()
    image, labels = patch()
    other = image.clone()
    other[:, :, 3:9, 3:9, 3:9] = 0.9
    torch.testing.assert_close(draw(network, image, labels), draw(network, other, labels))
    outside = image.clone()
    outside[:, :, 0, 0, 0] = 0.9
    assert not torch.equal(draw(network, image, labels), draw(network, outside, labels))


def test_lesion_code_acts_with_a_lesion_and_not_without():
    network = lively()
    code = torch.tensor([[2.0, -1.0, 0.5]])
    image, labels = patch(lesion=True)
    with_lesion = draw(network, image, labels, code) - draw(network, image, labels, -code)
    assert with_lesion[..., 4:8, 4:8, 4:8].abs().max() > 1e-3
    image, labels = patch(lesion=False)
    torch.testing.assert_close(
        draw(network, image, labels, code), draw(network, image, labels, -code)
    )


def test_lesion_encoder_looks_at_the_lesion_only():
    network = lively()
    image, labels = patch()
    mean, log_variance = network.encode_lesion(image, blanked(image, labels), labels)
    assert mean.shape == log_variance.shape == (1, 3)
    rim = image.clone()
    rim[:, :, 3, 3, 3] = 1.0  # in the region, outside the lesion
    torch.testing.assert_close(network.encode_lesion(rim, blanked(rim, labels), labels)[0], mean)
    core = image.clone()
    core[:, :, 5, 5, 5] = 1.0
    moved = network.encode_lesion(core, blanked(core, labels), labels)[0]
    assert (moved - mean).abs().max() > 1e-5


def test_noise_changes_the_noisy_image_only_and_is_repeatable():
    network = lively()
    image, labels = patch()
    context, code = blanked(image, labels), torch.zeros(1, 3)
    draws = [
        network.draw_noise(1, (12, 12, 12), torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    ]
    with torch.no_grad():
        out = [network(context, labels, code, noise) for noise in draws]
    assert torch.equal(out[0][1], out[1][1])
    assert not torch.equal(out[0][1], out[2][1])
    assert torch.equal(out[0][0], out[2][0])


def test_painted_means_by_hand():
    tissue = torch.full((1, 6, 6, 6), int(Tissue.CORTEX))
    tissue[:, 3:] = int(Tissue.WHITE_MATTER)
    region = torch.zeros(1, 6, 6, 6)
    region[:, :, :, 4:] = 1
    none = torch.zeros_like(region)
    labels = label_channels(tissue, none, none, region)
    image = torch.full((1, 1, 6, 6, 6), 0.2)
    image[:, :, 3:] = 0.6
    image[..., 4:] = -0.9  # in the region: must not count
    painted = tissue_means(blanked(image, labels), labels)
    expected = torch.tensor([0.2, 0.2, 0.2 + 0.4 / 6, 0.6 - 0.4 / 6, 0.6, 0.6])
    torch.testing.assert_close(painted[0, 0, :, 2, 5], expected)


def test_a_tissue_seen_only_in_the_region_gets_the_mean_of_the_brain():
    tissue = torch.full((1, 4, 4, 4), int(Tissue.CORTEX))
    tissue[:, :, :, 3] = int(Tissue.CSF)
    region = (tissue == int(Tissue.CSF)).float()
    none = torch.zeros_like(region)
    labels = label_channels(tissue, none, none, region)
    image = torch.full((1, 1, 4, 4, 4), 0.3)
    painted = tissue_means(blanked(image, labels), labels)
    torch.testing.assert_close(painted, torch.full_like(painted, 0.3))


def test_discriminators_judge_two_scales_and_are_spectrally_normalised():
    torch.manual_seed(0)
    network = TwoScaleDiscriminator(LABELS + 2, 4, 1)
    image, labels = patch((16, 16, 16))
    scales = network(image, labels)
    assert [s[-1].shape[2:] for s in scales] == [(6, 6, 6), (2, 2, 2)]
    convs = [m for m in network.modules() if isinstance(m, nn.Conv3d)]
    assert convs
    for _ in range(30):  # power iterations
        network(image, labels)
    for conv in convs:
        norm = torch.linalg.matrix_norm(conv.weight.flatten(1), 2).item()
        assert norm == pytest.approx(1, abs=0.05)
    assert sum(p.numel() for p in network.parameters()) < 1e6
    TwoScaleDiscriminator(LABELS + 2, 4, 1)(*patch((TwoScaleDiscriminator.smallest_crop(1),) * 3))
