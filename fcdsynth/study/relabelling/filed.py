"""Reading public classification sets from files: idx, CIFAR-10's pickles, MedMNIST's npz.

Nothing is downloaded and nothing in a file is executed.
"""

from __future__ import annotations

import gzip
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import SettingsError

Images = NDArray[np.uint8]
Classes = NDArray[np.int64]
_MAGIC_UNSIGNED_BYTES = 8


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, gzipped or not: images (n, 28, 28) or labels (n,).

    Raises:
        SettingsError: If it is not one.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        raw = file.read()
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _MAGIC_UNSIGNED_BYTES:
        raise _unreadable(path, f"first bytes {raw[:4]!r}", "an idx file of unsigned bytes")
    dims = raw[3]
    shape = tuple(int.from_bytes(raw[4 + 4 * i : 8 + 4 * i], "big") for i in range(dims))
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * dims)
    if values.size != int(np.prod(shape)):
        raise _unreadable(path, f"{values.size} values", f"{shape}")
    return values.reshape(shape)


def read_mnist(folder: Path) -> tuple[Images, Classes, Images, Classes]:
    """Training images and labels, then those of the test, from MNIST's four idx files.

    Raises:
        SettingsError: If one is absent or unreadable.
    """
    parts: list[NDArray[Any]] = []
    for part in ("train", "t10k"):
        images = read_idx(_find(folder, f"{part}-images-idx3-ubyte", f"{part}-images.idx3-ubyte"))
        labels = read_idx(_find(folder, f"{part}-labels-idx1-ubyte", f"{part}-labels.idx1-ubyte"))
        parts += [images, labels.astype(np.int64)]
    return parts[0], parts[1], parts[2], parts[3]


class _ArraysOnly(pickle.Unpickler):
    """Builds numpy arrays and plain containers; anything else a pickle asks for is refused."""

    _ALLOWED = frozenset({
        ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"),
    })  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def read_cifar10(folder: Path) -> tuple[Images, Classes, Images, Classes]:
    """Images (n, 32, 32, 3) and labels, from CIFAR-10's binary or python version.

    Raises:
        SettingsError: If files are absent, or a pickle holds more than arrays.
    """
    for inner in (folder, folder / "cifar-10-batches-bin", folder / "cifar-10-batches-py"):
        names = [f"data_batch_{i}" for i in range(1, 6)]
        if (inner / "test_batch.bin").is_file():
            batches = [_binary_batch(_find(inner, f"{name}.bin")) for name in names]
            test = _binary_batch(inner / "test_batch.bin")
            break
        if (inner / "test_batch").is_file():
            batches = [_pickled_batch(_find(inner, name)) for name in names]
            test = _pickled_batch(inner / "test_batch")
            break
    else:
        raise _unreadable(folder, "no test_batch or test_batch.bin",
                          "CIFAR-10's binary or python version, unpacked")  # fmt: skip
    images = np.concatenate([pictures for pictures, _ in batches])
    return images, np.concatenate([labels for _, labels in batches]), *test


def _binary_batch(path: Path) -> tuple[Images, Classes]:
    rows = np.fromfile(path, np.uint8)
    if rows.size == 0 or rows.size % 3073:
        raise _unreadable(path, f"{rows.size} bytes", "a multiple of 3073")
    rows = rows.reshape(-1, 3073)
    return _channels_last(rows[:, 1:]), rows[:, 0].astype(np.int64)


def _pickled_batch(path: Path) -> tuple[Images, Classes]:
    try:
        record = _ArraysOnly(io.BytesIO(path.read_bytes()), encoding="bytes").load()
        data = np.asarray(record[b"data"], dtype=np.uint8)
        return _channels_last(data), np.asarray(record[b"labels"], dtype=np.int64)
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, ValueError) as error:
        raise _unreadable(path, f"a file that does not read ({error})",
                          "a batch of CIFAR-10 that holds arrays only") from error  # fmt: skip


def _channels_last(rows: NDArray[np.uint8]) -> Images:
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def read_pathmnist(folder: Path) -> tuple[Images, Classes, Images, Classes]:
    """Images (n, 28, 28, 3) and labels of PathMNIST's npz; validation images join the training.

    Raises:
        SettingsError: If the file is absent or holds Python objects.
    """
    path = _find(folder, "pathmnist.npz")
    try:
        with np.load(path, allow_pickle=False) as held:
            arrays = {name: held[name] for name in held.files}
        images = np.concatenate([arrays["train_images"], arrays["val_images"]])
        labels = np.concatenate([arrays["train_labels"], arrays["val_labels"]])
        test, test_labels = arrays["test_images"], arrays["test_labels"]
    except (ValueError, KeyError, OSError) as error:
        raise _unreadable(path, f"a file that does not read ({error})",
                          "MedMNIST's pathmnist.npz") from error  # fmt: skip
    return (images, labels.ravel().astype(np.int64), test, test_labels.ravel().astype(np.int64))


def _find(folder: Path, *names: str) -> Path:
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    raise _unreadable(folder, "no such file", names[0])


def _unreadable(path: Path, found: str, expected: str) -> SettingsError:
    remedy = "Give the folder of the unpacked set with --folder; nothing is downloaded."
    return SettingsError(str(path), found, expected, remedy)
