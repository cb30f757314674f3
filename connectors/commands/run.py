"""`connectors run` and `connectors record`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from connectors.errors import ConfigError

if TYPE_CHECKING:
    from connectors.reports import Report
    from connectors.settings import Settings

_Command = TypeVar("_Command", bound=Callable[..., object])


class _ConfigPath(click.Path):
    """`configs/demo.yaml` is found from anywhere, so that the first example of --help runs after pip, too."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = Path(value)
        if path.parent == Path("configs") and not path.exists():
            from connectors.registry import facts_dirs

            value = next(
                (each for each in (d.parent / path.name for d in facts_dirs()) if each.exists()), value
            )
        return super().convert(value, param, ctx)


CONFIG = _ConfigPath(exists=True, dir_okay=False, path_type=Path)


def _options(command: _Command) -> _Command:
    """What both commands take."""
    for decorate in reversed(
        (
            click.argument("config", type=CONFIG),
            click.option(
                "--for",
                "for_s",
                type=click.FloatRange(min=0, min_open=True),
                help="Stop after so many seconds.",
            ),
            click.option("--plain", is_flag=True, help="Log lines instead of the table, also in a terminal."),
            click.option(
                "--log-file",
                type=click.Path(dir_okay=False, path_type=Path),
                help="The log goes to this file.",
            ),
        )
    ):
        command = decorate(command)
    return command


@click.command(short_help="Run the connections and strategies of a config.")
@_options
@click.option("--record", "record_dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Record all frames into capture files below DIR.")  # fmt: skip
@click.pass_context
def run(
    ctx: click.Context,
    config: Path,
    for_s: float | None,
    plain: bool,
    log_file: Path | None,
    record_dir: Path | None,
) -> None:
    """Connect, subscribe, keep books true and call the strategies of CONFIG.

    In a terminal a live table shows connection states, round-trip times, rates, lag, gaps, drops and
    best prices. When the output is piped, the same comes as log lines. SIGINT (Ctrl-C) and SIGTERM stop
    cleanly, with a summary; a second one stops at once.

    \b
    Examples:
      connectors run configs/demo.yaml
      connectors run my.yaml --for 3600 --record recordings
      connectors run my.yaml | tee run.log
      connectors run my.yaml --log-file run.log
    """
    settings = _load(config)
    if record_dir is not None:
        settings = _recording(settings, record_dir, None)
    ctx.exit(_run(settings, config, for_s, plain, log_file))


@click.command(short_help="Record what the connections of a config send and receive.")
@_options
@click.option("--dir", "record_dir", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Where the files go; default: what the config says, else ./recordings.")  # fmt: skip
@click.option("--max-mb", type=click.IntRange(min=1), help="A new file after so many compressed megabytes.")
@click.pass_context
def record(
    ctx: click.Context,
    config: Path,
    for_s: float | None,
    plain: bool,
    log_file: Path | None,
    record_dir: Path | None,
    max_mb: int | None,
) -> None:
    """Record what the connections of CONFIG send and receive; its strategies are left out.

    Every frame both ways, REST answers, connects and disconnects, with times in ns, compressed. A
    killed recorder loses at most the last second. `connectors replay` feeds a file to strategies,
    `connectors mock` serves it.

    \b
    Examples:
      connectors record configs/demo.yaml --for 10
      connectors record my.yaml --dir /data/captures --max-mb 512
    """
    settings = msgspec.structs.replace(_load(config), strategies=())
    if record_dir is None and settings.record is None:
        record_dir = Path("recordings")
    settings = _recording(settings, record_dir, max_mb)
    ctx.exit(_run(settings, config, for_s, plain, log_file))


def _load(config: Path) -> Settings:
    from connectors.config import load_settings

    return load_settings(config, os.environ)


def _recording(settings: Settings, record_dir: Path | None, max_mb: int | None) -> Settings:
    """With what the command line says about recording. Its paths are relative to the working directory."""
    from connectors.settings import RecordSettings

    now = settings.record or RecordSettings(dir="recordings")
    if record_dir is not None:
        now = msgspec.structs.replace(now, dir=str(record_dir.resolve()))
    if max_mb is not None:
        now = msgspec.structs.replace(now, max_bytes=max_mb * 1_000_000)
    return msgspec.structs.replace(settings, record=now)


def _run(settings: Settings, config: Path, for_s: float | None, plain: bool, log_file: Path | None) -> int:
    from connectors.runner import run as run_settings

    report = make_report(settings.log_level, str(config), plain, log_file)
    return run_settings(settings, config.resolve().parent, report, for_s=for_s)


def make_report(level: str, title: str, plain: bool, log_file: Path | None) -> Report:
    """A live table in a terminal that can move its cursor, else lines.

    Raises ConfigError: log_file cannot be written.
    """
    from rich.console import Console

    from connectors.reports import LiveReport, PlainReport

    if log_file is not None:
        try:
            log_file.open("a").close()
        except OSError as error:
            raise ConfigError(f"--log-file: {log_file} cannot be written: {error.strerror}") from error
    # Bound to the file: while the table runs, sys.stdout is the table itself.
    console = Console(file=sys.stdout)
    if plain or not sys.stdout.isatty() or console.is_dumb_terminal:
        return PlainReport(level=level, log_file=log_file)
    return LiveReport(title=title, level=level, log_file=log_file, console=console)
