"""`connectors replay`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connectors.commands.run import CONFIG

if TYPE_CHECKING:
    from connectors.settings import Settings


@click.command(short_help="Feed a recorded file to strategies.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--config", type=CONFIG, help="Its strategies are called; its connections are not dialled.")
@click.option("--use", "uses", multiple=True, metavar="MODULE:CLASS",
              help="A strategy, as in a config; may be given several times.")  # fmt: skip
@click.option("--pace", type=click.Choice(["fast", "paced", "stepped"]), default="fast", show_default=True,
              help="fast: at once; paced: as recorded; stepped: Enter feeds the next frame.")  # fmt: skip
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True,
              help="With --pace paced: so many times as fast as recorded.")  # fmt: skip
@click.pass_context
def replay(
    ctx: click.Context, file: Path, config: Path | None, uses: Sequence[str], pace: str, speed: float
) -> None:
    """Feed a recorded FILE to strategies, through the same code that a live run uses.

    Time is that of the recording: two replays of one file give the same calls with the same numbers. A
    torn file (the recorder was killed) is played to its last whole record.

    \b
    Examples:
      connectors replay recordings/20260131T120000.cap.zst
      connectors replay rec.cap.zst --config my.yaml
      connectors replay rec.cap.zst --use ./my_strategy.py:MyStrategy --pace paced --speed 10
    """
    from connectors.commands.replaying import replay_file

    settings, base_dir = _settings(config, uses)
    ctx.exit(replay_file(file, settings, base_dir, pace=pace, speed=speed))


def _settings(config: Path | None, uses: Sequence[str]) -> tuple[Settings, Path]:
    """Strategies of --use come after the config's; their files are relative to the working directory."""
    import msgspec

    from connectors.config import load_settings
    from connectors.settings import Settings, StrategySettings

    settings = Settings(connections=()) if config is None else load_settings(config, os.environ)
    base_dir = Path.cwd() if config is None else config.resolve().parent
    named = tuple(StrategySettings(use=_absolute(use)) for use in uses)
    return msgspec.structs.replace(settings, strategies=settings.strategies + named), base_dir


def _absolute(use: str) -> str:
    where, colon, name = use.rpartition(":")
    return f"{Path(where).resolve()}{colon}{name}" if where.endswith(".py") else use
