"""Calls that threads share, with the results and the error that one thread would have."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Reader = TypeVar("Reader")


def usable_cores() -> int:
    """The cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores or 1


def share(
    items: Iterable[Item],
    readers: Sequence[Reader],
    read: Callable[[Reader, Item, Callable[[], bool]], Result],
) -> list[Result]:
    """``read(reader, item, wanted)`` of each item, by one thread for each reader.

    A reader takes the next item when it is done with one, so it meets the items in their order.
    The error of the earliest item that fails is raised, as one thread would raise it. ``read``
    gives up when ``wanted()`` is false: an earlier item has failed, or Ctrl-C was pressed.

    >>> share(["a", "b"], [0, 1], lambda reader, item, wanted: item.upper())
    ['A', 'B']
    """
    waiting = iter(list(enumerate(items)))  # the threads share it
    done: dict[int, Result] = {}
    failed: dict[int, BaseException] = {}

    def wanted(order: int) -> bool:
        return min(tuple(failed), default=order) >= order

    def work(reader: Reader) -> None:
        for order, item in waiting:
            if failed:
                break
            try:
                done[order] = read(reader, item, partial(wanted, order))
            except BaseException as error:
                failed[order] = error

    if len(readers) == 1:
        work(readers[0])
    else:
        with ThreadPoolExecutor(len(readers), "w2vjax-text") as pool:
            try:
                running = [pool.submit(work, reader) for reader in readers]
                while wait(running, 0.1).not_done:  # a longer wait may not notice Ctrl-C
                    pass
            except BaseException as error:
                failed[-1] = error
    if failed:
        try:
            raise failed[min(failed)]
        finally:
            # A traceback holds its error, and so would keep blocks of text in memory. The keys
            # stay: by them, a thread that still runs gives up.
            failed.update(dict.fromkeys(failed, BaseException()))
    return [done[order] for order in sorted(done)]


def in_order(
    call: Callable[..., Result], items: Iterable[tuple[object, ...]], threads: int
) -> Iterator[Result]:
    """``call(*item)`` of each item, in their order. A few results wait at most.

    >>> list(in_order(pow, [(2, 1), (2, 2), (2, 3)], threads=2))
    [2, 4, 8]
    """
    if threads == 1:
        yield from (call(*item) for item in items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, "w2vjax-text") as pool:
        for item in items:
            waiting.append(pool.submit(call, *item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        for future in waiting:
            yield future.result()
