"""What MONAI's SPADENet gets wrong, and what the own generator must get right."""

import copy
import itertools
import shutil

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
    near_region,
    paint,
    surviving,
    tissue_averages,
)
from fcdsynth.synthesis.discriminator import TwoScaleDiscriminator
from fcdsynth.synthesis.networks import Generator
from fcdsynth.synthesis.pyramid import double, halve, scales
from fcdsynth.synthesis.spade import Scale, Spade, SpadeBlock, _Modulate, voxel_norm


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
    style = torch.ones(len(image), 4)
    context = blanked(image, labels)
    with torch.no_grad():
        near = near_region(labels, network.reach_vox)
        code = torch.ones(len(image), 3)
        painted = network.painted(context, labels, near, style, code).clamp(-0.99, 0.99)
        drawn = network(context, labels, code, style_code=style)[0]
    return torch.atanh(drawn) - torch.atanh(painted)


def relabelled(labels, voxel):
    changed = labels.clone()
    old = int(labels[0, : len(Tissue), *voxel].argmax())
    changed[0, old, *voxel] = 0
    changed[0, old % 3 + 1, *voxel] = 1
    return changed


def test_every_single_voxels_label_counts_at_any_parity():
    network = lively()
    image, labels = patch()
    before = correction(network, image, labels)
    places = list(itertools.product(range(3, 9), repeat=3))  # the whole region
    for first in range(0, len(places), 36):
        some = places[first : first + 36]
        flipped = torch.cat([relabelled(labels, voxel) for voxel in some])
        after = correction(network, image.repeat(len(some), 1, 1, 1, 1), flipped)
        for index, voxel in enumerate(some):
            change = (after[index] - before[0])[(slice(None), *voxel)]
            assert change.abs().max() > 1e-4, voxel


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


def crop_of(volume, size):
    first = (volume.shape[2] - size) // 2
    box = slice(first, first + size)
    return volume[..., box, box, box]


def test_one_lesion_has_one_contrast_in_crops_of_any_size():
    # D2: MONAI normalises gamma and beta over the crop, so a lesion's effect depends on its size.
    source = torch.Generator().manual_seed(5)
    tissue = torch.randint(1, 4, (1, 24, 24, 24), generator=source)
    lesion, region = torch.zeros(1, 24, 24, 24), torch.zeros(1, 24, 24, 24)
    lesion[:, 11:13, 11:13, 11:13] = 1
    region[:, 10:14, 10:14, 10:14] = 1
    labels = label_channels(tissue, lesion, lesion * 0.7, region)
    # Grey values that drift away from the middle: a larger crop shows other ones.
    image = torch.rand(1, 2, 24, 24, 24, generator=source) - 0.5
    image = image + torch.linspace(-0.5, 0.5, 24)
    network = lively(reach_vox=2)

    def drawn(size):
        part = crop_of(draw(network, crop_of(image, size), crop_of(labels, size)), 4)
        inside = crop_of(lesion[:, None], 4)
        contrast = (part * inside).sum((0, 2, 3, 4)) / 8
        return part, contrast - (part * (1 - inside)).sum((0, 2, 3, 4)) / 56

    small, middle, large = (drawn(size) for size in (8, 16, 24))
    torch.testing.assert_close(middle[0], large[0], rtol=0, atol=1e-5)
    assert large[1].abs().min() > 0.005
    for crop in (small, middle):
        assert ((crop[1] - large[1]) / large[1]).abs().max() < 0.02


def test_style_and_painted_means_end_at_the_reach():
    image, labels = patch((24, 24, 24))  # the region is 3 to 9
    network = lively(reach_vox=4)
    other = image.clone()
    other[..., 14:] = 0.9
    torch.testing.assert_close(
        draw(network, image, labels)[..., 3:9, 3:9, 3:9],
        draw(network, other, labels)[..., 3:9, 3:9, 3:9],
    )
    other[:, :, 12] = 0.9
    assert not torch.equal(draw(network, image, labels), draw(network, other, labels))


def test_near_region_by_hand():
    labels = torch.zeros(1, LABELS, 7, 5, 5)
    labels[:, REGION, 2, 2, 2] = 1
    near = near_region(labels, 1)
    expected = torch.zeros(1, 1, 7, 5, 5)
    expected[:, :, 1:4, 1:4, 1:4] = 1
    assert torch.equal(near, expected)
    labels[:, int(Tissue.BACKGROUND), 1] = 1
    assert surviving(labels, near).sum() == 27 - 9 - 1


