"""Work over many items, in this process and in others."""

import math
import os
import signal
import subprocess
import sys
import time

import pytest

from fcdsynth.core.progress import map_items, one_thread_each

PARENT = """
import sys, time
from fcdsynth.core.progress import process_pool
if __name__ == "__main__":
    with process_pool(1) as pool:
        print(pool.submit(__import__("os").getpid).result(), flush=True)
        pool.submit(time.sleep, 120).result()
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_results_keep_the_order(workers):
    assert map_items(math.sqrt, [9.0, 4.0, 1.0], "roots", workers) == [3.0, 2.0, 1.0]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_a_worker_is_raised(workers):
    with pytest.raises(ValueError, match=r"domain|nonnegative"):
        map_items(math.sqrt, [4.0, -1.0], "roots", workers)


def test_the_environment_is_given_back(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    with one_thread_each():
        assert os.environ["OMP_NUM_THREADS"] == "1"
    assert os.environ["OMP_NUM_THREADS"] == "7"


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_no_worker_outlives_a_killed_parent(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    assert alive(worker)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 20
    while alive(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(worker)
