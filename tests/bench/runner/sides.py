"""The processes of a comparison: the neutral peer, and workers under either interpreter."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

WORKER = Path(__file__).resolve().parents[1] / "worker"


def keep_on(pid: int, which: Callable[[set[int]], int]) -> None:
    """One processor for a process: min is the workers'.

    A wake-up across processors costs several of one's own, and the scheduler's choice would be the result.
    """
    os.sched_setaffinity(pid, {which(os.sched_getaffinity(0))})


class RunFailed(Exception):
    """A worker could not do its run; the text is its traceback."""


@dataclass(frozen=True)
class Side:
    """One of the two libraries: the interpreter that has it, and the folder with its compiled listener."""

    name: str
    python: str
    extensions: str


class Peer:
    """`peer serve`, on ports of its own choice; ends when this process does."""

    def __init__(self, binary: str, certificate: Sequence[str]) -> None:
        self.binary = os.path.abspath(binary)
        self._process = subprocess.Popen(
            [binary, "serve", *certificate], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.ports = [int(word) for word in self._process.stdout.readline().split()]

    def stay(self, with_worker: bool) -> None:
        """On the processor of the workers, or on another."""
        keep_on(self._process.pid, min if with_worker else max)

    @property
    def has_tls(self) -> bool:
        return self.ports[1] != 0

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Worker:
    """A process that measures, one run after the other; it sleeps in between."""

    def __init__(self, side: Side, loop: str, settings: dict[str, Any]) -> None:
        own = json.dumps({**settings, "extensions": side.extensions})
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        self._process = subprocess.Popen(
            [side.python, str(WORKER), loop, own],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        keep_on(self._process.pid, min)
        self.identity = self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RunFailed(f"the worker ended with status {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def measure(self, run: dict[str, Any]) -> dict[str, float]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(run) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if "error" in answer:
            raise RunFailed(answer["error"])
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
