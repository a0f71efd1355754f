"""Networks side by side are networks one by one; DeepFool on a boundary known by hand."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from fcdsynth.core.errors import SettingsError
from fcdsynth.study.relabelling.deepfool import perturbation_sizes
from fcdsynth.study.relabelling.network import Networks, NetworkSettings, train_networks


def digits(n):
    x, y = load_digits(return_X_y=True)
    return (x[:n] / 16).astype(np.float32), y[:n].astype(np.int64)


def test_it_learns_and_repeats():
    x, y = digits(700)
    settings = NetworkSettings()
    members = np.ones((1, 500), dtype=bool)
    one = train_networks(x[:500], y[:500], members, 10, settings, 0)
    again = train_networks(x[:500], y[:500], members, 10, settings, 0)
    _, p = one.see(x[500:])
    assert (p[0].argmax(axis=1) == y[500:]).mean() > 0.85
    np.testing.assert_array_equal(p, again.see(x[500:])[1])
    np.testing.assert_allclose(p.sum(axis=-1), 1)


def test_what_is_left_out_is_not_learnt():
    """Changing the labels of fold 0 changes the network on all, not the one without fold 0."""
    x, y = digits(120)
    fold = np.arange(120) % 3 == 0
    members = np.stack([np.ones(120, dtype=bool), ~fold])
    settings = NetworkSettings(epochs=3)
    _, before = train_networks(x, y, members, 10, settings, 0).see(x)
    _, after = train_networks(x, np.where(fold, 0, y), members, 10, settings, 0).see(x)
    assert not np.allclose(before[0], after[0])
    np.testing.assert_allclose(before[1], after[1], atol=1e-5)


def linear(w, b):
    """A network that is linear where inputs are positive: two identities, then w and b."""
    eye = torch.eye(2)[None]
    none = torch.zeros(1, 1, 2)
    weight = torch.tensor(w, dtype=torch.float32)[None]
    return Networks((eye, eye, weight), (none, none, torch.tensor(b)[None, None]))


def test_perturbation_is_the_distance_to_the_nearest_boundary():
    """Logits x, y and 2: at (5, 4) the border x = y is 1/sqrt(2) away; at (9, 1) x = 2 is 7 away,
    x = y only 8/sqrt(2)."""
    network = linear([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0.0, 0.0, 2.0])
    x = np.array([[5, 4], [9, 1]], dtype=np.float32)
    sizes = perturbation_sizes(network, x)
    np.testing.assert_allclose(sizes, [1 / np.sqrt(2), 8 / np.sqrt(2)], atol=1e-3)


def test_settings_out_of_range():
    with pytest.raises(SettingsError, match="epochs"):
        NetworkSettings(epochs=0)
