"""Runs an engine for a command: signals, periodic pictures, metrics, the summary, the exit code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from connectors import summary
from connectors.errors import ConfigError, ListingError, StrategyError
from connectors.exit_code import ExitCode
from connectors.metrics_file import MetricsFile
from connectors.own_mock import own_mocks
from connectors.reports import Report
from connectors.settings import Settings
from connectors.status import label_of
from connectors.summary import SentCounts
from connectors.view import EngineView
from picows import BusyPoll

if TYPE_CHECKING:
    from connectors.engine import Engine

log = logging.getLogger("connectors.run")


def run(settings: Settings, base_dir: Path, report: Report, *, for_s: float | None = None) -> ExitCode:
    """Run until told to stop. base_dir: the config's directory; paths in it are relative to that.

    for_s: stop after that; None: as the config says. SIGINT and SIGTERM stop cleanly, a second one at once.
    Raises ConfigError: found only with the venue's instrument list, or in a strategy's on_start.
    """
    loop_factory = asyncio.new_event_loop
    if settings.loop == "uvloop":
        import uvloop

        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        main = _Run(settings, base_dir, report, settings.for_s if for_s is None else for_s).run()
        try:
            return runner.run(main)
        except SystemExit as error:
            # Not from a callback, that ends in order: from a task that a strategy has made itself. It passes
            # through every event loop; its code would be taken for one of ours.
            log.error(
                "a task raised SystemExit(%r); expected ctx.stop(), which ends with a summary", error.code
            )
            return ExitCode.FAILED


class _Run:
    """One run of one engine."""

    def __init__(self, settings: Settings, base_dir: Path, report: Report, for_s: float | None) -> None:
        self._settings = settings
        self._base_dir = base_dir
        self._report = report
        self._for_s = for_s
        self._signal: signal.Signals | None = None
        self._main: asyncio.Task[EngineView] | None = None
        self._reason = ""
        self._recorded: tuple[Path, ...] = ()
        self._has_exited = False  # a strategy raised SystemExit

    async def run(self) -> ExitCode:
        with self._report:
            try:
                async with own_mocks(self._settings, self._base_dir) as (settings, count_sent):
                    view = await self._run_engine(settings)
            except ConfigError:
                raise
            except asyncio.CancelledError:
                if self._signal is None:
                    raise
                log.error("stopped at once by a second %s: no summary", self._signal.name)
                return self._code_of_signal()
            except StrategyError as error:
                # Our own frames would hide the strategy's, which say it all.
                log.error("%s", error, exc_info=error.__cause__)
                return ExitCode.FAILED
            except ListingError as error:
                log.error("%s", error)
                return ExitCode.FAILED
            except Exception:
                log.exception("the run failed")
                return ExitCode.FAILED
            sent = count_sent() if count_sent else None
            self._report.finish(view, reason=self._reason, sent=sent, files=self._recorded)
            return self._judge(view, sent)

    async def _run_engine(self, settings: Settings) -> EngineView:
        from connectors.engine import Engine

        engine = Engine(settings, base_dir=self._base_dir)
        metrics = self._metrics(settings)
        with _signals(self._on_signal, engine), _busy_poll(settings.busy_poll):
            self._main = asyncio.ensure_future(engine.run(for_s=self._for_s))
            pictures = asyncio.ensure_future(self._take_pictures(engine, settings.metrics.every_s, metrics))
            try:
                view = await self._main
            finally:
                pictures.cancel()
                await asyncio.gather(pictures, return_exceptions=True)
                self._reason, self._recorded = engine.stop_reason, engine.recorded
                self._has_exited = bool(engine.hub.exit_reason)
        if metrics is not None:
            metrics.write(view)
            metrics.close()
        return view

    def _metrics(self, settings: Settings) -> MetricsFile | None:
        if settings.metrics.file is None:
            return None
        path = self._base_dir / settings.metrics.file
        try:
            return MetricsFile(path)
        except OSError as error:
            raise ConfigError(f"metrics.file: {path} cannot be written: {error}") from error

    async def _take_pictures(self, engine: Engine, every_s: float, metrics: MetricsFile | None) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                view = engine.view()
                self._report.show(view)
                if metrics is not None:
                    metrics.write(view)
                if self._report.is_unread:
                    engine.stop("nobody reads the output any more")
                    return
            except Exception:
                # A picture that cannot be drawn is no reason to stop what it shows.
                log.exception("the picture of the run failed")

    def _on_signal(self, number: signal.Signals, engine: Engine) -> None:
        if self._signal is None:
            self._signal = number
            log.info("%s: stopping; once more stops at once", number.name)
            engine.stop(number.name)
        elif self._main is not None:
            self._main.cancel()

    def _code_of_signal(self) -> ExitCode:
        return ExitCode.SIGTERM if self._signal is signal.SIGTERM else ExitCode.SIGINT

    def _judge(self, view: EngineView, sent: SentCounts | None) -> ExitCode:
        if self._report.is_unread:
            return ExitCode.SIGPIPE
        if self._has_exited:
            return ExitCode.FAILED
        if self._is_silent(view) and self._signal is None:
            return ExitCode.FAILED
        is_comparable = sent is not None and summary.is_comparable(view)
        if is_comparable and not all(each.agrees for each in summary.tallies(view, sent)):
            return ExitCode.FAILED
        if view.strategies and not any(each.is_on for each in view.strategies):
            log.error("every strategy was switched off")
            return ExitCode.FAILED
        return ExitCode.OK if self._signal is None else self._code_of_signal()

    def _is_silent(self, view: EngineView) -> bool:
        """Name the connections without any data; True: there is no other."""
        asked = [each for each in view.connections if each.streams]
        if not view.connections:
            log.error("stopped before any connection was made: the instrument lists had not been read")
            return True
        silent = [each for each in asked if not any(stream.messages for stream in each.streams)]
        for each in silent:
            count = len(each.streams)
            label = label_of(each.exchange, each.name)
            log.error("%s: no data message arrived on any stream (%d subscribed)", label, count)
        return bool(asked) and len(silent) == len(asked)


def _busy_poll(wanted: bool | float) -> contextlib.AbstractContextManager[object]:
    """As the config asks for: not at all, without sleep, or until it was quiet for so many seconds."""
    if wanted is False:
        return contextlib.nullcontext()
    return BusyPoll(sleep_after_s=None if wanted is True else wanted)


@contextlib.contextmanager
def _signals(on_signal: Callable[[signal.Signals, Engine], None], engine: Engine) -> Iterator[None]:
    """SIGINT and SIGTERM call on_signal on the loop's thread; the old handlers come back."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        try:
            loop.add_signal_handler(number, on_signal, number, engine)
        except NotImplementedError:  # Windows
            signal.signal(
                number, lambda got, _: loop.call_soon_threadsafe(on_signal, signal.Signals(got), engine)
            )
    try:
        yield
    finally:
        for number in numbers:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, before[number])
