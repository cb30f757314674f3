"""`connectors mock`."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from connectors.commands.catalog import DIRS

if TYPE_CHECKING:
    from connectors.mock.serve import MockOptions, MockReport
    from connectors.mock.server import MockExchange


@click.command(short_help="Serve the protocol of a venue on this machine.")
@click.option(
    "--exchange",
    "exchanges",
    multiple=True,
    metavar="NAME",
    help="Whose protocol; may be given several times.",
)
@click.option("--all", "is_all", is_flag=True, help="Every venue of `connectors list`.")
@click.option(
    "--capture",
    "captures",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Serve these recorded messages, one file after another; without it a seeded generator.",
)
@click.option("--seed", default=1, show_default=True, help="Of the generator and of faults.")
@click.option(
    "--symbol", "symbols", multiple=True, help="Unified symbols of the generator; default: some large ones."
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    default=100.0,
    show_default=True,
    help="Steps of a generated market in a second.",
)
@click.option(
    "--pace", default="1x", show_default=True, help="1x: as recorded; 2x, 0.5x; flat: as fast as it is read."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65534),
    default=0,
    help="First port; each venue takes two (WebSocket, REST). Default: free ones.",
)
@click.option("--tls", is_flag=True, help="wss and https, with a certificate made for this run.")
@click.option(
    "--ca-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="With --tls: the authority to trust goes into this file; default: a temporary one.",
)
@click.option("--no-limits", is_flag=True, help="Do not enforce the venue's limits.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[:KEY=VALUE,...]",
    help="What shall go wrong; see --faults.",
)
@click.option("--faults", "lists_faults", is_flag=True, help="List the faults there are, and stop.")
@click.option(
    "--for", "for_s", type=click.FloatRange(min=0, min_open=True), help="Stop after so many seconds."
)
@DIRS
def mock(
    exchanges: Sequence[str],
    is_all: bool,
    captures: Sequence[Path],
    seed: int,
    symbols: Sequence[str],
    rate: float,
    pace: str,
    host: str,
    port: int,
    tls: bool,
    ca_file: Path | None,
    no_limits: bool,
    faults: Sequence[str],
    lists_faults: bool,
    for_s: float | None,
    dirs: Sequence[Path],
) -> None:  # fmt: skip
    """Serve the protocol of a venue on this machine: acks, pings, REST, limits, and faults on demand.

    The data come from a capture or from a seeded generator. Put the printed `url` and `rest_url` into
    the connection of a config. When it stops it tells how many messages it has sent on which topic.

    \b
    Examples:
      connectors mock --exchange NAME
      connectors mock --exchange NAME --capture recordings/20260131T120000-0000.cap.zst --pace 10x
      connectors mock --exchange NAME --fault drop:topic=*books*,every=100 --fault delay_pong:rtt_ms=300
      connectors mock --all --port 9000 --seed 7
      connectors mock --faults
    """
    if lists_faults:
        for line in fault_lines():
            click.echo(line)
        return
    from connectors.mock.serve import MockOptions

    if ca_file is not None and not tls:
        raise click.UsageError("--ca-file is written with --tls; expected both")
    names = _names(exchanges, is_all, captures, dirs)
    if port + 2 * len(names) > 65536:
        raise click.UsageError(
            f"--port {port}: {len(names)} venues take {2 * len(names)} ports; "
            f"expected at most {65536 - 2 * len(names)}"
        )
    options = [
        MockOptions(
            exchange=name,
            captures=tuple(captures),
            seed=seed,
            symbols=tuple(symbols),
            rate=rate,
            pace=pace,
            host=host,
            port=port and port + 2 * index,
            rest_port=port and port + 2 * index + 1,
            uses_tls=tls,
            ca_file=ca_file,
            uses_limits=not no_limits,
            faults=tuple(faults),
            exchange_dirs=tuple(dirs),
        )
        for index, name in enumerate(names)
    ]
    for report in asyncio.run(_serve(options, for_s)):
        for line in report_lines(report):
            click.echo(line)


def _names(
    exchanges: Sequence[str], is_all: bool, captures: Sequence[Path], dirs: Sequence[Path]
) -> list[str]:
    from connectors.registry import facts_files

    if is_all == bool(exchanges):
        raise click.UsageError("expected --exchange NAME or --all; `connectors list` shows the names")
    names = sorted(facts_files(dirs)) if is_all else list(dict.fromkeys(exchanges))
    if captures and len(names) != 1:
        raise click.UsageError(f"--capture is served by one venue: expected one --exchange, got {len(names)}")
    return names


async def _serve(options: Sequence[MockOptions], for_s: float | None) -> list[MockReport]:
    from connectors.mock.serve import serve

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    if for_s is not None:
        loop.call_later(for_s, stop.set)
    return await serve(options, stop, _announce)


def _announce(mocks: list[MockExchange]) -> None:
    """What goes into a config."""
    for mock in mocks:
        click.echo(f"# {mock.venue.facts.title}")
        click.echo(f"- exchange: {mock.venue.facts.name}")
        click.echo(f"  url: {mock.url}")
        click.echo(f"  rest_url: {mock.rest_url}")
        if mock.ca_file:
            click.echo(f"  tls: {{ca_file: {mock.ca_file}}}")
    authorities = {mock.ca_file for mock in mocks if mock.ca_file}
    for ca_file in authorities:
        click.echo(f"# one authority for all of them: {ca_file}")
    click.echo("# Ctrl-C stops")


def fault_lines() -> list[str]:
    """Every fault with its own options, then those that all have."""
    from connectors.mock.faults import COMMON, FAULTS

    width = max(map(len, FAULTS))
    lines = []
    for name, (text, options) in FAULTS.items():
        own = ", ".join(f"{key}={value}" for key, value in options.items())
        lines.append(f"{name:<{width}}  {text}{f' ({own})' if own else ''}")
    common = ", ".join(f"{key}={value}" for key, value in COMMON.items())
    return [*lines, f"options of all, with their defaults: {common}"]


def report_lines(report: MockReport) -> list[str]:
    """One mock's counts, name=value."""
    lines = [f"mock {report.exchange} connects={report.connects} sent={sum(report.sent.values())}"]
    lines.extend(f"  sent {topic} {count}" for topic, count in sorted(report.sent.items()))
    for what, counts in (
        ("nobody asked for", report.skipped),
        ("fault", report.struck),
        ("refused", report.refused),
    ):
        lines.extend(f"  {what} {name} {count}" for name, count in sorted(counts.items()))
    return lines
