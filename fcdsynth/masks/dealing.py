"""Dealing: which subject is drawn in which host, and what it is drawn for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from fcdsynth.core.cohort import Cohort
from fcdsynth.core.errors import SettingsError
from fcdsynth.core.subject import Subject
from fcdsynth.core.transforms import read_to_mni
from fcdsynth.masks.job import Task
from fcdsynth.masks.targets import REMEDY, Target


def tasks_for(n_lesions: int, n_controls: int, targets: Sequence[Target] = ()) -> list[Task]:
    """The subjects to draw, lesional ones first.

    With targets each lesional subject has one. Controls get the same ones over and over, mixed
    in proportion to their counts, so that regions lie where the lesions do however many
    controls there are.

    Args:
        n_lesions: Number of lesional subjects; with targets the sum of their counts.
        n_controls: Number of subjects with a region and no lesion.
        targets: What to draw for; none for anything.
    """
    aims: list[Target | None] = [t for t in targets for _ in range(t.count)] or [None] * n_lesions
    mixed = sorted(((k + 0.5) / t.count, n) for n, t in enumerate(targets) for k in range(t.count))
    for number in range(n_controls):
        aims.append(targets[mixed[number % len(mixed)][1]] if mixed else None)
    return [
        Task(number, "lesion" if number < n_lesions else "control", f"syn-{number + 1:05d}", aim)
        for number, aim in enumerate(aims)
    ]


def without_place(table: Cohort, hosts: Sequence[Subject], targets: Sequence[Target]) -> set[str]:
    """Ids of the hosts that cannot serve a target by lobe, as their MNI position is unknown.

    None where no target names a lobe: then nothing is read.

    Raises:
        CohortError: If a transforms file is unreadable.
    """
    if not any(target.lobe for target in targets):
        return set()
    return {host.id for host in hosts if read_to_mni(table, host) is None}


def hosts_for(
    target: Target, hosts: Sequence[Subject], placeless: Collection[str] = ()
) -> tuple[Subject, ...]:
    """The hosts that can serve a target, in the order given: of its site, with lobes known.

    Args:
        target: The target.
        hosts: All hosts.
        placeless: Ids of hosts without known MNI position, see `without_place`.
    """
    return tuple(
        host for host in hosts
        if target.site in ("", host.site) and not (target.lobe and host.id in placeless)
    )  # fmt: skip


def check_targets(
    targets: Sequence[Target], cohort: Cohort, hosts: Sequence[Subject],
    placeless: Collection[str] = (),
) -> None:  # fmt: skip
    """Refuse targets that none of the hosts can serve.

    Args:
        targets: The targets.
        cohort: The cohort, for the sites that it knows.
        hosts: The hosts that are drawn in.
        placeless: Ids of hosts without known MNI position, see `without_place`.

    Raises:
        SettingsError: If a target names a site that the cohort has not, or one of which no host
            is, or names a lobe and no host of its site has a known MNI position.
    """
    known = sorted({s.site for s in cohort.subjects if s.site})
    usable = ", ".join(sorted({s.site for s in hosts if s.site})) or "no named site"
    for number, target in enumerate(targets, 1):
        if target.site and target.site not in known:
            names = ", ".join(known) or "no named site"
            raise SettingsError(f"target {number}", f"site {target.site!r}", names, REMEDY)
        if not hosts_for(target, hosts):
            raise SettingsError(
                f"target {number}", f"site {target.site!r}, but none of its controls among the "
                f"{len(hosts)} hosts", f"a site of the hosts: {usable}",
                "Leave the target out, name hosts of that site, or add training controls of it.",
            )  # fmt: skip
        if not hosts_for(target, hosts, placeless):
            raise SettingsError(
                f"target {number}", f"lobe {target.lobe}, but no t1w_to_mni in any host"
                + (f" of site {target.site!r}" if target.site else ""),
                "a host with a known MNI position", "Prepare the hosts again, or name other ones.",
            )  # fmt: skip


def deal(
    tasks: Sequence[Task], hosts: Sequence[Subject], seed: int, placeless: Collection[str] = ()
) -> dict[str, tuple[Task, ...]]:
    """Deal the subjects out to the hosts: every round visits each host once, in a new order.

    A task whose target its host cannot serve goes to the least used host that can.

    Args:
        tasks: The subjects to draw.
        hosts: The hosts; each target must have one that serves it, see `check_targets`.
        seed: Seed of the orders.
        placeless: Ids of hosts without known MNI position, see `without_place`.

    Returns:
        The tasks of each host that got any, by its id, ids rising.
    """
    rng = np.random.default_rng(seed)
    order: list[int] = []
    while len(order) < len(tasks):
        order += [int(i) for i in rng.permutation(len(hosts))]
    dealt: dict[str, list[Task]] = {}
    for task, index in zip(tasks, order, strict=False):
        host = hosts[index]
        if task.target is not None:
            fitting = hosts_for(task.target, hosts, placeless)
            if host not in fitting:
                host = min(fitting, key=lambda s: (len(dealt.get(s.id, ())), hosts.index(s)))
        dealt.setdefault(host.id, []).append(task)
    return {name: tuple(share) for name, share in sorted(dealt.items())}
