"""What a run measures: CPU time of this process and wall time between two marks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from typing import Any


class Marks:
    """begin() and end() are called by listeners, inside the stream of frames; `ended` wakes the run."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cpu_ns = self.wall_ns = 0

    def begin(self) -> None:
        self.wall_ns = time.perf_counter_ns()
        self.cpu_ns = time.process_time_ns()

    def end(self) -> None:
        self.cpu_ns = time.process_time_ns() - self.cpu_ns
        self.wall_ns = time.perf_counter_ns() - self.wall_ns
        if not self.ended.done():
            self.ended.set_result(None)

    def fail(self) -> None:
        """The connection is over: an error if the run is not."""
        if not self.ended.done():
            self.ended.set_exception(ConnectionError("the connection ended before the run did"))

    def per(self, count: int) -> dict[str, float]:
        return {"cpu_us": self.cpu_ns / 1e3 / count, "wall_us": self.wall_ns / 1e3 / count}


@contextlib.contextmanager
def undisturbed() -> Iterator[bool]:
    """The first processor for this process alone, if the system lets it (True); the peer takes the last one.

    On a shared machine latency is that of the scheduler, which takes a process that spins for a glutton.
    """
    processors = os.sched_getaffinity(0)
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        yield False
        return
    os.sched_setaffinity(0, {min(processors)})
    try:
        yield True
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, processors)


def memory_kib() -> float:
    """Proportional set size: pages of this process, shared ones counted in part."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("Pss:"):
                return float(line.split()[1])
    raise OSError("no Pss in /proc/self/smaps_rollup")


def median(values: list[Any]) -> Any:
    return sorted(values)[len(values) // 2]
