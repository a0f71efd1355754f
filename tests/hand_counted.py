"""What cases counted by hand share: subjects and cohorts of boxes, scored through real files.

A case yields pairs (got, expected) and says in its docstring how the expected came about.
"""

from dataclasses import replace
from math import sqrt

import numpy as np

from fcdsynth.evaluation.froc import froc
from fcdsynth.evaluation.report import Report
from fcdsynth.evaluation.rules import Rule
from fcdsynth.evaluation.scoring import score_subject

Z = 1.959963984540054  # standard normal, 97.5 %


def registry():
    """An empty table of cases and the decorator that fills it."""
    cases = {}

    def case(function):
        cases[function.__name__.replace("_", "-")] = function
        return function

    return cases, case


def check(pairs):
    """Compare what a case yields: numbers to 1e-6, everything else exactly."""
    compared = 0
    for got, expected in pairs:
        if _numeric(expected):
            assert np.shape(got) == np.shape(expected), (got, expected)
            np.testing.assert_allclose(np.array(got, float), np.array(expected, float), atol=1e-6)
        else:
            assert got == expected, (got, expected)
        compared += 1
    assert compared


def _numeric(expected):
    try:
        return not np.isnan(np.array(expected, float)).any()
    except (TypeError, ValueError):
        return False


def box(*sides):
    """Each side a half-open (start, stop) or one index."""
    return tuple(slice(*s) if isinstance(s, tuple) else slice(s, s + 1) for s in sides)


def cube(start, stop):
    return box(*[(start, stop)] * 3)


def finders(record, rule):
    """Number of the finding cluster of each lesion, None where missed; lesions largest first."""
    return [lesion.found[rule].cluster for lesion in record.lesions]


def roles(record, rule):
    """Roles in the order of the clusters' numbers."""
    return [c.roles[rule] for c in sorted(record.clusters, key=lambda c: c.cluster)]


class SubjectBench:
    """Writes subjects made of boxes and scores them."""

    def __init__(self, arrays, make_grid, folder):
        self.arrays, self.make_grid, self.folder = arrays, make_grid, folder

    def write(self, lesions, clusters=(), scores=(), shape=(16,) * 3, spacing=(1, 1, 1), draws=0,
              **more):  # fmt: skip
        subject = self.arrays(self.make_grid(shape, spacing), lesions, clusters, scores, **more)
        return subject.write(self.folder, draws=draws)

    def score(self, *args, **more):
        return score_subject(self.write(*args, **more))


class CohortBench:
    """Makes cohorts; ``patient`` and ``control`` return records, ``report`` the figures."""

    def __init__(self, arrays, make_grid, folder):
        self.arrays, self.grid, self.folder = arrays, make_grid((16, 4, 4)), folder
        self.count = 0

    def patient(self, *found, false=(), site="s"):
        """A lesion for each score in ``found``, None where missed."""
        at = [(2 + 4 * number, 1, 1) for number in range(len(found))]
        hits = [(where, score) for where, score in zip(at, found, strict=True) if score is not None]
        return self._score(at, hits, false, site)

    def control(self, *false, site="s"):
        return self._score([], [], false, site)

    def _score(self, lesions, hits, false, site):
        clusters = [*hits, *(((14 - 2 * n, 3, 3), score) for n, score in enumerate(false))]
        self.count += 1
        name = f"sub-{self.count:03d}"
        subject = self.arrays(
            self.grid, lesions, [where for where, _ in clusters], [score for _, score in clusters]
        )
        task = subject.write(self.folder / name, name)
        return score_subject(replace(task, subject=replace(task.subject, site=site)))

    def report(self, *records, bootstrap=100):
        bare = Report(
            cohort="by hand", rule=Rule.OVERLAP, maps="probability", operating_point={},
            n_trained_on=0, not_evaluated=(), plan=None, relatives=(), bootstrap=bootstrap,
            chance_draws=0, seed=0, subjects=records,
        )  # fmt: skip
        return bare.derived()


def values(report, *names, scope="all"):
    return tuple(report.figure(name, scope=scope).value for name in names)


def curve(records, *names):
    """FROC points as (threshold, ...), the start of the curve left out."""
    return [(p.threshold, *(getattr(p, n) for n in names)) for p in froc(records, Rule.OVERLAP)][1:]


def wilson(count, n):
    """Wilson (1927): centre (p + z^2/2n) / (1 + z^2/n), and its half width."""
    p, below = count / n, 1 + Z**2 / n
    half = Z * sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / below
    return (p + Z**2 / (2 * n)) / below - half, (p + Z**2 / (2 * n)) / below + half