def test_scales_share_their_middle_with_the_crop():
    assert scales((48, 32, 9), 4) == [(48, 32, 9), (24, 16, 6), (12, 8, 4), (6, 4, 2)]
    volume = torch.arange(12.0).reshape(1, 1, 12, 1, 1).expand(1, 1, 12, 8, 8)
    twice = halve(halve(volume))
    # 6 cells become 8 with a zero at either end: (0, 0.5), (2.5, 4.5), ...
    assert twice[0, 0, :, 0, 0].tolist() == [0.25, 3.5, 7.5, 5.25]
    back = double(twice, (6, 2, 2))
    assert back.shape == (1, 1, 6, 2, 2)
    assert back[0, 0, :, 0, 0].tolist() == [0.25, 3.5, 3.5, 7.5, 7.5, 5.25]


def test_modulation_has_the_gradient_of_its_formula():
    torch.manual_seed(0)
    features = torch.randn(2, 3, 2, 3, 2, dtype=torch.double)
    embedded = torch.randn(2, 4, 2, 3, 2, dtype=torch.double)
    weight = torch.randn(6, 4, dtype=torch.double)
    support = (torch.rand(2, 1, 2, 3, 2) > 0.3).double()
    both = torch.einsum("oh,bhxyz->boxyz", weight, embedded)
    plain = voxel_norm(features) * support * (1 + both[:, :3]) + both[:, 3:]
    plain = torch.where(plain > 0, plain, 0.2 * plain)
    for form in (torch.contiguous_format, torch.channels_last_3d):
        x, e, s = (v.contiguous(memory_format=form) for v in (features, embedded, support))
        torch.testing.assert_close(_Modulate.apply(x, e, weight, s), plain)
        leaves = [v.detach().requires_grad_() for v in (x, e, weight)]
        assert torch.autograd.gradcheck(lambda *v, s=s: _Modulate.apply(*v, s), leaves, atol=1e-4)


def test_a_block_keeps_zero_outside_its_support():
    torch.manual_seed(0)
    block = SpadeBlock(6, 4, condition=5, style=2, lesion_style=2, hidden=8, doubles=True)
    support = torch.zeros(1, 1, 8, 8, 8)
    support[..., 2:6, 2:6, 2:6] = 1
    scale = Scale(torch.randn(1, 5, 8, 8, 8) * support, support * 0.5, support)
    coarse = torch.randn(1, 6, 4, 4, 4)
    embedded = block.embed(scale, torch.ones(1, 2), torch.ones(1, 2))
    assert (embedded * (1 - support)).abs().max() == 0
    modulated = block.first(torch.randn(1, 4, 8, 8, 8), embedded, support)
    assert (modulated * (1 - support)).abs().max() == 0
    assert block(coarse, scale, torch.ones(1, 2), torch.ones(1, 2)).shape == (1, 4, 8, 8, 8)


def test_trunk_norm_looks_at_one_voxel():
    features = torch.randn(1, 3, 4, 4, 4)
    whole = voxel_norm(features)
    corner = voxel_norm(features[..., :2, :2, :2])
    torch.testing.assert_close(whole[..., :2, :2, :2], corner)
    length = whole.square().mean(1)
    torch.testing.assert_close(length, torch.ones_like(length), atol=1e-3, rtol=0)


def test_gamma_and_beta_are_one_bare_convolution():
    spade = Spade(4, 8)
    assert [(n, type(m)) for n, m in spade.named_children()] == [("gamma_beta", nn.Conv3d)]
    assert spade.gamma_beta.weight.shape == (8, 8, 1, 1, 1)
    names = [type(m).__name__ for m in lively().modules()]
    assert not [n for n in names if "Norm" in n]


def test_the_label_convolution_is_one_per_resolution():
    network = lively()
    calls = []
    for name, module in network.named_modules():
        if name.endswith("embed.conv"):
            module.register_forward_hook(lambda m, i, o: calls.append(o.shape[2]))
    draw(network, *patch())
    assert calls == [4, 6, 12]


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
    where = surviving(labels, torch.ones(1, 1, 6, 6, 6))
    means, counts = tissue_averages(blanked(image, labels), labels, where)
    assert counts[0, :, 0].tolist() == [0, 0, 72, 72, 0, 0, 0]
    torch.testing.assert_close(means[0, :, 0], torch.tensor([0, 0, 0.2, 0.6, 0, 0, 0]))
    painted = paint(labels, means)
    expected = torch.tensor([0.2, 0.2, 0.2 + 0.4 / 6, 0.6 - 0.4 / 6, 0.6, 0.6])
    torch.testing.assert_close(painted[0, 0, :, 2, 5], expected)


