"""Public sets read from small files of the same make, and refused where they are not safe."""

import gzip
import os
import pickle
import struct

import numpy as np
import pytest

from fcdsynth.core.errors import SettingsError
from fcdsynth.study.relabelling.filed import read_cifar10, read_idx, read_mnist, read_pathmnist
from fcdsynth.study.relabelling.sets import DEBIAN, folder_of, load_set


def write_idx(path, array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file:
        file.write(head + array.astype(np.uint8).tobytes())


def mnist_like(folder, n=40, m=10, suffix=".gz"):
    rng = np.random.default_rng(0)
    for part, count in (("train", n), ("t10k", m)):
        labels = np.arange(count) % 10
        images = rng.integers(0, 50, (count, 28, 28)) + 15 * labels[:, None, None]
        write_idx(folder / f"{part}-images-idx3-ubyte{suffix}", images)
        write_idx(folder / f"{part}-labels-idx1-ubyte{suffix}", labels)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx(tmp_path, suffix):
    mnist_like(tmp_path, suffix=suffix)
    images, labels, test, test_labels = read_mnist(tmp_path)
    assert images.shape == (40, 28, 28)
    assert labels[:12].tolist() == [*range(10), 0, 1]
    assert (test.shape, test_labels.shape) == ((10, 28, 28), (10,))
    (tmp_path / "short").write_bytes(b"\0\0\x08\x01\0\0\0\x09abc")
    with pytest.raises(SettingsError, match="3 values"):
        read_idx(tmp_path / "short")
    (tmp_path / "other").write_bytes(b"GIF8")
    with pytest.raises(SettingsError, match="idx file"):
        read_idx(tmp_path / "other")


def cifar_rows(n):
    """Red, green, blue planes of one value each: the image says 1, 2, 3 in every pixel."""
    return np.repeat(np.array([[1, 2, 3]], np.uint8), 1024, axis=1).repeat(n, axis=0)


@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar_pickles(tmp_path, protocol):
    inner = tmp_path / "cifar-10-batches-py"
    inner.mkdir()
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        batch = {b"data": cifar_rows(2), b"labels": [3, 9], b"batch_label": b"x"}
        (inner / name).write_bytes(pickle.dumps(batch, protocol))
    images, labels, test, test_labels = read_cifar10(tmp_path)
    assert images.shape == (10, 32, 32, 3)
    assert images[0, 5, 7].tolist() == [1, 2, 3]
    assert labels.tolist() == [3, 9] * 5
    assert (len(test), test_labels.tolist()) == (2, [3, 9])


class Evil:
    def __reduce__(self):
        return os.mkdir, ("pwned",)


def test_a_pickle_that_calls_something_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
        (tmp_path / name).write_bytes(pickle.dumps({b"data": Evil(), b"labels": []}))
    with pytest.raises(SettingsError, match="it asks for"):
        read_cifar10(tmp_path)
    assert not (tmp_path / "pwned").exists()


def test_cifar_binary(tmp_path):
    record = np.concatenate([[7], cifar_rows(1)[0]]).astype(np.uint8)
    for name in [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]:
        (tmp_path / name).write_bytes(record.tobytes() * 3)
    images, labels, test, _ = read_cifar10(tmp_path)
    assert images[0, 0, 0].tolist() == [1, 2, 3]
    assert labels.tolist() == [7] * 15
    assert len(test) == 3
    (tmp_path / "test_batch.bin").write_bytes(b"x" * 5)
    with pytest.raises(SettingsError, match="3073"):
        read_cifar10(tmp_path)


def test_pathmnist(tmp_path):
    parts = {"train": 4, "val": 2, "test": 3}
    arrays = {f"{name}_images": np.zeros((n, 28, 28, 3), np.uint8) for name, n in parts.items()}
    labels = {f"{name}_labels": np.full((n, 1), 8, np.uint8) for name, n in parts.items()}
    np.savez(tmp_path / "pathmnist.npz", **arrays, **labels)
    images, given, test, held = read_pathmnist(tmp_path)
    assert (images.shape, given.shape, test.shape) == ((6, 28, 28, 3), (6,), (3, 28, 28, 3))
    assert held.tolist() == [8, 8, 8]
    np.savez(tmp_path / "pathmnist.npz", train_images=np.array([Evil], dtype=object))
    with pytest.raises(SettingsError, match="does not read"):
        read_pathmnist(tmp_path)


def test_a_set_that_is_not_there_says_how_to_get_it(tmp_path):
    with pytest.raises(SettingsError, match="--folder"):
        folder_of("mnist", None)
    with pytest.raises(SettingsError, match="train-images"):
        load_set("mnist", tmp_path, 10, 10, 0)
    with pytest.raises(SettingsError, match="data"):
        folder_of("imagenet", None)
    if not DEBIAN.is_dir():
        with pytest.raises(SettingsError, match="dataset-fashion-mnist"):
            folder_of("fashion-mnist", None)


def test_features_know_no_labels_and_no_test_set(tmp_path):
    mnist_like(tmp_path, n=200, m=40)
    data = load_set("mnist", tmp_path, 150, 30, 0)
    assert data.pool.shape == (150, 64)
    assert (data.test.shape, data.classes) == ((30, 64), 10)
    np.testing.assert_allclose(data.pool.mean(axis=0), 0, atol=1e-4)
    assert (data.pool**2).mean() == pytest.approx(1, abs=1e-3)
    other = load_set("mnist", tmp_path, 150, 20, 0)
    np.testing.assert_array_equal(data.pool, other.pool)
    with pytest.raises(SettingsError, match="200 items"):
        load_set("mnist", tmp_path, 500, 30, 0)


def test_digits_are_cut_without_overlap():
    data = load_set("digits", None, 1257, 540, 0)
    both = np.concatenate([data.pool, data.test])
    assert both.shape == (1797, 64)
    assert len(np.unique(both, axis=0)) == 1797
    other = load_set("digits", None, 1257, 540, 1)
    assert not np.array_equal(data.truth, other.truth)
