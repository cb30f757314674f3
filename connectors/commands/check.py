"""`connectors check`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connectors.commands.run import CONFIG

if TYPE_CHECKING:
    from connectors.exchange import Channel
    from connectors.settings import ConnectionSettings, Settings, StrategySettings


@click.command(short_help="Tell what is wrong with a config, or what it would do.")
@click.argument("config", type=CONFIG)
def check(config: Path) -> None:
    """Read CONFIG and its strategies, and tell what `run` would do. Opens no socket.

    All that is wrong is told at once, each with file, line, path, what was expected and the nearest
    correct name; the exit code is then 2. Values of ${VARIABLES} are never shown.

    \b
    Examples:
      connectors check my.yaml
      connectors check my.yaml && connectors run my.yaml
    """
    from connectors.config import load_settings
    from connectors.loader import load_strategies

    settings = load_settings(config, os.environ)
    base_dir = config.resolve().parent
    load_strategies(settings, base_dir)
    for connection in settings.connections:
        for line in connection_lines(connection, settings, base_dir):
            click.echo(line)
    for strategy in settings.strategies:
        click.echo(strategy_line(strategy))
    click.echo(f"{config}: correct")


def connection_lines(connection: ConnectionSettings, settings: Settings, base_dir: Path) -> list[str]:
    """Where a connection dials, and each of its streams. Raises ConfigError: a channel the venue has not."""
    from connectors.registry import load_exchange

    exchange = load_exchange(connection.exchange, [base_dir / each for each in settings.exchange_dirs])
    lines = [f"connection {connection.name or connection.exchange} ({exchange.facts.title})"]
    routes: dict[str, list[str]] = {}
    for symbol in connection.symbols:
        for channel in connection.channels:
            for wanted in _channels(channel):
                stream = exchange.stream(wanted, exchange.instrument(symbol))
                routes.setdefault(stream.route, []).append(f"    {symbol} {wanted.kind}: {stream.topic}")
    for route, streams in routes.items():
        where = (
            "its own mock" if settings.mock and not connection.url else exchange.url(route, connection.url)
        )
        lines.append(f"  {route}: {where}")
        lines.extend(dict.fromkeys(streams))
    return lines


def _channels(channel: str | dict[str, str]) -> list[Channel]:
    """`trade`, `candle.1m`, or {kind: the venue's own name}."""
    from connectors.exchange import Channel

    if isinstance(channel, str):
        return [Channel.parse(channel)]
    return [Channel(*kind.partition(".")[::2], name) for kind, name in channel.items()]


def strategy_line(strategy: StrategySettings) -> str:
    """What is loaded, and which connections it hears."""
    hears = ", ".join(strategy.connections) or "all connections"
    name = strategy.name or strategy.use.rpartition(":")[2]
    return f"strategy {name} ({strategy.use}) hears {hears}"
