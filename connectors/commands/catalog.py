"""`connectors list` and `connectors symbols`: what there is, here and at a venue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from connectors.exchange import Exchange
    from connectors.facts import ChannelFact, Facts
    from connectors.instrument import Instrument

DIRS = click.option(
    "--exchange-dir", "dirs", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="More facts files, looked at first; may be given several times.",
)  # fmt: skip


@click.command("list", short_help="List the venues there are, or tell all about one.")
@click.argument("exchange", required=False)
@DIRS
def list_command(exchange: str | None, dirs: Sequence[Path]) -> None:
    """List the venues there are, or tell all about one: endpoints, symbol shapes, channels, limits, sources.

    \b
    Examples:
      connectors list
      connectors list NAME
      connectors list --exchange-dir my_venues
    """
    from connectors.facts import load_facts
    from connectors.registry import facts_files, load_exchange

    if exchange is not None:
        for line in facts_lines(load_exchange(exchange, dirs).facts):
            click.echo(line)
        return
    found = [load_facts(path) for path in facts_files(dirs).values()]
    width = max((len(facts.name) for facts in found), default=0)
    for facts in sorted(found, key=lambda each: each.name):
        click.echo(f"{facts.name:<{width}}  {facts.title}")
        click.echo(
            f"{'':<{width}}    symbols   {', '.join(rule.example or rule.unified for rule in facts.symbols)}"
        )
        click.echo(f"{'':<{width}}    channels  {', '.join(facts.channels)}")


def facts_lines(facts: Facts) -> list[str]:
    """One venue in full, ready to print."""
    lines = [f"{facts.name}: {facts.title}", "endpoints"]
    lines.extend(f"  {name}: {route.url}" for name, route in facts.routes.items())
    if facts.rest is not None:
        lines.append(f"  rest: {facts.rest.url}")
    lines.append("symbols")
    lines.extend(f"  {rule.kind}: {rule.example or rule.unified}" for rule in facts.symbols)
    lines.append("channels")
    lines.extend(f"  {_channel_line(kind, fact)}" for kind, fact in facts.channels.items())
    limits = facts.limits
    lines.append(f"limits: {limits.connects.count} connects in {limits.connects.per_s:g} s")
    if limits.streams is not None:
        lines.append(f"  {limits.streams} streams on a connection")
    if limits.age_s is not None:
        lines.append(f"  a connection lives {limits.age_s / 3600:g} h at most")
    lines.append(f"read {facts.read} from")
    lines.extend(f"  {source}" for source in facts.source)
    return lines


def _channel_line(kind: str, fact: ChannelFact) -> str:
    parts = [f"{kind}: {fact.name}"]
    if fact.variants:
        default = f" (default {fact.default})" if fact.default else ""
        parts.append(f"variants {', '.join(fact.variants)}{default}")
    if kind.partition(".")[0] == "book":
        parts.append(f"continuity {fact.continuity}{' and checksum' if fact.checksum else ''}")
    return "; ".join(parts)


@click.command(short_help="List the instruments that a venue trades now.")
@click.argument("exchange")
@click.argument("pattern", default="*")
@click.option("--rest-url", metavar="URL", help="Instead of the venue's: http://127.0.0.1:8081 of a mock.")
@click.option("--limit", type=click.IntRange(min=1), help="Show so many at most.")
@DIRS
def symbols(
    exchange: str, pattern: str, rest_url: str | None, limit: int | None, dirs: Sequence[Path]
) -> None:
    """List the instruments that EXCHANGE trades now, asked over REST; PATTERN matches unified symbols.

    \b
    Examples:
      connectors symbols NAME 'BTC-*'
      connectors symbols NAME '*-PERP' --limit 20
      connectors symbols NAME --rest-url http://127.0.0.1:8081
    """
    from connectors.registry import load_exchange

    found = asyncio.run(fetch_instruments(load_exchange(exchange, dirs), rest_url))
    shown = sorted(
        (each for each in found if fnmatchcase(each.symbol, pattern)), key=lambda each: each.symbol
    )
    for each in shown[:limit]:
        tick = "-" if each.price_tick is None else f"{each.price_tick:f}"
        step = "-" if each.size_step is None else f"{each.size_step:f}"
        click.echo(f"{each.symbol:<24} {each.native:<24} {each.kind:<7} tick {tick:<14} step {step}")
    hidden = len(shown) - len(shown[:limit])
    more = f", {hidden} of them not shown" if hidden else ""
    click.echo(f"{len(shown)} of {len(found)} instruments match {pattern!r}{more}", err=True)


async def fetch_instruments(exchange: Exchange, rest_url: str | None = None) -> list[Instrument]:
    """The venue's own list, page by page. Raises ConfigError (it has none), ConnectionLost, RateLimited."""
    from connectors.clock import SystemClock
    from connectors.errors import ConfigError
    from connectors.rest import LiveRest, moved

    requests = list(exchange.instrument_requests())
    if not requests:
        raise ConfigError(f"{exchange.facts.name}: its facts name no instrument list")
    found: list[Instrument] = []
    rest = LiveRest(exchange, SystemClock())
    try:
        while requests:
            request = requests.pop(0)
            body = await rest.get(moved(request, exchange, rest_url))
            found.extend(exchange.parse_instruments(body))
            following = exchange.next_instruments(request, body)
            if following is not None:
                requests.insert(0, following)
    finally:
        await rest.close()
    return found
