"""Annotators who err: every label any of them would give, drawn before anything is asked.

Look k of item i has one label, fixed in advance, whatever method asks for it and when: common
random numbers (reference/relabelling.md 5.2). So methods differ by what they ask, not by luck.
The second reader is *clean* (every look after the first is right) or *noisy* (errs as the first
does, drawn afresh).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression

from fcdsynth.core.errors import SettingsError
from fcdsynth.study.relabelling.sets import ClassificationSet

Kind = Literal["symmetric", "pair", "clustered", "boundary"]
Reader = Literal["clean", "noisy"]
_CLUSTER_SIZE = 12
_MOST_LIKELY = 0.95


@dataclass(frozen=True, slots=True)
class NoiseSettings:
    """How annotators err.

    Args:
        kind: ``symmetric``: to any other class; ``pair``: to the next class; ``clustered``:
            whole clusters of about a dozen look-alikes get one wrong class; ``boundary``: the
            likelier the nearer an item lies to the true boundary, and to the class beyond it.
        rate: Share of labels that are wrong.
        reader: The second reader.

    Raises:
        SettingsError: If a value is out of range.
    """

    kind: Kind = "symmetric"
    rate: float = 0.3
    reader: Reader = "noisy"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise SettingsError("kind", repr(self.kind), " or ".join(get_args(Kind)),
                                "Name one of them.")  # fmt: skip
        if self.reader not in get_args(Reader):
            raise SettingsError("reader", repr(self.reader), "clean or noisy", "Name one of them.")
        if not 0 <= self.rate <= 0.8:
            raise SettingsError("rate", str(self.rate), "0 to 0.8", "Change the rate.")

    @property
    def second_error(self) -> float:
        """Error rate of the second reader: the hit rate at which a re-label breaks even."""
        return self.rate if self.reader == "noisy" else 0.0


def draw_annotations(
    data: ClassificationSet, noise: NoiseSettings, looks: int, seed: int
) -> NDArray[np.int64]:
    """Label of every item at every look, shape (n, looks).

    Args:
        data: The set.
        noise: How annotators err.
        looks: Looks at most.
        seed: Seed; the first look is the same for both readers.
    """
    rng = np.random.default_rng([seed, 2])
    draw = {"symmetric": _symmetric, "pair": _pair, "clustered": _clustered,
            "boundary": _boundary}[noise.kind]  # fmt: skip
    given = draw(data, noise.rate, looks, rng)
    if noise.reader == "clean":
        given[:, 1:] = data.truth[:, None]
    return given


def _symmetric(
    data: ClassificationSet, rate: float, looks: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    shape = (len(data.truth), looks)
    wrong = rng.random(shape) < rate
    return _shifted(data, wrong, rng.integers(1, data.classes, shape))


def _pair(
    data: ClassificationSet, rate: float, looks: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    wrong = rng.random((len(data.truth), looks)) < rate
    return _shifted(data, wrong, np.ones(wrong.shape, dtype=np.int64))


def _shifted(
    data: ClassificationSet, wrong: NDArray[np.bool_], by: NDArray[np.int64]
) -> NDArray[np.int64]:
    return np.asarray((data.truth[:, None] + wrong * by) % data.classes)


def _clustered(
    data: ClassificationSet, rate: float, looks: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Each look errs on clusters of its own, up to the rate."""
    n = len(data.truth)
    clusters = KMeans(max(2, n // _CLUSTER_SIZE), n_init=1, max_iter=20,
                      random_state=int(rng.integers(2**31))).fit_predict(data.pool)  # fmt: skip
    given = np.repeat(data.truth[:, None], looks, axis=1)
    for look in range(looks):
        wrong = 0
        for cluster in rng.permutation(clusters.max() + 1):
            mine = np.flatnonzero(clusters == cluster)
            if wrong + len(mine) / 2 > rate * n:
                continue
            common = int(np.bincount(data.truth[mine]).argmax())
            given[mine, look] = (common + rng.integers(1, data.classes)) % data.classes
            wrong += len(mine)
    return given


def _boundary(
    data: ClassificationSet, rate: float, looks: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    model = LogisticRegression(C=0.01, max_iter=200).fit(data.pool, data.truth)
    p = model.predict_proba(data.pool)
    rows = np.arange(len(p))
    column = np.searchsorted(model.classes_, data.truth)
    own = p[rows, column]
    p[rows, column] = -1
    rival = model.classes_[p.argmax(axis=1)]
    # Closeness by rank; a power of it that has the wanted mean, none surer than 0.95.
    close = 1 - (np.argsort(np.argsort(own - p.max(axis=1))) + 0.5) / len(p)
    powers = np.linspace(0.0, 12.0, 241)
    means = [(_MOST_LIKELY * close**power).mean() for power in powers]
    likely = _MOST_LIKELY * close ** powers[int(np.argmin(np.abs(np.array(means) - rate)))]
    likely = likely * min(1.0, rate / max(float(likely.mean()), 1e-12))
    wrong = rng.random((len(p), looks)) < likely[:, None]
    return np.where(wrong, rival[:, None], data.truth[:, None])
