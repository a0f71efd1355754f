"""All comparisons of one run, made from what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fcdsynth.core.errors import CohortError
from fcdsynth.core.subject import Subject
from fcdsynth.measure.two_sample import FeatureTest, feature_tests
from fcdsynth.synthesis.proof.contrasts import (
    Against,
    Estimate,
    Paired,
    Together,
    against,
    paired,
    together,
)
from fcdsynth.synthesis.proof.copies import Copies, Lesions, find_copies
from fcdsynth.synthesis.proof.distances import Distance, distance
from fcdsynth.synthesis.proof.diversity import Diversity, diversity
from fcdsynth.synthesis.proof.encoder import NAME as ENCODER
from fcdsynth.synthesis.proof.hand import lesion_names
from fcdsynth.synthesis.proof.measured import Measured
from fcdsynth.synthesis.proof.sample import FEWEST, Sample, deal, interval
from fcdsynth.synthesis.proof.sides import Sides

LESION, HEAD = "lesion crops, by hand", "whole brains, by hand"
_BOOTSTRAPS = 2000
Known = Mapping[str, Measured]


@dataclass(frozen=True)
class Findings:
    """What realism found.

    Args:
        distances: KID and MMD of each set of features that could be compared, the lesion crops
            first.
        left_out: Sets that could not, with the reason.
        features: Each lesion feature by itself.
        contrasts: Lesion contrast of each image contrast.
        pairs: The same in pairs; empty where no synthetic mask is a real patient's.
        together: T1w and FLAIR contrast together, None without FLAIR.
        diversity: Of synthetic and of real crops.
        copies: The search for copies, None where there were too few training lesions.
        copies_of: Whether it looked among ``training`` lesions or the ``compared`` ones.
        summaries: Mean with interval of every number a subject has, by name; those of
            synthetic subjects and, under ``host_``, of their hosts and, under ``real_``, of the
            real side.
        spectrum_null: 95 % of log2 ratios between pairs of hosts, by contrast and axis.
        lesions: Number of synthetic and of real lesions in cortex and white matter.
        whole: Number of synthetic subjects that were drawn whole.
    """

    distances: tuple[Distance, ...]
    left_out: Mapping[str, str]
    features: tuple[FeatureTest, ...]
    contrasts: tuple[Against, ...]
    pairs: tuple[Paired, ...]
    together: Together | None
    diversity: tuple[Diversity | None, Diversity | None]
    copies: Copies | None
    copies_of: str
    summaries: Mapping[str, tuple[Estimate, int]]
    spectrum_null: Mapping[str, tuple[float, float]]
    lesions: tuple[int, int]
    whole: int


def find(
    sides: Sides, made: Known, real: Known, training: Known, splits: int, permutations: int,
    pairs: int, seed: int,
) -> Findings:  # fmt: skip
    """Compare.

    Args:
        sides: Who is compared.
        made: Synthetic subjects as measured, by id.
        real: Compared real subjects.
        training: Training patients and mask donors.
        splits: Number of splits of the real people into halves.
        permutations: Number of label shuffles.
        pairs: Most pairs of crops.
        seed: Seed of everything random.

    Raises:
        CohortError: If too few lesions lie in cortex and white matter, or too few people are
            behind them.
    """
    lesions = tuple(_lesions(sides, group, known) for group, known in
                    ((sides.made, made), (sides.chosen, real)))  # fmt: skip
    samples = [Sample(x.features, x.people) for x in lesions]
    for sample, what in zip(samples, ("synthetic", "real"), strict=True):
        if len(sample) < FEWEST:
            raise CohortError(what, f"{len(sample)} lesions in cortex or white matter",
                              f"at least {FEWEST}", "Look at masks and tissue labels.")  # fmt: skip
    halves = deal(samples[0], samples[1], splits, seed)
    if not halves:
        raise CohortError(
            sides.real.name, f"fewer than {FEWEST} lesions of different people in half of the "
            "real side, or fewer synthetic ones that show none of them",
            f"{2 * FEWEST} real people with lesions, and {FEWEST} synthetic lesions in others",
            "Prepare more patients or synthesize in more hosts.",
        )  # fmt: skip
    found, left_out = _distances(sides, made, real, samples, splits, permutations, seed)
    contrast = [
        np.array([[known[i].contrast[c] for c in sides.contrasts] for i in side.ids])
        for side, known in zip(lesions, (made, real), strict=True)
    ]
    both = [against(c, contrast[0][:, k], contrast[1][:, k], halves, seed)
            for k, c in enumerate(sides.contrasts)]  # fmt: skip
    learnt = _lesions(sides, sides.training, training)
    copies = find_copies(lesions[0], learnt)
    crops = [[known[i].crop for i in side.ids]
             for side, known in zip(lesions, (made, real), strict=True)]  # fmt: skip
    return Findings(
        found,
        left_out,
        feature_tests(samples[0].values, samples[1].values, lesion_names(sides.contrasts)),
        tuple(c for c in both if c is not None),
        _pairs(sides, made, {**real, **training}, seed),
        together(contrast[0], contrast[1], halves, seed) if len(sides.contrasts) > 1 else None,
        (
            diversity([c for c in crops[0] if c is not None], lesions[0].people, pairs, seed),
            diversity([c for c in crops[1] if c is not None], lesions[1].people, pairs, seed),
        ),
        copies or find_copies(lesions[0], lesions[1]),
        "training" if copies else "compared",
        _summaries(list(made.values()), list(real.values()), seed),
        _spectrum_null(list(made.values())),
        (len(samples[0]), len(samples[1])),
        sum(m.whole for m in made.values()),
    )


def _lesions(sides: Sides, group: Sequence[Subject], known: Known) -> Lesions:
    ids, people, features, residuals = [], [], [], []
    for subject in group:
        measured = known[subject.id]
        if measured.lesion is None or measured.residual is None:
            continue
        ids.append(subject.id)
        people.append(sides.people(subject))
        features.append(measured.lesion)
        residuals.append(measured.residual)
    k = len(lesion_names(sides.contrasts))
    return Lesions(tuple(ids), tuple(people), np.array(features).reshape(-1, k),
                   tuple(residuals))  # fmt: skip


def _distances(
    sides: Sides, made: Known, real: Known, lesions: Sequence[Sample], splits: int,
    permutations: int, seed: int,
) -> tuple[tuple[Distance, ...], dict[str, str]]:  # fmt: skip
    sets = {LESION: (lesions[0], lesions[1])}
    for name in (HEAD, f"whole brains (T1w), {ENCODER}"):
        rows = []
        for group, known in ((sides.made, made), (sides.chosen, real)):
            values = [known[s.id].head if name == HEAD else known[s.id].encoder for s in group]
            kept = [v for v in values if v is not None]
            rows.append(Sample(np.array(kept), tuple(sides.people(s) for s in group)))
        sets[name] = (rows[0], rows[1])
    found, left_out = [], {}
    for name, (synthetic, other) in sets.items():
        if not synthetic.values.size or not other.values.size:
            left_out[name] = "the file of deepbet's network is not there, or --encoder is false"
            continue
        result = distance(name, synthetic, other, splits, permutations, seed)
        if result is None:
            left_out[name] = (
                f"fewer than {FEWEST} synthetic subjects show none of the people in half of the "
                "real side"
            )
        else:
            found.append(result)
    return tuple(found), left_out


def _pairs(sides: Sides, made: Known, real: Known, seed: int) -> tuple[Paired, ...]:
    values: list[tuple[Measured, Measured]] = []
    for subject in sides.made:
        mine = made[subject.id]
        partner = sides.donor(subject) or (
            sides.host(subject) if mine.pair and not mine.whole else None
        )
        if not mine.contrast or partner is None or partner.id not in real:
            continue
        if real[partner.id].contrast:
            values.append((mine, real[partner.id]))
    found = [
        paired(c, _column([m for m, _ in values], c), _column([r for _, r in values], c), seed)
        for c in sides.contrasts
    ]
    return tuple(p for p in found if p is not None)


def _column(rows: Sequence[Measured], contrast: str) -> NDArray[np.float64]:
    return np.array([row.contrast[contrast] for row in rows], dtype=float)


def numbers_of(measured: Measured) -> dict[str, float]:
    """Every single number of a subject, by the name it has in the table."""
    named = {f"{k}_contrast": v for k, v in measured.contrast.items()}
    named |= {f"dice_{k}": v for k, v in measured.dice.items()}
    named |= {f"host_dice_{k}": v for k, v in measured.host_dice.items()}
    shown = "lesion" if measured.lesion is not None else "healthy"
    named |= {f"{k}_{'whole' if measured.whole else shown}": v for k, v in measured.pair.items()}
    named |= {f"{k}_nyquist_log2": v for k, v in measured.spectrum.items()}
    return named | {"change_outside": measured.change_outside}


def _summaries(
    made: Sequence[Measured], real: Sequence[Measured], seed: int
) -> dict[str, tuple[Estimate, int]]:
    columns: dict[str, list[float]] = {}
    for prefix, side in (("", made), ("real_", real)):
        for measured in side:
            for name, value in numbers_of(measured).items():
                if not np.isnan(value):
                    columns.setdefault(prefix + name, []).append(value)
    for name in ("cortex", "white", "cortex_place", "white_place"):
        both = [m.dice[name] - m.host_dice[name] for m in made if name in m.host_dice]
        columns[f"dice_gap_{name}"] = [v for v in both if not np.isnan(v)]
    rng = np.random.default_rng([seed, 6])
    found = {}
    for name in sorted(k for k, v in columns.items() if v):
        values = np.array(columns[name])
        draws = rng.integers(len(values), size=(_BOOTSTRAPS, len(values)))
        low, high = interval(list(values[draws].mean(axis=1)))
        found[name] = (Estimate(float(values.mean()), low, high), len(values))
    return found


def _spectrum_null(made: Sequence[Measured]) -> dict[str, tuple[float, float]]:
    shares: dict[str, list[float]] = {}
    for measured in made:
        for name, value in measured.host_spectrum.items():
            if value > 0:
                shares.setdefault(name, []).append(float(np.log2(value)))
    found = {}
    for name, logs in shares.items():
        # Either order of each pair: which host comes first says nothing.
        found[name] = interval([a - b for i, a in enumerate(logs) for j, b in enumerate(logs)
                                if i != j])  # fmt: skip
    return found
