"""Classification sets, cut into a pool to be labelled and a test set, as numbers a small net takes.

Digits come with scikit-learn; Fashion-MNIST from Debian's package dataset-fashion-mnist or a
folder; MNIST, CIFAR-10 and PathMNIST from a folder of the user's. Images above 64 pixels are
reduced to the pool's 64 first principal components, which know nothing of labels: the same
numbers serve the network and the search for neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from fcdsynth.core.errors import SettingsError
from fcdsynth.study.relabelling.filed import read_cifar10, read_mnist, read_pathmnist

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
COMPONENTS = 64
_READERS: dict[str, Callable[[Path], tuple[NDArray[Any], ...]]] = {
    "fashion-mnist": read_mnist,
    "mnist": read_mnist,
    "cifar10": read_cifar10,
    "pathmnist": read_pathmnist,
}
NAMES = ("digits", *_READERS)


@dataclass(frozen=True)
class ClassificationSet:
    """A pool whose labels are to be bought, and a test set.

    Args:
        name: Name of the set.
        pool: Features of the pool, shape (n, d), mean 0 and mean square 1 over the pool.
        truth: True classes of the pool, 0 to K - 1, shape (n,).
        test: Features of the test set, shape (m, d).
        test_truth: Its true classes, shape (m,).
    """

    name: str
    pool: NDArray[np.float32]
    truth: NDArray[np.int64]
    test: NDArray[np.float32]
    test_truth: NDArray[np.int64]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(max(self.truth.max(), self.test_truth.max())) + 1


@lru_cache(maxsize=1)  # methods of one seed follow each other
def load_set(name: str, folder: Path | None, pool: int, test: int, seed: int) -> ClassificationSet:
    """Draw pool and test of one seed.

    Args:
        name: One of `NAMES`.
        folder: Where the files lie; not needed for digits, nor where Debian's Fashion-MNIST is.
        pool: Items of the pool.
        test: Items of the test set; from the set's own test part where it has one.
        seed: Seed of the draw.

    Raises:
        SettingsError: If the name is unknown, files are absent, or the set is too small.
    """
    rng = np.random.default_rng([seed, 1])
    if name == "digits":
        images, truth = load_digits(return_X_y=True)
        order = rng.permutation(len(images))
        _check_size(name, len(order), pool + test)
        mine, theirs = order[test : test + pool], order[:test]
        return _as_numbers(name, images[mine], truth[mine], images[theirs], truth[theirs])
    train, labels, held, held_labels = _whole(name, folder_of(name, folder))
    _check_size(name, len(train), pool)
    _check_size(name, len(held), test)
    mine, theirs = rng.permutation(len(train))[:pool], rng.permutation(len(held))[:test]
    return _as_numbers(name, train[mine], labels[mine], held[theirs], held_labels[theirs])


def folder_of(name: str, folder: Path | None) -> Path:
    """Folder of a set's files.

    Raises:
        SettingsError: If the name is unknown, or no folder is given and none is known.
    """
    if name not in _READERS:
        raise SettingsError("data", repr(name), " or ".join(NAMES), "Name one of them.")
    if folder is not None:
        return folder
    if name == "fashion-mnist" and DEBIAN.is_dir():
        return DEBIAN
    remedy = f"Get {name} yourself and give its folder with --folder; nothing is downloaded."
    if name == "fashion-mnist":
        remedy = "Install Debian's package dataset-fashion-mnist, or give a folder with --folder."
    raise SettingsError("folder", "none", f"the folder of {name}", remedy)


@cache
def _whole(name: str, folder: Path) -> tuple[NDArray[Any], ...]:
    return _READERS[name](folder)


def _check_size(name: str, found: int, wanted: int) -> None:
    if found < wanted:
        raise SettingsError("pool", f"{found} items in {name}", f"{wanted} or more",
                            "Ask for fewer.")  # fmt: skip


def _as_numbers(
    name: str, pool: NDArray[Any], truth: NDArray[Any], test: NDArray[Any], test_truth: NDArray[Any]
) -> ClassificationSet:
    x = pool.reshape(len(pool), -1).astype(np.float32)
    z = test.reshape(len(test), -1).astype(np.float32)
    if x.shape[1] > COMPONENTS:
        pca = PCA(COMPONENTS, svd_solver="randomized", random_state=0).fit(x)
        x, z = pca.transform(x), pca.transform(z)
    middle = x.mean(axis=0)
    scale = float(np.sqrt(np.mean((x - middle) ** 2)))
    return ClassificationSet(
        name, ((x - middle) / scale).astype(np.float32), truth.astype(np.int64),
        ((z - middle) / scale).astype(np.float32), test_truth.astype(np.int64),
    )  # fmt: skip
