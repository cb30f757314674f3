"""Where a run shows itself: a live table in a terminal, or plain lines. Logs and prints go through it."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from connectors import lines, summary, table
from connectors.summary import SentCounts
from connectors.view import EngineView

log = logging.getLogger("connectors.run")
_LINES_EVERY = 10  # plain: one picture of so many is written
_LEVEL_STYLES = {"WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red", "DEBUG": "dim"}


class Report(Protocol):
    """A context manager around a run. is_unread: nobody reads the output any more."""

    @property
    def is_unread(self) -> bool: ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, view: EngineView) -> None:
        """A new picture, once a period."""
        ...

    def finish(
        self, view: EngineView, *, reason: str, sent: SentCounts | None, files: Sequence[Path] = ()
    ) -> None:
        """The summary. files: recordings."""
        ...


class _Formatter(logging.Formatter):
    """Our own messages quote what venues sent: control characters in them must not forge lines or drive the
    terminal. Strategies may log what they like; tracebacks keep their lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        text = record.message
        if record.name.partition(".")[0] in ("connectors", "picows") and not text.isprintable():
            record.message = "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
        return super().formatMessage(record)


def formatter() -> logging.Formatter:
    """2026-01-31T12:00:00.123Z WARNING connectors.session: text"""
    made = _Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    made.converter = time.gmtime
    return made


def _recorded(file: Path) -> str:
    return (
        f"recorded {file} ({file.stat().st_size / 1e6:,.2f} MB)"
        if file.exists()
        else f"recorded {file}: gone"
    )


class _Logging:
    """Handlers of the root logger for the time of a run, given back afterwards."""

    def __init__(self, handlers: Sequence[logging.Handler], level: str) -> None:
        self._handlers = handlers
        self._level = level

    def start(self) -> None:
        root = logging.getLogger()
        self._before = (root.handlers[:], root.level)
        root.handlers[:] = self._handlers
        root.setLevel(self._level)
        for handler in self._handlers:
            handler.setFormatter(formatter())

    def stop(self) -> None:
        root = logging.getLogger()
        root.handlers[:] = self._before[0]
        root.setLevel(self._before[1])
        for handler in self._handlers:
            handler.close()


class PlainReport:
    """Log lines and the summary on `out`, for pipes and services. log_file: the log goes there instead."""

    def __init__(
        self, *, level: str = "INFO", log_file: Path | None = None, out: TextIO | None = None
    ) -> None:
        self._out = PipeWriter(out or sys.stdout)
        handler = logging.FileHandler(log_file) if log_file else logging.StreamHandler(self._out)
        self._logging = _Logging([handler], level)
        self._shown = 0
        self._previous: EngineView | None = None

    @property
    def is_unread(self) -> bool:
        return self._out.is_broken

    def __enter__(self) -> Self:
        self._logging.start()
        # What strategies print meets the same end as the log when nobody reads it.
        self._stdout, sys.stdout = sys.stdout, self._out
        return self

    def __exit__(self, *_: object) -> None:
        self._out.flush()
        sys.stdout = self._stdout
        self._logging.stop()

    def show(self, view: EngineView) -> None:
        self._shown += 1
        if self._shown % _LINES_EVERY == 0:
            for line in lines.status_lines(view, self._previous):
                log.info("%s", line)
            self._previous = view

    def finish(
        self, view: EngineView, *, reason: str, sent: SentCounts | None, files: Sequence[Path] = ()
    ) -> None:
        for line in (*summary.lines(view, reason=reason, sent=sent), *map(_recorded, files)):
            print(line, file=self._out)
        self._out.flush()


class LiveReport:
    """A table that is redrawn at each picture; what is logged or printed meanwhile scrolls by above it.

    Lines are kept until the next picture and then written at once: one redraw a period, however
    much is printed.
    """

    def __init__(
        self,
        *,
        title: str,
        level: str = "INFO",
        log_file: Path | None = None,
        console: Console | None = None,
    ) -> None:
        self._console = console or Console(file=sys.stdout)
        self._title = title
        self._lines: list[Text] = []
        handler = logging.FileHandler(log_file) if log_file else _LineHandler(self._lines)
        self._logging = _Logging([handler], level)
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._printed = _LineWriter(self._lines)
        self._previous: EngineView | None = None
        self.is_unread = False  # a terminal that goes away sends SIGHUP

    def __enter__(self) -> Self:
        self._logging.start()
        self._stdout, sys.stdout = sys.stdout, self._printed
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout = self._stdout
        self._printed.close_line()
        self._write_lines()
        self._live.stop()
        self._logging.stop()

    def show(self, view: EngineView) -> None:
        self._write_lines()
        width, height = self._console.size
        picture = table.render(view, self._previous, title=self._title, height=height, width=width)
        self._live.update(picture, refresh=True)
        self._previous = view

    def finish(
        self, view: EngineView, *, reason: str, sent: SentCounts | None, files: Sequence[Path] = ()
    ) -> None:
        self._printed.close_line()
        self._write_lines()
        self._live.stop()
        self._console.print(summary.render(view, reason=reason, sent=sent, width=self._console.width))
        for file in files:
            self._console.print(Text(_recorded(file)), soft_wrap=True)

    def _write_lines(self) -> None:
        if self._lines:
            self._console.print(Text("\n").join(self._lines), soft_wrap=True)
            self._lines.clear()


class PipeWriter(io.TextIOBase):
    """Text to a stream that may lose its reader (`| head`): from then on it is swallowed, and `is_broken`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.is_broken = False

    def write(self, text: str) -> int:
        try:
            if not self.is_broken:
                self._out.write(text)
        except BrokenPipeError:
            self._break()
        return len(text)

    def flush(self) -> None:
        try:
            if not self.is_broken:
                self._out.flush()
        except BrokenPipeError:
            self._break()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._out.isatty()

    def fileno(self) -> int:
        return self._out.fileno()

    def _break(self) -> None:
        self.is_broken = True
        # The interpreter flushes the stream once more at its end; that must not fail.
        with contextlib.suppress(OSError), open(os.devnull, "w", encoding="utf-8") as nothing:
            os.dup2(nothing.fileno(), self._out.fileno())


class _LineHandler(logging.Handler):
    """Log records as lines with their level's colour."""

    def __init__(self, target: list[Text]) -> None:
        super().__init__()
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        self._target.append(Text(self.format(record), style=_LEVEL_STYLES.get(record.levelname, "")))


class _LineWriter(io.TextIOBase):
    """Stands for sys.stdout: whole lines go to `target`."""

    def __init__(self, target: list[Text]) -> None:
        self._target = target
        self._rest = ""

    def write(self, text: str) -> int:
        *whole, self._rest = (self._rest + text).split("\n")
        self._target.extend(map(Text, whole))
        return len(text)

    def writable(self) -> bool:
        return True

    def close_line(self) -> None:
        """What was printed without a newline becomes a line."""
        if self._rest:
            self._target.append(Text(self._rest))
            self._rest = ""
