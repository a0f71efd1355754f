"""The parts of a lesion, and the steps that a code paints into them."""

import pytest
import torch
from torch import nn

from fcdsynth.core.tissue import Tissue
from fcdsynth.synthesis.conditions import label_channels
from fcdsynth.synthesis.networks import Generator
from fcdsynth.synthesis.profile import (
    PARTS,
    LesionSteps,
    lesion_parts,
    part_means,
    profile,
    profile_length,
)


def cube():
    """A lesion of 3 x 3 x 3 voxels in cortex, white matter behind it, CSF at one face."""
    tissue = torch.full((1, 7, 7, 7), int(Tissue.CORTEX))
    tissue[:, 3:] = int(Tissue.WHITE_MATTER)
    tissue[..., 5:] = int(Tissue.CSF)
    lesion = torch.zeros(1, 7, 7, 7)
    lesion[:, 2:5, 2:5, 2:5] = 1
    return label_channels(tissue, lesion, lesion, torch.ones_like(lesion))


def test_the_parts_of_a_cube():
    parts = lesion_parts(cube())
    assert parts.shape[1] == len(PARTS)
    sizes = dict(zip(PARTS, parts.sum((0, 2, 3, 4)).tolist(), strict=True))
    # 27 voxels, one of them within; six faces of nine beside it, one of them in fluid.
    assert sizes == {"cortex": 9, "white": 18, "edge": 26, "beside": 45}
    assert parts[0, 3, 1, 3, 3] == 1  # across a face
    assert parts[0, 3, 1, 1, 3] == 0  # across an edge


def test_fluid_in_a_lesion_is_of_no_part():
    labels = cube()
    labels[:, : len(Tissue), 3, 3, 3] = 0
    labels[:, Tissue.CSF, 3, 3, 3] = 1
    assert lesion_parts(labels)[0, :, 3, 3, 3].tolist() == [0, 0, 0, 0]


def test_a_part_that_is_empty_has_a_mean_of_zero():
    image = torch.ones(1, 2, 2, 2, 2)
    parts = torch.zeros(1, 2, 2, 2, 2)
    parts[:, 0] = 1
    assert part_means(image, parts).tolist() == [[[1, 1], [0, 0]]]


def test_a_fresh_network_paints_a_lesion_as_it_was_described():
    torch.manual_seed(0)
    labels = cube()
    network = Generator(2, [8, 8], hidden=8, style=4, lesion_style=9)
    parts = lesion_parts(labels)
    image = torch.zeros(1, 2, 7, 7, 7)
    for part, steps in ((0, [0.1, -0.05]), (1, [-0.02, 0.08])):
        image += torch.tensor(steps)[None, :, None, None, None] * parts[:, part : part + 1]
    code, log_variance = network.encode_lesion(image, image, labels)
    found = part_means(network.steps(labels, code), parts)[0, :2]
    # Softened borders of what is painted around it, and the edge's own step, cost a little.
    torch.testing.assert_close(found, torch.tensor([[0.1, -0.05], [-0.02, 0.08]]), atol=0.02,
                               rtol=0)  # fmt: skip
    assert log_variance.mean().item() == pytest.approx(-4, abs=0.5)


def test_steps_are_read_from_a_code_exactly():
    torch.manual_seed(0)
    labels = cube()
    head = nn.Linear(5 + profile_length(2), 2 * 9)
    steps = LesionSteps(2, 9)
    steps.start_from(head)
    parts = lesion_parts(labels)
    residual = torch.zeros(1, 2, 7, 7, 7)
    for part, (t1w, flair) in enumerate([(0.1, -0.05), (-0.02, 0.08)]):
        residual[:, 0] += t1w * parts[:, part]
        residual[:, 1] += flair * parts[:, part]
    told = torch.cat([torch.randn(1, 5), profile(residual, labels)], 1)
    code = head(told)[:, :9]
    painted = steps(labels, code)
    inside = parts[:, :2].sum(1, keepdim=True) - parts[:, 2:3]  # its one deep voxel
    assert (painted * inside).sum((0, 2, 3, 4)).tolist() == pytest.approx([-0.02, 0.08])
    # The edge holds 26 of 27 voxels: about the whole lesion's mean, so hardly a step of its own.
    whole = part_means(residual, parts[:, :2].sum(1, keepdim=True))[0, 0]
    edge = part_means(residual, parts[:, 2:3])[0, 0] - whole
    shown = painted[0, :, 2, 3, 3] - torch.tensor([0.1, -0.05])
    torch.testing.assert_close(shown, edge, atol=1e-6, rtol=0)


def test_a_code_too_short_starts_by_chance():
    head, steps = nn.Linear(profile_length(2), 6), LesionSteps(2, 3)
    before = steps.read.weight.clone()
    steps.start_from(head)
    assert torch.equal(steps.read.weight, before)
    assert head.bias[3:].tolist() == [-4, -4, -4]
