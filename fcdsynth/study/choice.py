"""Choice: which subjects test and which train, nested, families together, round the sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy.optimize import linear_sum_assignment

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import CohortError, SettingsError
from fcdsynth.core.subject import Split, Subject
from fcdsynth.study.plan import Draw, Plan
from fcdsynth.study.settings import Arm

_OTHER_SEX = 20
Groups = tuple[list[Subject], list[Subject]]


def make_plan(
    cohort: Cohort,
    arms: Sequence[Arm],
    n: int | None = None,
    folds: int = 5,
    draws: int = 1,
    by: Literal["subject", "site"] = "subject",
    test_patients: int | None = None,
    test_controls: int | None = None,
    match_controls: bool = False,
    seed: int = 0,
    rule: str = "overlap",
    rate: float = 0.5,
    within_families: bool = False,
    recipe: Mapping[str, str] | None = None,
) -> Plan:
    """Choose test and training subjects.

    Test patients are the table's own (split ``test``) where it has any, else chosen at random,
    going round the sites; the same for test controls. What remains trains, nested from small
    arms to large ones: the n of ``real = 1`` come from as few families as hold them (the
    anatomies of simulated patients), so that 2n brings new families and not more of the same.

    Args:
        cohort: A prepared cohort of real or phantom subjects.
        arms: The arms; the largest ``real`` decides how many subjects are needed.
        n: Training patients of an arm with ``real = 1``; as many as there are when None.
        folds: Folds within each arm; 1 takes the table's own validation subjects.
        draws: Choices of training subjects.
        by: ``site`` leaves one site out in each draw, which then tests.
        test_patients: Number of test patients when the table names none; a third by default.
        test_controls: Number of test controls when the table names none; a third by default.
        match_controls: Whether test controls that the table does not name are those nearest to
            the test patients by sex and age class, see `matched`.
        seed: Seed of the choice.
        rule: Hit rule of the primary endpoint.
        rate: False positives per subject of the primary endpoint.
        within_families: See `Plan`.
        recipe: See `Plan`.

    Raises:
        CohortError: If there are too few patients or controls for the arms and folds.
        SettingsError: If a number is out of range, or there is one site only.
    """
    for key, value in (("folds", folds), ("draws", draws)):
        if value < 1:
            raise SettingsError(key, str(value), "at least 1", f"Change --{key}.")
    if rate <= 0:
        raise SettingsError("rate", f"{rate:g}", "above 0", "Change --rate.")
    subjects = sorted(cohort.subjects, key=lambda s: s.id)
    held = [s for s in subjects if s.split is Split.VAL] if folds == 1 else []
    if folds == 1 and not any(s.is_patient for s in held):
        raise CohortError(
            cohort.name, "folds 1, and no validation patient", "subjects of split val in the table",
            "Fill the split column, or raise --folds.",
        )  # fmt: skip
    free = [s for s in subjects if s not in held]
    chosen: list[Draw] = []
    from_table = False
    if by == "site":
        sites = sorted({s.site for s in subjects})
        if len(sites) < 2:
            raise SettingsError("by", f"site, with {len(sites)} site", "at least two sites",
                                "Leave --by out.")  # fmt: skip
        parts = [
            (f"site-{k}", [s for s in free if s.site == site], [s for s in free if s.site != site],
             [s for s in held if s.site != site])
            for k, site in enumerate(sites, start=1)
        ]  # fmt: skip
    else:
        test, from_table = _test(free, test_patients, test_controls, match_controls, seed)
        rest = [s for s in free if s not in test]
        parts = [(f"draw-{k}", test, rest, held) for k in range(1, draws + 1)]
    available = min(min(len(group) for group in _groups(rest)) for _, _, rest, _ in parts)
    largest = max(arm.real for arm in arms)
    n = int(available / largest) if n is None else n
    smallest = min(round(arm.real * n) for arm in arms)
    if smallest < max(folds, 1) or available < round(largest * n):
        counts = ", ".join(
            f"{len(p)} patients and {len(c)} controls" for p, c in
            (_groups(rest) for _, _, rest, _ in parts[:1])
        )  # fmt: skip
        raise CohortError(
            cohort.name, f"{counts} left for training",
            f"{round(largest * n)} of each for arms of up to {largest:g} x n with n = {n}, and at "
            f"least {folds} in the smallest for {folds} folds",
            "Lower n, folds or the number of test subjects, or add subjects.",
        )  # fmt: skip
    for number, (name, test, rest, validation) in enumerate(parts):
        _require_test(cohort.name, name, test)
        rng = np.random.default_rng([seed, 21, number])
        patients, controls = _nested(rest, n, rng)
        size = round(largest * n)
        tested = _groups(test)
        chosen.append(Draw(
            name, tuple(patients[:size]), tuple(controls[:size]),
            tuple(s.id for s in validation), tuple(s.id for s in tested[0]),
            tuple(s.id for s in tested[1]),
        ))  # fmt: skip
    return Plan(
        n, folds, seed, rule, rate, within_families, tuple(arms), tuple(chosen), recipe or {},
        from_table, f"{cohort.name}, version {cohort.version}",
    )  # fmt: skip


def _groups(subjects: Sequence[Subject]) -> Groups:
    return [s for s in subjects if s.is_patient], [s for s in subjects if not s.is_patient]


def _require_test(cohort: str, draw: str, test: Sequence[Subject]) -> None:
    for group, members in zip(("patients", "controls"), _groups(test), strict=True):
        if not members:
            raise CohortError(cohort, f"no {group} to test in {draw}", "at least one",
                              f"Raise --test_{group}, or add {group}.")  # fmt: skip


def _test(
    subjects: Sequence[Subject], patients: int | None, controls: int | None, match: bool, seed: int
) -> tuple[list[Subject], bool]:
    """The test subjects, and whether the table names its test patients."""
    groups = _groups(subjects)
    named = [[s for s in group if s.split is Split.TEST] for group in groups]
    wanted = [
        0 if mine else (len(group) // 3 if number is None else number)
        for mine, group, number in zip(named, groups, (patients, controls), strict=True)
    ]
    rest = [s for s in subjects if s.split is not Split.TEST]
    rng = np.random.default_rng([seed, 20])
    drawn = _whole_families(rest, wanted[0], 0 if match else wanted[1], rng)
    if match and wanted[1]:
        tested = [*named[0], *(s for s in drawn if s.is_patient)]
        free = [s for s in rest if not s.is_patient and s not in drawn]
        drawn = [*drawn, *matched(tested, free, wanted[1], rng)]
    return sorted([*named[0], *named[1], *drawn], key=lambda s: s.id), bool(named[0])


def matched(
    patients: Sequence[Subject], controls: Sequence[Subject], number: int, rng: np.random.Generator
) -> list[Subject]:
    """Controls like the patients: of the same sex and as near in age class as can be.

    Every patient in turn is given a control, the sum over all being the least possible (linear
    assignment); a difference in sex weighs as 20 classes of age. Ties are broken by chance.

    Args:
        patients: Who is to be matched, over and over if there are fewer than ``number``.
        controls: Who may be chosen.
        number: How many to choose.
        rng: Source of chance.

    Raises:
        CohortError: If there are too few controls, or one has no sex or no age class.
    """
    if len(controls) < number or not patients:
        raise CohortError("controls", f"{len(controls)} to match {number}", f"at least {number}",
                          "Lower --test_controls.")  # fmt: skip
    for s in (*patients, *controls):
        if not s.sex or not s.age_code.isdigit():
            raise CohortError(s.id, f"sex {s.sex!r}, age class {s.age_code!r}", "both, to match by",
                              "Fill the table, or leave --match_controls out.")  # fmt: skip
    order = [patients[k] for k in rng.permutation(len(patients))]
    wanted = [order[k % len(order)] for k in range(number)]
    cost = np.array([
        [abs(int(a.age_code) - int(b.age_code)) + _OTHER_SEX * (a.sex != b.sex) for b in controls]
        for a in wanted
    ], dtype=float)  # fmt: skip
    _, chosen = linear_sum_assignment(cost + rng.uniform(0, 1e-3, cost.shape))
    return [controls[k] for k in chosen]


def _nested(
    subjects: Sequence[Subject], n: int, rng: np.random.Generator
) -> tuple[list[str], list[str]]:
    """Patients and controls in the order in which arms take them."""
    early = _whole_families(subjects, n, n, rng)
    late = [s for s in subjects if s not in early]
    (a, b), (c, d) = (
        [_round_sites(group, rng) for group in _groups(part)] for part in (early, late)
    )
    return [s.id for s in (*a, *c)], [s.id for s in (*b, *d)]


def _whole_families(
    subjects: Sequence[Subject], patients: int, controls: int, rng: np.random.Generator
) -> list[Subject]:
    """Families in random order, round the sites, until there are enough of both groups."""
    families: dict[str, list[Subject]] = {}
    for s in subjects:
        families.setdefault(s.family or f"only {s.id}", []).append(s)
    heads = _round_sites([members[0] for members in families.values()], rng)
    taken: list[Subject] = []
    for head in heads:
        members = families[head.family or f"only {head.id}"]
        mine, others = _groups(taken)
        short = [len(mine) < patients, len(others) < controls]
        if any(short[0 if s.is_patient else 1] for s in members):
            taken += members
    return taken


def _round_sites(subjects: Sequence[Subject], rng: np.random.Generator) -> list[Subject]:
    """Subjects in random order, taking turns between sites and scanners, patients and controls."""
    groups: dict[tuple[bool, str, str], list[Subject]] = {}
    for s in sorted(subjects, key=lambda s: s.id):
        groups.setdefault((s.is_patient, s.site, s.scanner), []).append(s)
    mixed = [[members[i] for i in rng.permutation(len(members))] for members in groups.values()]
    longest = max(map(len, mixed), default=0)
    return [members[i] for i in range(longest) for members in mixed if i < len(members)]
