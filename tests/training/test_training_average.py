"""The moving average of weights: fast at first, then by its decay."""

import pytest
import torch
from torch import nn

from fcdsynth.training.average import moving_average


def with_weight(value):
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, value)
    return network


def test_it_follows_fast_at_first():
    average = moving_average(with_weight(0.0), 0.999)
    average.update_parameters(with_weight(0.0))  # the first is a copy
    average.update_parameters(with_weight(1.0))
    # After one update the average keeps 2 / 11.
    assert average.module.weight.item() == pytest.approx(1 - 2 / 11)


def test_then_its_decay_holds():
    average = moving_average(with_weight(0.0), 0.5)
    for _ in range(30):
        average.update_parameters(with_weight(0.0))
    average.update_parameters(with_weight(1.0))
    assert average.module.weight.item() == pytest.approx(0.5)


def test_it_holds_no_gradient_and_leaves_the_network_alone():
    network = with_weight(2.0)
    average = moving_average(network, 0.9)
    assert not any(p.requires_grad for p in average.parameters())
    assert network.weight.requires_grad
    assert torch.equal(average.module.weight, network.weight)
