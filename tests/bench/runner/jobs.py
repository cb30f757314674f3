"""The jobs of the speed table: what is run, what is compared, what is demanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KIB = 1024


@dataclass(frozen=True)
class Job:
    name: str  # for --only
    title: str
    run: Mapping[str, Any]  # what the worker is told; `count` makes a run of some 50 to 150 ms
    metric: str  # key of the worker's answer: the cost that is compared
    at_least: float | None
    aim: float | None
    unit: str = "us"
    extra: tuple[str, ...] = ()  # further figures of the answer, printed as ratios below the table
    ours: Mapping[str, Any] = field(default_factory=dict)  # told to our side only
    is_fresh: bool = False  # a new process for each run
    needs: str = ""  # "tls": the peer was built with OpenSSL


def frames(size: int, count: int, **more: Any) -> dict[str, Any]:
    return {"size": size, "count": count, **more}


JOBS = (
    Job("echo", "echo round trip, plain", {"kind": "echo", **frames(256, 2000)}, "round_us", 1.0, 1.06,
        extra=("cpu_us", "wall_us")),
    Job("echo-tls", "echo round trip, TLS", {"kind": "echo", "tls": True, **frames(256, 1600)},
        "round_us", 1.0, 1.08, extra=("cpu_us", "wall_us"), needs="tls"),
    Job("firehose", "firehose receive, Python listener", {"kind": "firehose", **frames(256, 300_000)},
        "cpu_us", 1.5, 1.8),
    Job("firehose-cython", "firehose receive, Cython listener",
        {"kind": "firehose", "cython": True, **frames(256, 600_000)}, "cpu_us", 1.0, 1.1),
    Job("firehose-record", "firehose, one TLS record per frame",
        {"kind": "firehose", "tls": True, "record": True, **frames(256, 50_000)}, "cpu_us", 1.0, 1.25,
        needs="tls"),
    Job("send-256", "send 256 B", {"kind": "send", **frames(256, 20_480, burst=256)}, "cpu_us", 1.0, 1.1),
    Job("send-8k", "send 8 KiB", {"kind": "send", **frames(8 * KIB, 10_240, burst=32)}, "cpu_us", 1.0, 1.2),
    Job("send-64k", "send 64 KiB", {"kind": "send", **frames(64 * KIB, 2000, burst=4)}, "cpu_us", 1.0, 1.2),
)  # fmt: skip


def chosen(only: list[str]) -> list[Job]:
    """Jobs whose name begins with one of the words; all without words."""
    found = [job for job in JOBS if not only or any(job.name.startswith(word) for word in only)]
    if not found:
        raise SystemExit(f"no job begins with {', '.join(only)}; there are {', '.join(j.name for j in JOBS)}")
    return found
