"""The lines of the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from arithmetic import Summary, verdict

HEAD = (
    f"{'loop':<8} {'job':<36} {'ratio':>6} {'quartiles':>13} {'at least':>8} {'aim':>5} {'':<6}"
    f" {'A/A':>6} {'B/B':>6} {'+-':>5} {'ours':>9} {'theirs':>9}"
)


@dataclass(frozen=True)
class Row:
    job: str
    title: str
    loop: str
    unit: str
    at_least: float | None
    aim: float | None
    summary: Summary
    extra: dict[str, Summary] = field(default_factory=dict)
    rounds: list[dict[str, Any]] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        return verdict(self.summary.ratio, self.summary.resolution, self.at_least)


def bound(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def line(row: Row) -> str:
    s = row.summary
    text = (
        f"{row.loop:<8} {row.title:<36} {s.ratio:>6.3f} {s.low:>6.3f}-{s.high:<6.3f} {bound(row.at_least):>8}"
        f" {bound(row.aim):>5} {row.verdict:<6} {s.same_ours:>6.3f} {s.same_theirs:>6.3f}"
        f" {s.resolution:>5.3f} {s.ours:>9.3f} {s.theirs:>9.3f} {row.unit}"
    )
    more = "  ".join(
        f"{key} {each.ratio:.3f} ({each.ours:.3f} / {each.theirs:.3f})" for key, each in row.extra.items()
    )
    return f"{text}\n{'':<11}{more}" if more else text


def print_head() -> None:
    print(HEAD, flush=True)


def print_row(row: Row) -> None:
    print(line(row), flush=True)
