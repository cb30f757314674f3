"""`connectors replay`."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connectors.commands.catalog import DIRS
from connectors.commands.run import CONFIG, make_report
from connectors.exit_code import ExitCode

if TYPE_CHECKING:
    from connectors.capture import Record
    from connectors.replay import Replay
    from connectors.reports import Report
    from connectors.settings import Settings

_LOOK_EVERY = 64  # records between two looks at the clock
_NAP_S = 0.1  # a wait is cut into such pieces: signals and the table get their turn


@click.command(short_help="Feed a recorded file to strategies.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--config", type=CONFIG, help="Its strategies are called; its connections are not dialled.")
@click.option("--use", "uses", multiple=True, metavar="MODULE:CLASS",
              help="A strategy, as in a config; may be given several times.")  # fmt: skip
@click.option("--pace", type=click.Choice(["fast", "paced", "stepped"]), default="fast", show_default=True,
              help="fast: at once; paced: as recorded; stepped: Enter feeds the next record.")  # fmt: skip
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True,
              help="With --pace paced: so many times as fast as recorded.")  # fmt: skip
@click.option("--exchange", default="", metavar="NAME", help="The venue, if the file does not say.")
@click.option("--plain", is_flag=True, help="Log lines instead of the table, also in a terminal.")
@DIRS
@click.pass_context
def replay(
    ctx: click.Context,
    file: Path,
    config: Path | None,
    uses: Sequence[str],
    pace: str,
    speed: float,
    exchange: str,
    plain: bool,
    dirs: Sequence[Path],
) -> None:
    """Feed a recorded FILE to strategies, through the same code that a live run uses.

    Time is that of the recording: two replays of one file give the same calls with the same numbers. A torn
    file (the recorder was killed) is played to its last whole record. Without --config, the streams are those
    found in the file.

    \b
    Examples:
      connectors replay recordings/20260131T120000-0000.cap.zst
      connectors replay FILE --config my.yaml
      connectors replay FILE --use ./my_strategy.py:MyStrategy --pace paced --speed 10
    """
    from connectors.replay import Replay

    settings, base_dir = _settings(config, uses, dirs)
    player = _Player(make_report(settings.log_level, str(file), plain or pace == "stepped", None), settings)
    player.play(
        Replay(
            file, settings, base_dir=base_dir, pace=pace, speed=speed, exchange=exchange, sleep=player.sleep
        ),
        is_stepped=pace == "stepped",
    )
    ctx.exit(player.code)


class _Player:
    """Steps through one replay, shows it meanwhile, ends it on a signal."""

    def __init__(self, report: Report, settings: Settings) -> None:
        self.code = ExitCode.OK
        self._report = report
        self._every_s = settings.metrics.every_s
        self._next_s = time.monotonic() + self._every_s
        self._replay: Replay | None = None
        self._reason = "the end of the file"

    def play(self, replay: Replay, *, is_stepped: bool) -> None:
        """To the end, or until told to stop. Raises what Replay.start() raises."""
        self._replay = replay
        with self._signals(), self._report:
            replay.start()
            try:
                while (record := replay.step()) is not None:
                    if is_stepped:
                        self._ask(record)
                    elif replay.records % _LOOK_EVERY == 0:
                        self._look()
            finally:
                replay.close()
            if replay.hub.exit_reason:
                self.code, self._reason = ExitCode.FAILED, replay.hub.exit_reason
            self._report.finish(replay.view(), reason=self._reason, sent=None)

    def sleep(self, seconds: float) -> None:
        """Until the next record is due, or the replay is stopped."""
        end_s = time.monotonic() + seconds
        while self.code is ExitCode.OK and (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(left_s, _NAP_S))
            self._look()

    def _look(self) -> None:
        """A picture, when it is time for one."""
        assert self._replay is not None
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + self._every_s
            self._report.show(self._replay.view())
        if self._report.is_unread:
            self._stop(ExitCode.SIGPIPE, "nobody reads the output any more")

    def _ask(self, record: Record) -> None:
        """Show what was fed and wait for Enter."""
        text = record.payload[:100].decode("utf-8", "replace")
        click.echo(f"{record.ns} conn {record.conn_id} {record.kind.name}: {text}", nl=False)
        try:
            answer = input("  ")
        except EOFError:
            answer = "q"
        if answer.strip().lower() == "q":
            self._stop(ExitCode.OK, "as told")

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM stop the replay; the old handlers come back."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in numbers}
        for number in numbers:
            signal.signal(number, lambda got, _: self._on_signal(signal.Signals(got)))
        try:
            yield
        finally:
            for number in numbers:
                signal.signal(number, before[number])

    def _on_signal(self, number: signal.Signals) -> None:
        code = ExitCode.SIGTERM if number is signal.SIGTERM else ExitCode.SIGINT
        self._stop(code, number.name)

    def _stop(self, code: ExitCode, reason: str) -> None:
        assert self._replay is not None
        self.code = code
        self._reason = reason
        self._replay.stop(reason)


def _settings(config: Path | None, uses: Sequence[str], dirs: Sequence[Path]) -> tuple[Settings, Path]:
    """Strategies of --use come after the config's; their files are relative to the working directory."""
    import msgspec

    from connectors.config import load_settings
    from connectors.settings import Settings, StrategySettings

    settings = Settings(connections=()) if config is None else load_settings(config, os.environ)
    base_dir = Path.cwd() if config is None else config.resolve().parent
    named = tuple(StrategySettings(use=_absolute(use)) for use in uses)
    more = tuple(str(each.resolve()) for each in dirs)
    settings = msgspec.structs.replace(
        settings, strategies=settings.strategies + named, exchange_dirs=(*more, *settings.exchange_dirs)
    )
    return settings, base_dir


def _absolute(use: str) -> str:
    where, colon, name = use.rpartition(":")
    return f"{Path(where).resolve()}{colon}{name}" if where.endswith(".py") else use
