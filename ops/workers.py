"""Threads that work on a stream, with results in the stream's order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

WORKERS = 16
_AHEAD = 8
"""Items that are taken up ahead of the one whose result comes next, for each worker."""


def in_order(work: Callable[[T], R], items: Iterable[T], *, workers: int = WORKERS) -> Generator[R]:
    """Yields ``work(item)`` for each item, several at once, taking items up as results are taken off.

    When the caller stops early, what is under way is finished and the rest is not begun.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="worker")
    under_way: deque[Future[R]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(work, item))
            if len(under_way) >= workers * _AHEAD:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