def test_the_style_decides_where_no_tissue_survives():
    network = lively(reach_vox=6)
    tissue = torch.full((1, 6, 6, 6), int(Tissue.CORTEX))
    tissue[..., 5] = int(Tissue.CSF)
    region = (tissue == int(Tissue.CSF)).float()
    none = torch.zeros_like(region)
    labels = label_channels(tissue, none, none, region)
    context = blanked(torch.full((1, 2, 6, 6, 6), 0.3), labels)
    style = torch.randn(1, 4)
    guess = network.guessed_means(style)
    assert torch.equal(guess[0, Tissue.BACKGROUND], torch.tensor([-1.0, -1.0]))
    painted = network.painted(context, labels, near_region(labels, 6), style, torch.ones(1, 3))
    # 180 voxels of cortex survive and outweigh the guess of 4; the border voxel is softened.
    cortex = (180 * 0.3 + 4 * guess[0, Tissue.CORTEX]) / 184
    torch.testing.assert_close(painted[0, :, 0, 0, 0], cortex)
    csf = guess[0, Tissue.CSF]
    torch.testing.assert_close(painted[0, :, 3, 3, 5], csf + (cortex - csf) / 6)


def whole_brain(size, seed, grey):
    """A brain in an empty margin, all of it to be redrawn, in grey values per tissue."""
    source = torch.Generator().manual_seed(seed)
    blocks = torch.randint(1, 4, (-(-size // 3),) * 3, generator=source)
    for axis in range(3):
        blocks = blocks.repeat_interleave(3, axis)
    tissue = torch.zeros(1, size, size, size, dtype=torch.long)
    tissue[:, 1:-1, 1:-1, 1:-1] = blocks[1 : size - 1, 1 : size - 1, 1 : size - 1]
    none = torch.zeros(1, size, size, size)
    labels = label_channels(tissue, none, none, (tissue > 0).float())
    levels = torch.tensor([[-1.0, -1.0], *grey])
    return levels[tissue[0]].movedim(-1, 0)[None], labels


SITES = (
    [[-0.8, -0.7], [-0.2, 0.4], [0.5, 0.1]],
    [[-0.6, -0.8], [0.1, 0.0], [0.3, -0.4]],
)


def test_a_whole_volume_is_drawn_in_the_grey_values_of_another_scan():
    torch.manual_seed(0)
    network = Generator(2, (6, 4), hidden=4, style=12, lesion_style=2)
    scans = [whole_brain(10, seed, SITES[seed % 2]) for seed in range(4)]
    image, labels = (torch.cat(parts) for parts in zip(*scans, strict=True))
    context, none = blanked(image, labels), torch.zeros(4, 2)
    # Of every brain voxel nothing is left: only the style can say what it looks like.
    assert not (context * labels[:, REGION : REGION + 1]).any()
    optimiser = torch.optim.Adam(network.parameters(), 0.02)
    for _ in range(80):
        out = network(context, labels, none, style_code=network.encode_style(image, labels))[0]
        optimiser.zero_grad()
        (out - image).abs().mean().backward()
        optimiser.step()
    host, host_labels = whole_brain(14, 9, SITES[0])  # another anatomy, another size
    with torch.no_grad():
        for site in (0, 1):
            donor = whole_brain(12, 30 + site, SITES[site])
            drawn, _ = network(
                blanked(host, host_labels), host_labels, none[:1],
                style_code=network.encode_style(*donor),
            )  # fmt: skip
            found, _ = tissue_averages(drawn, host_labels, host_labels[:, REGION : REGION + 1])
            errors = [(found[0, 1:4] - torch.tensor(s)).abs().mean() for s in SITES]
            assert errors[site] < 0.1
            assert errors[site] < errors[1 - site] / 2


def test_full_mode_without_a_style_is_finite_and_a_style_is_not_tied_to_one_size():
    network = lively()
    _, labels = whole_brain(12, 0, SITES[0])
    out = draw(network, torch.zeros(1, 2, 12, 12, 12), labels)
    assert torch.isfinite(out).all()
    for size in (8, 11, 20):
        assert network.encode_style(*whole_brain(size, 1, SITES[0])).shape == (1, 4)


def test_a_lesion_in_a_wholly_redrawn_brain_is_encoded_against_its_own_scan():
    network = lively()
    image, labels = whole_brain(12, 0, SITES[0])
    labels[:, LESION, 5:8, 5:8, 5:8] = 1
    image[:, :, 5:8, 5:8, 5:8] += 0.1
    code = network.encode_lesion(image, blanked(image, labels), labels)[0]
    darker = network.encode_lesion(image - 0.3, blanked(image - 0.3, labels), labels)[0]
    torch.testing.assert_close(code, darker, rtol=1e-4, atol=1e-4)
    image[:, :, 5:8, 5:8, 5:8] += 0.1
    brighter = network.encode_lesion(image, blanked(image, labels), labels)[0]
    assert (code - brighter).abs().max() > 0.01


def gradients(network, image, labels, noise, **settings):
    network.zero_grad()
    context = blanked(image, labels)
    mean, _ = network.encode_lesion(image, context, labels)
    smooth, noisy = network(context, labels, mean, noise, **settings)
    (smooth.float().square().mean() + noisy.float().square().mean()).backward()
    return noisy.detach(), [p.grad.clone() for p in network.parameters()]


def test_checkpointing_changes_no_value_and_no_gradient():
    plain = lively().train()
    thrifty = lively(checkpointing=True).train()
    image, labels = patch()
    noise = plain.draw_noise(1, (12, 12, 12))
    kept = []

    def count(network):
        kept.append(0)

        def pack(tensor):
            kept[-1] += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            return gradients(network, image, labels, noise)

    (out, grads), (out_thrifty, grads_thrifty) = count(plain), count(thrifty)
    assert torch.equal(out, out_thrifty)
    for a, b in zip(grads, grads_thrifty, strict=True):
        assert torch.equal(a, b)
    assert kept[1] < kept[0] / 2


def test_both_memory_formats_draw_the_same():
    image, labels = patch()
    first, second = lively(channels_last=True), lively(channels_last=False)
    noise = first.draw_noise(1, (12, 12, 12))
    a, b = (gradients(network, image, labels, noise) for network in (first, second))
    torch.testing.assert_close(a[0], b[0], rtol=1e-4, atol=1e-5)
    for one, other in zip(a[1], b[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def test_bf16_is_finite_and_near_float32():
    network = lively()
    image, labels = patch()
    noise = network.draw_noise(1, (12, 12, 12))
    exact, grads = gradients(network, image, labels, noise)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded, grads_rounded = gradients(network, image, labels, noise)
    assert torch.isfinite(rounded).all()
    assert (rounded.float() - exact).abs().max() < 0.1
    assert (rounded.float() - exact).abs().mean() < 0.01
    a, b = (torch.cat([g.flatten() for g in some]) for some in (grads, grads_rounded))
    assert torch.isfinite(b).all()
    assert torch.cosine_similarity(a, b, dim=0) > 0.99


@pytest.mark.filterwarnings("ignore")  # the tracer's own
def test_the_whole_network_is_one_graph_for_the_compiler():
    # aot_eager traces forward and backward as the compiler does and then runs plain torch.
    image, labels = patch((8, 8, 8))
    network, other = lively((4, 4)), lively((4, 4))
    other.compile(backend="aot_eager", fullgraph=True)
    noise = network.draw_noise(1, (8, 8, 8))
    a, b = (gradients(n, image, labels, noise) for n in (network, other))
    torch.testing.assert_close(a[0], b[0], rtol=1e-4, atol=1e-5)
    for one, two in zip(a[1], b[1], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="no C++ compiler")
def test_compiled_is_the_same_network(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    image, labels = patch((8, 8, 8))
    network, other = lively((4,)), lively((4,), compiled=True)
    assert list(network.state_dict()) == list(other.state_dict())
    # The moving average is a copy, and draws without a compiler.
    assert copy.deepcopy(other)._compiled_call_impl is None
    noise = network.draw_noise(1, (8, 8, 8))
    a, b = (gradients(n, image, labels, noise) for n in (network, other))
    torch.testing.assert_close(a[0], b[0], rtol=1e-4, atol=1e-5)
    for one, two in zip(a[1], b[1], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


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
