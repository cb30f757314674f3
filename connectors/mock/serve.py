"""Run mock exchanges until told to stop: what the command line calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from connectors.errors import ConfigError
from connectors.mock.build import captured_mock, generated_mock
from connectors.mock.certificate import Authority
from connectors.mock.server import MockExchange


class MockOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One mock exchange. captures: played one after another; none: a generator with `seed`.

    pace: "captured", "1x", "2x" ... "flat". port, rest_port 0: free ones. faults: as faults.parse_fault.
    ca_file: where the authority of uses_tls is written; None: a temporary file. The first one serves all.
    rate: steps per second and instrument of the generator. exchange_dirs: more facts files.
    """

    exchange: str
    captures: tuple[Path, ...] = ()
    seed: int = 1
    symbols: tuple[str, ...] = ()
    rate: float = 100.0
    pace: str = "1x"
    host: str = "127.0.0.1"
    port: int = 0
    rest_port: int = 0
    uses_tls: bool = False
    ca_file: Path | None = None
    uses_limits: bool = True
    faults: tuple[str, ...] = ()
    exchange_dirs: tuple[Path, ...] = ()


class MockReport(msgspec.Struct, frozen=True):
    """What one mock has done. sent: data messages by topic; skipped: captured ones nobody had subscribed."""

    exchange: str
    sent: dict[str, int]
    published: dict[str, int]
    skipped: dict[str, int]
    struck: dict[str, int]
    refused: dict[str, int]
    connects: int


def make_mock(options: MockOptions, authority: Authority | None = None) -> MockExchange:
    """The mock, not started. Raises ConfigError, CaptureError, OSError (a capture cannot be read)."""
    if options.rate <= 0:
        raise ConfigError(f"rate: expected more than 0, got {options.rate}")
    if options.captures:
        return captured_mock(
            options.exchange,
            options.captures,
            seed=options.seed,
            symbols=options.symbols,
            pace=options.pace,
            faults=options.faults,
            exchange_dirs=options.exchange_dirs,
            uses_limits=options.uses_limits,
            uses_tls=options.uses_tls,
            authority=authority,
        )
    return generated_mock(
        options.exchange,
        seed=options.seed,
        symbols=options.symbols,
        rate=options.rate,
        pace=options.pace,
        faults=options.faults,
        exchange_dirs=options.exchange_dirs,
        uses_limits=options.uses_limits,
        uses_tls=options.uses_tls,
        authority=authority,
    )


def report(mock: MockExchange) -> MockReport:
    """What it has done so far."""
    return MockReport(
        mock.venue.facts.name,
        dict(mock.sent),
        dict(mock.published),
        dict(mock.source.skipped),
        dict(mock.faults.struck),
        dict(mock.refused),
        mock.connects,
    )


async def serve(
    options: Sequence[MockOptions],
    stop: asyncio.Event,
    on_ready: Callable[[list[MockExchange]], None] = lambda _: None,
) -> list[MockReport]:
    """Start all, call `on_ready` once they listen, run until `stop` is set. Raises as make_mock, start()."""
    files = [each.ca_file for each in options if each.ca_file is not None]
    authority = Authority(files[0] if files else None) if any(each.uses_tls for each in options) else None
    mocks: list[MockExchange] = []
    try:
        mocks.extend(make_mock(each, authority) for each in options)
        for mock, each in zip(mocks, options, strict=True):
            await mock.start(each.host, each.port, each.rest_port)
        on_ready(mocks)
        await stop.wait()
    finally:
        for mock in mocks:
            await mock.close()
        if authority is not None:
            authority.close()
    return [report(mock) for mock in mocks]
