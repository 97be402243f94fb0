"""Threads for the text. NumPy and the decompressors release Python's lock in most of their work."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Event, Thread
from typing import TypeVar

from w2vjax.corpus.sources import PART, Part, Reading

MOST = 8  # with more threads the part of the work that holds Python's lock sets the speed
Item = TypeVar("Item")
Result = TypeVar("Result")
Reader = TypeVar("Reader")


def usable_cores() -> int:
    """The cores that this process may use.

    >>> usable_cores() >= 1
    True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return cores or 1


def how_many(parts: Sequence[Part], reading: Reading) -> int:
    """Threads that read these files. One thread reads a little text, and pipes and other streams.

    Ctrl-C can end a read that waits only where the main thread reads.
    """
    paths = [part.path or "-" for part in parts]
    if not all(path != "-" and os.path.isfile(path) for path in paths):
        return 1
    if reading.threads is not None:
        return reading.threads
    return max(1, min(usable_cores(), MOST, sum(map(os.path.getsize, paths)) // PART))


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
    waiting = deque(enumerate(items))
    done: dict[int, Result] = {}
    failed: dict[int, BaseException] = {}

    def fail(order: int, error: BaseException) -> None:
        failed[order] = error
        waiting.clear()

    def take(reader: Reader, order: int, item: Item) -> None:
        try:
            done[order] = read(reader, item, lambda: min(tuple(failed), default=order) >= order)
        except BaseException as error:
            fail(order, error)

    def work(reader: Reader) -> None:
        with suppress(IndexError):
            while True:
                take(reader, *waiting.popleft())

    if len(readers) == 1:
        work(readers[0])
    else:
        _run([partial(work, reader) for reader in readers], partial(fail, -1))
    if failed:
        raise failed[min(failed)]
    return [done[order] for order in sorted(done)]


def _run(calls: Sequence[Callable[[], None]], stop: Callable[[BaseException], None]) -> None:
    """Each call in a thread of its own. Ctrl-C in the thread that waits goes to ``stop``.

    An event is waited for, because an interrupted ``join`` takes a thread that runs for ended.
    """
    ends = [Event() for _ in calls]

    def run(call: Callable[[], None], end: Event) -> None:
        try:
            call()
        finally:
            end.set()

    pairs = zip(calls, ends, strict=True)
    threads = [Thread(target=run, args=pair, name="w2vjax-text", daemon=True) for pair in pairs]
    try:
        for thread in threads:
            thread.start()
        for end in ends:
            while not end.wait(0.1):  # a wait without an end need not notice Ctrl-C
                pass
    except BaseException as error:
        stop(error)
        for thread, end in zip(threads, ends, strict=True):
            if thread.ident is not None:  # one that did not begin finds no work
                end.wait()


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


def beside(
    aside: Callable[[], Result], here: Callable[[], Item], threads: int
) -> tuple[Result, Item]:
    """The results of two calls. With several threads, the first call has one of its own."""
    if threads == 1:
        return aside(), here()
    with ThreadPoolExecutor(1, "w2vjax-text") as pool:
        future = pool.submit(aside)
        found = here()
        return future.result(), found
