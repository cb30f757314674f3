"""From counts of segments to instructions per operation, and their comparison with a baseline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    functions: Counter[tuple[str, str]] = field(default_factory=Counter)  # by (file, function)


def count(functions: Mapping[tuple[str, str], int], package: str) -> Count:
    """package: folder of the core's extension modules."""
    own = sum(n for (name, _), n in functions.items() if name.startswith(package) and name.endswith(".so"))
    return Count(sum(functions.values()), own)


def slope(few: Segment, many: Segment) -> Count:
    """Per operation: what two segments have in common, start and end and rounds, cancels."""
    return (many.count - few.count) / (many.operations - few.operations)


def rows(segments: Sequence[Segment]) -> dict[str, Count]:
    """Instructions per operation; `wake-up` is what an echo costs beyond its frame and its send."""
    pairs = {few.row: (few, many) for few, many in zip(segments[::2], segments[1::2], strict=True)}
    found = {row: slope(*pair) for row, pair in pairs.items()}
    echo = found.pop("echo")
    return {"wake-up": echo - found["received, Python"] - found["sent by a client"], **found}


def by_function(segments: Sequence[Segment], row: str) -> list[tuple[float, str, str]]:
    """Instructions per operation of one row, function by function, most first: (count, file, function)."""
    few, many = (segment for segment in segments if segment.row == row)
    operations = many.operations - few.operations
    found = [
        ((many.functions[key] - few.functions[key]) / operations, *key)
        for key in {*few.functions, *many.functions}
    ]
    return sorted(found, reverse=True)


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


def changed(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What the counts depend on beside our source, and is not what it was."""
    return [f"{key} {was} then, {now[key]} now" for key, was in then.items() if now[key] != was]


def is_our_doing(complaints: Sequence[str], others: Sequence[str]) -> bool:
    """Whether growth is to be blamed on our source: not with another interpreter or compiler."""
    return bool(complaints) and not others
