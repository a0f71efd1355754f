"""Work over many subjects, with a bar that says what is done and how long is left."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
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
