"""Reader of callgrind's files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

NAME = re.compile(r"(c?)(ob|fn)=(\(\d+\))(?: (.+))?")
COST = re.compile(r"[+\-*\d]\S* (\d+)\s*$")


def read(lines: Iterable[str], names: dict[tuple[str, str], str]) -> Counter[tuple[str, str]]:
    """Instructions by (executable or library, function), without those of callees.

    names: what `ob=(7)` and `fn=(7)` stand for. A file of a run names only what the files before it have not,
    so one dictionary goes through all of them, in their order.
    """
    found: Counter[tuple[str, str]] = Counter()
    current = {"ob": "", "fn": ""}
    is_call = False
    for line in lines:
        if match := NAME.match(line):
            of_callee, kind, number, name = match.groups()
            if name:
                names[kind, number] = name
            if not of_callee:
                current[kind] = names[kind, number]
        elif line.startswith("calls="):
            is_call = True  # the next line holds what the callee has cost, which is counted there
        elif match := COST.match(line):
            if not is_call:
                found[current["ob"], current["fn"]] += int(match[1])
            is_call = False
    return found
