"""Each loss against a value worked out by hand."""

import pytest
import torch

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis import losses
from fcdsynth.synthesis.conditions import LESION, label_channels


def scores(value):
    return [[torch.zeros(1, 1, 2, 2, 2), torch.full((1, 1, 2, 2, 2), value, requires_grad=True)]]


EVERYWHERE = torch.ones(1, 1, 4, 4, 4)


def test_hinge_gradient_is_alive_where_the_discriminator_wins():
    # D4: MONAI's "hinge" has gradient exactly 0 at -10.
    judged = scores(-10.0)
    loss = losses.hinge_generator(judged, EVERYWHERE)
    loss.backward()
    assert loss.item() == pytest.approx(10)
    torch.testing.assert_close(judged[0][-1].grad, torch.full((1, 1, 2, 2, 2), -1 / 8))


@pytest.mark.parametrize(
    ("real", "fake", "expected"), [(2.0, -2.0, 0.0), (0.0, 0.0, 2.0), (-1.0, 0.5, 3.5)]
)
def test_hinge_of_the_discriminator(real, fake, expected):
    loss = losses.hinge_discriminator(scores(real), scores(fake), EVERYWHERE)
    assert loss.item() == pytest.approx(expected)


def test_only_patches_that_touch_the_region_count():
    region = torch.zeros(1, 1, 4, 4, 4)
    region[..., 0, 0, 0] = 1
    judged = torch.zeros(1, 1, 2, 2, 2)
    judged[..., 0, 0, 0] = 3
    assert losses.hinge_generator([[judged]], region).item() == pytest.approx(-3)
    assert losses.hinge_generator([[judged]], EVERYWHERE).item() == pytest.approx(-3 / 8)


def test_feature_matching_leaves_out_the_scores():
    real = [[torch.ones(1, 2, 2, 2, 2), torch.full((1, 1, 2, 2, 2), 5.0)]]
    fake = [[torch.zeros(1, 2, 2, 2, 2), torch.full((1, 1, 2, 2, 2), -5.0)]]
    assert losses.feature_matching(real, fake, EVERYWHERE).item() == pytest.approx(1)


def test_l1_inside_and_outside():
    fake = torch.zeros(1, 2, 2, 1, 1)
    real = torch.tensor([1.0, 3.0]).reshape(1, 1, 2, 1, 1).expand_as(fake)
    region = torch.tensor([1.0, 1.0]).reshape(1, 1, 2, 1, 1)
    lesion = torch.tensor([0.0, 1.0]).reshape(1, 1, 2, 1, 1)
    # (1 * 1 + 3 * (1 + 4)) / (1 + 5)
    assert losses.inside_l1(fake, real, region, lesion, 4).item() == pytest.approx(16 / 6)
    near = torch.ones_like(region)
    assert losses.outside_l1(fake, real, lesion, near).item() == pytest.approx(1)
    # What the generator does not look at does not count.
    assert losses.outside_l1(fake, real, 0 * lesion, near).item() == pytest.approx(2)
    assert losses.outside_l1(fake, real, 0 * lesion, lesion).item() == pytest.approx(3)


def test_kl_is_zero_at_the_prior_and_counts_lesions_only():
    mean, log_variance = torch.zeros(2, 3), torch.zeros(2, 3)
    assert losses.kl_divergence(mean, log_variance, torch.ones(2)).item() == 0
    mean[0] = 2.0
    assert losses.kl_divergence(mean, log_variance, torch.tensor([1.0, 0.0])).item() == 6
    assert losses.kl_divergence(mean, log_variance, torch.zeros(2)).item() == 0


def missed(difference):
    return difference - 0.01


def _block(cortex=None):
    """Labels of a 4 x 4 x 4 block, its first half the lesion, all of it redrawn."""
    lesion = torch.zeros(1, 4, 4, 4)
    lesion[:, :2] = 1
    tissue = torch.full((1, 4, 4, 4), int(Tissue.WHITE_MATTER))
    if cortex is not None:
        tissue[cortex] = int(Tissue.CORTEX)
    return lesion[:, None], label_channels(tissue, lesion, lesion, torch.ones_like(lesion))


def test_lesion_contrast_does_not_mind_a_shift_of_the_whole_image():
    lesion, labels = _block()
    real = 0.5 * lesion.repeat(1, 2, 1, 1, 1)
    shifted = losses.lesion_contrast(real + 0.3, real, labels)
    assert shifted.item() == pytest.approx(0, abs=1e-6)
    # White matter, its inner and its outer layer miss 0.5 each: by their shares 1, 1/2 and 1/2.
    assert losses.lesion_contrast(0 * real, real, labels).item() == pytest.approx(2 * missed(0.5))
    labels[:, LESION] = 0
    assert losses.lesion_contrast(0 * real, real, labels).item() == 0


def test_lesion_contrast_is_that_of_each_tissue_by_its_share():
    cortex = torch.zeros(1, 4, 4, 4, dtype=torch.bool)
    cortex[..., :1] = True  # a quarter of lesion, of its layers and of the ring
    lesion, labels = _block(cortex)
    real = torch.zeros(1, 1, 4, 4, 4)
    fake = lesion * (0.9 * cortex.float() - 0.3 * (~cortex).float())  # zero on the whole
    found = losses.lesion_contrast(fake, real, labels).item()
    # Half of the lesion is deep and half its outermost layer: both are right.
    assert found == pytest.approx(0.25 * missed(0.9) + 0.75 * missed(0.3))
    _, one = _block()
    assert losses.lesion_contrast(fake, real, one).item() < 1e-6


