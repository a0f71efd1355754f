"""Processes bounded by memory, and what becomes of items whose process is killed."""

import pytest

from fcdsynth.core.memory import affordable, cores, free_gib
from fcdsynth.core.progress import WorkerKilled, try_items

GIB = 2**30


def machine(tmp_path, available_gib, cgroup=""):
    proc = tmp_path / "proc"
    (proc / "self").mkdir(parents=True)
    kib = int(available_gib * 2**20)
    (proc / "meminfo").write_text(f"MemTotal: 99999999 kB\nMemAvailable: {kib} kB\n")
    (proc / "self" / "cgroup").write_text(cgroup)
    return proc


def group(folder, limit, used, cached, version=2):
    folder.mkdir(parents=True)
    names = {
        2: ("memory.max", "memory.current", "inactive_file"),
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    }[version]
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cached}\n")


def test_free_memory_is_what_the_machine_has_available(tmp_path):
    assert free_gib(machine(tmp_path, 6.0), tmp_path / "no groups") == pytest.approx(6.0)


def test_a_batch_jobs_own_limit_counts_also_when_it_stands_above(tmp_path):
    """The job's group has no limit, the one above it 4 GiB of which 3 are used, 1 by the cache."""
    proc = machine(tmp_path, 60.0, "0::/slurm/job_7\n")
    top = tmp_path / "groups"
    group(top / "slurm", 4 * GIB, 3 * GIB, GIB)
    group(top / "slurm" / "job_7", "max", GIB, 0)
    assert free_gib(proc, top) == pytest.approx(2.0)


def test_version_one_groups_are_read(tmp_path):
    proc = machine(tmp_path, 60.0, "12:cpu,cpuacct:/x\n5:memory:/x\n")
    top = tmp_path / "groups"
    group(top / "memory" / "x", 5 * GIB, 2 * GIB, 0, version=1)
    assert free_gib(proc, top) == pytest.approx(3.0)


def test_where_nothing_is_known_nothing_is_bounded(tmp_path):
    assert free_gib(tmp_path / "a", tmp_path / "b") is None
    assert affordable(7, 3.0, None).number == 7


@pytest.mark.parametrize(
    ("wanted", "free", "number"),
    [(4, 100.0, 4), (4, 6.6, 3), (4, 2.5, 1), (1, 0.5, 1), (0, 1000.0, cores())],
)
def test_no_more_processes_than_memory(wanted, free, number):
    """2 GiB each, half a GiB spared."""
    crew = affordable(wanted, 2.0, free)
    assert crew.number == number
    assert bool(crew.limit) == (number < wanted or free < 2.0)


KILLED = "__import__('os').kill(__import__('os').getpid(), 9)"


def test_an_error_does_not_stop_the_others():
    for workers in (1, 2):
        one, two, three = try_items(eval, ["1 + 1", "1 / 0", "3"], "sums", workers)
        assert (one, three) == (2, 3)
        assert isinstance(two, ZeroDivisionError)


def test_a_killed_process_is_its_items_failure_and_nobody_elses():
    """Neighbours in work at that moment are tried again; later items go on in a new pool."""
    items = ["1", KILLED, "3", "4", KILLED, "6"]
    found = try_items(eval, items, "sums", 2)
    assert [f for f in found if not isinstance(f, Exception)] == [1, 3, 4, 6]
    assert [type(found[n]) for n in (1, 4)] == [WorkerKilled, WorkerKilled]


def test_an_interrupt_is_not_swallowed():
    def stop(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        try_items(stop, [1, 2], "nothing")
