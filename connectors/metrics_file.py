"""Metrics as JSON lines: one object per period, appended: a file survives restarts, `tail -f` follows it.

    {"time": "2026-01-31T12:00:00.000000Z", "ns", "run_s", "connections": [{... of view.ConnectionView,
     "messages_per_s"}], "strategies": [...], "recorder_drops"}

NaN (a side of a book without levels) is null. A line is one write: a reader never sees halves of two.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any

import msgspec

from connectors.rows import connection_rows
from connectors.view import EngineView

log = logging.getLogger(__name__)


class MetricsFile:
    """Raises OSError at once if the file cannot be opened. Later failures are counted and told once."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.dropped = 0  # lines that could not be written
        self._file = FileIO(path, "a")
        self._previous: EngineView | None = None
        self._is_torn = False  # the disk took a part of the last line

    def write(self, view: EngineView) -> None:
        """Append one line."""
        # After a torn line a newline comes first: what follows stays readable.
        line = b"\n" * self._is_torn + encode(view, self._previous)
        self._previous = view
        try:
            written = self._file.write(line) or 0
        except OSError as error:
            self._fail(error)
            return
        self._is_torn = written < len(line)
        if self._is_torn:
            self._fail(OSError(f"{written} of {len(line)} bytes written"))

    def close(self) -> None:
        self._file.close()

    def _fail(self, error: OSError) -> None:
        self.dropped += 1
        if self.dropped == 1:
            log.error("%s: metrics are being lost: %s", self.path, error)


def encode(view: EngineView, previous: EngineView | None = None) -> bytes:
    """One line, newline at its end. Rates are those since `previous`, else since the start."""
    line: dict[str, Any] = msgspec.to_builtins(view)
    line.pop("started_ns")
    for connection, row in zip(line["connections"], connection_rows(view, previous), strict=True):
        connection["messages_per_s"] = row.messages_per_s
    time = datetime.fromtimestamp(view.ns / 1e9, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    head = {"time": time, "run_s": (view.ns - view.started_ns) / 1e9}
    return msgspec.json.encode(head | line) + b"\n"