def test_lesion_contrast_looks_at_the_border_from_both_sides():
    _, labels = _block()
    real = torch.zeros(1, 1, 4, 4, 4)
    fake = real.clone()
    fake[:, :, 0], fake[:, :, 1] = 0.4, -0.4  # zero over the lesion
    # By hand: deep and edge miss 0.4, half of the lesion each.
    assert losses.lesion_contrast(fake, real, labels).item() == pytest.approx(missed(0.4))
    fake = real.clone()
    fake[:, :, 2] = 0.4  # beside it; the ring's mean rises by 0.2
    # White matter, deep and edge fall by 0.2; what lies beside rises by 0.2, half of the lesion.
    found = losses.lesion_contrast(fake, real, labels).item()
    assert found == pytest.approx(2 * missed(0.2) + 0.5 * missed(0.2))
    # Small differences count as squares over twice 0.02.
    found = losses.lesion_contrast(
        real + 0.01 * labels[:, LESION : LESION + 1], real, labels
    ).item()
    assert found == pytest.approx(2 * 0.01**2 / 0.04)


def test_lesion_spread_is_the_difference_of_standard_deviations():
    lesion = torch.zeros(1, 1, 8, 4, 4)
    lesion[:, :, :4] = 1
    region = [torch.ones_like(lesion)]
    real = torch.zeros(1, 2, 8, 4, 4)
    real[:, :, :2] = 0.6  # half 0 and half 0.6; where they meet neighbours make 0.4 and 0.2
    even = torch.full_like(real, 0.3)
    sd = torch.tensor([0.6, 0.4, 0.2, 0.0]).std(correction=0).item()  # of the sum root two more

    def spread(made):
        return losses.lesion_spread(made, real, lesion, region).item()

    by_hand = (2 * missed(sd) + missed(2**0.5 * sd)) / 3
    assert spread(even) == pytest.approx(by_hand, abs=2e-3)
    assert spread(real + 0.2) == pytest.approx(0, abs=1e-6)
    other = real.clone()
    other[:, :, 4:] = 9.0  # outside the lesion
    assert spread(other) == pytest.approx(0, abs=1e-6)
    # Each contrast is right, but one is high where the other is low.
    against = real.clone()
    against[:, 1] = 0.6 - against[:, 1]
    assert spread(against) == pytest.approx(missed(2**0.5 * sd) / 3, abs=2e-3)


def test_grain_makes_up_for_little_of_the_spread():
    lesion = torch.ones(1, 1, 12, 12, 12)
    source = torch.Generator().manual_seed(0)
    grain = 0.3 * torch.randn(1, 1, 12, 12, 12, generator=source)
    real = torch.linspace(-0.5, 0.5, 12).reshape(1, 1, 12, 1, 1).expand_as(lesion)
    even, rough = torch.zeros_like(lesion), grain / grain.std() * real.std()
    missing = losses.lesion_spread(even, real, lesion, [lesion]).item()
    assert losses.lesion_spread(rough, real, lesion, [lesion]).item() > 0.7 * missing


def test_texture_tells_grain_from_smooth():
    torch.manual_seed(0)
    region = torch.ones(1, 1, 12, 12, 12)
    real = torch.randn(1, 2, 12, 12, 12)
    other = torch.randn(1, 2, 12, 12, 12)
    smooth = losses.texture(0 * real, real, region)
    alike = losses.texture(other, real, region)
    assert alike < 0.1 * smooth


def test_a_label_must_change_nothing_away_from_the_lesion():
    lesion, region = torch.zeros(1, 1, 7, 1, 1), torch.zeros(1, 1, 7, 1, 1)
    lesion[:, :, 3] = 1
    region[:, :, 1:6] = 1
    healthy = torch.zeros(1, 2, 7, 1, 1)
    drawn = torch.tensor([9.0, 0, 2, 9, 4, 5, 9]).reshape(1, 1, 7, 1, 1).expand_as(healthy)
    # Redrawn and more than 1 voxel from the lesion: places 1 and 5. With reach 0 also 2 and 4.
    assert losses.region_same(drawn, healthy, lesion, region, 1).item() == pytest.approx(2.5)
    assert losses.region_same(drawn, healthy, lesion, region, 0).item() == pytest.approx(2.75)
    assert losses.region_same(drawn, healthy, lesion, region, 2).item() == 0


def test_a_lesion_must_change_by_the_margin_and_no_more():
    lesion = torch.zeros(2, 1, 4, 1, 1)
    lesion[0, :, :2] = 1
    healthy = torch.zeros(2, 2, 4, 1, 1)
    drawn = healthy.clone()
    drawn[0, 0, 0] = -0.08  # of 2 voxels in 2 contrasts: a mean change of 0.02
    assert losses.region_different(drawn, healthy, lesion, 0.05).item() == pytest.approx(0.03)
    assert losses.region_different(drawn, healthy, lesion, 0.01).item() == 0
    # The second patch has no lesion and asks for nothing; alone it gives 0.
    assert losses.region_different(drawn[1:], healthy[1:], lesion[1:], 0.05).item() == 0


def test_losses_of_half_precision_are_summed_in_single():
    judged = [[torch.full((1, 1, 2, 2, 2), 1.0, dtype=torch.bfloat16)]]
    assert losses.hinge_generator(judged, EVERYWHERE).dtype == torch.float32
