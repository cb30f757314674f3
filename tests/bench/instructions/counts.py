"""From callgrind's files to instructions per operation, and their comparison with a baseline."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ALLOWED_GROWTH = 0.05


@dataclass(frozen=True)
class Count:
    """Instructions: all of them, and those inside the extension modules of the core."""

    total: float
    own: float

    def __sub__(self, other: Count) -> Count:
        return Count(self.total - other.total, self.own - other.own)

    def __truediv__(self, by: float) -> Count:
        return Count(self.total / by, self.own / by)


@dataclass(frozen=True)
class Segment:
    """What ran between two dumps: `operations` of a row, in `rounds` of lock step."""

    row: str
    rounds: int
    operations: int
    count: Count


def by_object(lines: Iterable[str], names: dict[str, str]) -> Counter[str]:
    """Instructions per executable or library in one file of callgrind, without those of callees.

    names: what `(7)` stands for. A file of a run names only what the files before it have not.
    """
    found: Counter[str] = Counter()
    current, is_call = "", False
    for line in lines:
        if match := re.match(r"(c?)ob=(\(\d+\))(?: (.+))?", line):
            if match[3]:
                names[match[2]] = match[3]
            if not match[1]:
                current = names[match[2]]
        elif line.startswith("calls="):
            is_call = True  # the next line holds what the callee has cost, which is counted there
        elif match := re.match(r"[+\-*\d]\S* (\d+)\s*$", line):
            if not is_call:
                found[current] += int(match[1])
            is_call = False
    return found


def count(costs: Mapping[str, int], package: str) -> Count:
    """package: folder of the core's extension modules."""
    own = sum(cost for name, cost in costs.items() if name.startswith(package) and name.endswith(".so"))
    return Count(sum(costs.values()), own)


def slope(few: Segment, many: Segment) -> Count:
    """Per operation: what two segments have in common, start and end and rounds, cancels."""
    return (many.count - few.count) / (many.operations - few.operations)


def rows(segments: Sequence[Segment]) -> dict[str, Count]:
    """Instructions per operation; `wake-up` is what an echo costs beyond its frame and its send."""
    pairs = {few.row: (few, many) for few, many in zip(segments[::2], segments[1::2], strict=True)}
    found = {row: slope(*pair) for row, pair in pairs.items()}
    echo = found.pop("echo")
    return {"wake-up": echo - found["received, Python"] - found["sent by a client"], **found}


def grown(baseline: Mapping[str, Any], now: Mapping[str, Count]) -> list[str]:
    """Complaints: what has grown by more than ALLOWED_GROWTH, or is missing on either side."""
    complaints = [f"{row}: in the baseline, but not measured" for row in baseline if row not in now]
    for row, count in now.items():
        if row not in baseline:
            complaints.append(f"{row}: measured, but not in the baseline")
            continue
        for kind, value in (("total", count.total), ("own", count.own)):
            was = baseline[row][kind]
            if value > was * (1 + ALLOWED_GROWTH):
                growth = value / was - 1
                complaints.append(f"{row}, {kind}: was {was:.0f}, is {value:.0f} ({growth:+.1%})")
    return complaints
