"""Work over many subjects, with a bar that says what is done and how long is left."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Item = TypeVar("Item")
Result = TypeVar("Result")


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def track(items: Sequence[Item], what: str) -> Iterable[Item]:
    """Yield items while a bar on standard error shows progress and the time left."""
    with _bar() as bar:
        yield from bar.track(items, description=what)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let processes that are started inside the block use one core each.

    Thread pools inside a worker would only fight its neighbours; children inherit the
    environment at their start.
    """
    before = dict(os.environ)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                 "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):  # fmt: skip
        os.environ[name] = "1"
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _end_with_parent() -> None:
    """End this worker when the process that started it is gone, however it ended.

    An orphan would go on writing where a resumed run writes too.
    """
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def process_pool(workers: int) -> ProcessPoolExecutor:
    """Fresh processes for work side by side; none outlives this process."""
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent)


def map_items(
    work: Callable[[Item], Result], items: Sequence[Item], what: str, workers: int = 1
) -> list[Result]:
    """Apply a function to every item, in order, on one or several processes.

    Args:
        work: A function that can be pickled when ``workers > 1``.
        items: Its arguments.
        what: What is being done, for the bar.
        workers: Number of processes; 1 stays in this process.

    Returns:
        The results, in the order of the items. The first error of a worker is raised after
        the others have been stopped.
    """
    if workers <= 1 or len(items) <= 1:
        return [work(item) for item in track(items, what)]
    results: dict[int, Result] = {}
    with one_thread_each(), _bar() as bar, process_pool(workers) as pool:
        task = bar.add_task(what, total=len(items))
        futures = {pool.submit(work, item): index for index, item in enumerate(items)}
        try:
            for future in as_completed(futures):
                results[futures[future]] = future.result()
                bar.advance(task)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [results[index] for index in range(len(items))]


class WorkerKilled(Exception):
    """The process that worked on an item was ended from outside, most often for its memory."""


def try_items(
    work: Callable[[Item], Result], items: Sequence[Item], what: str, workers: int = 1
) -> list[Result | Exception]:
    """Apply a function to every item; an item that fails does not stop the others.

    When the system kills a worker, nobody says which item it had: those in work at that moment
    are tried again one by one, each in a process and with the memory to itself.

    Args:
        work: A function that can be pickled when ``workers > 1``.
        items: Its arguments.
        what: What is being done, for the bar.
        workers: Number of processes; 1 stays in this process, and then a kill ends it all.

    Returns:
        For each item, in order, the result or the error it raised; `WorkerKilled` for one whose
        process was killed twice.
    """
    if workers <= 1:
        return [_attempt(work, item) for item in track(items, what)]
    outcomes: dict[int, Result | Exception] = {}
    waiting = deque(range(len(items)))
    with one_thread_each(), _bar() as bar:
        task = bar.add_task(what, total=len(items))
        while waiting:
            for index in _until_broken(work, items, waiting, min(workers, len(waiting)), outcomes,
                                       lambda: bar.advance(task)):  # fmt: skip
                if _until_broken(work, items, deque([index]), 1, outcomes, lambda: None):
                    outcomes[index] = WorkerKilled()
                bar.advance(task)
    return [outcomes[index] for index in range(len(items))]


def _attempt(work: Callable[[Item], Result], item: Item) -> Result | Exception:
    try:
        return work(item)
    except Exception as error:  # whatever it is, the other items go on
        return error


def _until_broken(
    work: Callable[[Item], Result], items: Sequence[Item], waiting: deque[int], workers: int,
    outcomes: dict[int, Result | Exception], advance: Callable[[], None],
) -> list[int]:  # fmt: skip
    """Work in a pool until nothing waits or the pool breaks; return what was in work then."""
    running: dict[Future[Result], int] = {}
    with process_pool(workers) as pool:
        try:
            while waiting or running:
                # No more are handed over than there are processes: what breaks is among them.
                while waiting and len(running) < workers:
                    future = pool.submit(work, items[waiting[0]])
                    running[future] = waiting.popleft()
                broken = False
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    error = future.exception()
                    if isinstance(error, BrokenProcessPool):
                        broken = True
                        continue
                    if error is not None and not isinstance(error, Exception):
                        raise error
                    outcomes[running.pop(future)] = future.result() if error is None else error
                    advance()
                if broken:
                    return sorted(running.values())
        except BrokenProcessPool:  # a worker died while nothing was waited for
            return sorted(running.values()) or [waiting.popleft()]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return []
