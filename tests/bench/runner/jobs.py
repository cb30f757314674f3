"""The jobs of the speed table: what is run, what is compared, what is demanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
    times: int = 1  # more rounds, for a cost that the machine's other work disturbs

    @property
    def needs_tls(self) -> bool:
        return bool(self.run.get("tls"))


def frames(size: int, count: int, **more: Any) -> dict[str, Any]:
    return {"size": size, "count": count, **more}


JOBS = (
    Job("echo", "echo round trip, plain", {"kind": "echo", **frames(256, 2000)}, "round_us", 1.0, 1.06,
        extra=("cpu_us", "wall_us")),
    Job("echo-tls", "echo round trip, TLS", {"kind": "echo", "tls": True, **frames(256, 1600)},
        "round_us", 1.0, 1.08, extra=("cpu_us", "wall_us")),
    Job("firehose", "firehose receive, Python listener", {"kind": "firehose", **frames(256, 300_000)},
        "cpu_us", 1.5, 1.8),
    Job("firehose-cython", "firehose receive, Cython listener",
        {"kind": "firehose", "cython": True, **frames(256, 600_000)}, "cpu_us", 1.0, 1.1),
    Job("firehose-record", "firehose, one TLS record per frame",
        {"kind": "firehose", "tls": True, "record": True, **frames(256, 50_000)}, "cpu_us", 1.0, 1.25),
    Job("send-256", "send 256 B", {"kind": "send", **frames(256, 20_480, burst=256)}, "cpu_us", 1.0, 1.1),
    Job("send-8k", "send 8 KiB", {"kind": "send", **frames(8 * KIB, 10_240, burst=32)}, "cpu_us", 1.0, 1.2),
    Job("send-64k", "send 64 KiB", {"kind": "send", **frames(64 * KIB, 2000, burst=4)}, "cpu_us", 1.0, 1.2),
    Job("cork", "16 frames under cork(), per frame", {"kind": "send", **frames(256, 20_480, burst=16)},
        "inside_us", 5.0, 10.0, extra=("cpu_us",), ours={"cork": 16}),
    Job("latency-1k", "one-way latency p50, 1k msg/s, busy",
        {"kind": "latency", **frames(256, 200, rate=1000)},
        "p50_us", 3.0, 4.0, extra=("p90_us", "p99_us", "cpu_us"), ours={"busy": True}, times=2),
    Job("latency-10k", "one-way latency p50, 10k msg/s, busy",
        {"kind": "latency", **frames(256, 1000, rate=10_000)},
        "p50_us", 3.0, 4.0, extra=("p90_us", "p99_us", "cpu_us"), ours={"busy": True}, times=2),
    Job("server", "server, 64 connections", {"kind": "server", **frames(256, 15_000, connections=64)},
        "cpu_us", 1.1, 1.3),
    Job("memory-client", "idle connection, client, plain", {"kind": "client-memory", "connections": 1000},
        "kib", 2.0, 3.0, "KiB", is_fresh=True),
    Job("memory-server", "idle connection, server, plain", {"kind": "server-memory", "connections": 1000},
        "kib", 2.0, 3.0, "KiB", is_fresh=True),
    Job("memory-client-tls", "idle connection, client, TLS",
        {"kind": "client-memory", "tls": True, "connections": 400}, "kib", 1.3, 1.5, "KiB",
        is_fresh=True),
    Job("memory-server-tls", "idle connection, server, TLS",
        {"kind": "server-memory", "tls": True, "connections": 400}, "kib", 1.3, 1.5, "KiB",
        is_fresh=True),
    # Beyond the table of demands.
    Job("firehose-tls", "firehose, full TLS records",
        {"kind": "firehose", "tls": True, **frames(256, 200_000)}, "cpu_us", None, None),
    Job("send-256-tls", "send 256 B, TLS", {"kind": "send", "tls": True, **frames(256, 20_480, burst=256)},
        "cpu_us", None, None),
    Job("server-tls", "server, 64 connections, TLS",
        {"kind": "server", "tls": True, **frames(256, 12_000, connections=64)}, "cpu_us", None, None),
)  # fmt: skip


def chosen(only: list[str]) -> list[Job]:
    """Jobs whose name begins with one of the words; all without words."""
    found = [job for job in JOBS if not only or any(job.name.startswith(word) for word in only)]
    if not found:
        raise SystemExit(f"no job begins with {', '.join(only)}; there are {', '.join(j.name for j in JOBS)}")
    return found


def scaled(job: Job, by: float) -> Job:
    """The same with runs `by` times as long; a run of a few frames still is one."""
    lengths = {key: max(64, int(job.run[key] * by)) for key in ("count", "connections") if key in job.run}
    if "connections" in lengths and "count" in lengths:
        del lengths["connections"]  # the number is what the row is about
    return replace(job, run={**job.run, **lengths})
