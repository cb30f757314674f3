"""A mock exchange from a few words: a venue's name, and a capture or a seed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from connectors.errors import FactsError
from connectors.exchange import Exchange
from connectors.foreign import open_any
from connectors.mock.certificate import Authority
from connectors.mock.faults import parse_fault
from connectors.mock.generator import GeneratorSource
from connectors.mock.playback import PlaybackSource
from connectors.mock.server import MockExchange
from connectors.mock.source import Source
from connectors.mock.venue import MockVenue
from connectors.registry import facts_files, load_exchange, load_object


def mock_venue(exchange: Exchange, exchange_dirs: Sequence[Path] = ()) -> MockVenue:
    """The server side of a venue: the class of its facts' `mock`, else the plain one. Raises FactsError."""
    spec = exchange.facts.mock
    if not spec:
        return MockVenue(exchange)
    path = facts_files(exchange_dirs)[exchange.facts.name]
    found = load_object(spec, path.parent, "connectors.exchanges")
    if not (isinstance(found, type) and issubclass(found, MockVenue)):
        raise FactsError(
            f"{path}: mock: expected a subclass of connectors.mock.venue.MockVenue, got {found!r}"
        )
    return found(exchange)


def generated_mock(
    name: str,
    *,
    seed: int = 1,
    symbols: Sequence[str] = (),
    rate: float = 100.0,
    start_ns: int | None = None,
    pace: str = "1x",
    faults: Sequence[str] = (),
    exchange_dirs: Sequence[Path] = (),
    uses_limits: bool = True,
    uses_tls: bool = False,
    authority: Authority | None = None,
) -> MockExchange:
    """A mock of generated markets, not started. rate: steps per second and market. start_ns: default now.

    Raises ConfigError: unknown venue, symbol shape, pace or fault.
    """
    venue = mock_venue(load_exchange(name, exchange_dirs), exchange_dirs)
    source = GeneratorSource(
        venue,
        seed=seed,
        symbols=symbols,
        rate=rate,
        start_ns=time.time_ns() if start_ns is None else start_ns,
    )
    return _mock(venue, source, pace, seed, faults, uses_limits, uses_tls, authority)


def captured_mock(
    name: str,
    paths: Sequence[Path],
    *,
    seed: int = 1,
    symbols: Sequence[str] = (),
    pace: str = "captured",
    faults: Sequence[str] = (),
    exchange_dirs: Sequence[Path] = (),
    uses_limits: bool = True,
    uses_tls: bool = False,
    authority: Authority | None = None,
) -> MockExchange:
    """A mock that plays captures in turn, not started. Raises ConfigError, CaptureError, OSError."""
    venue = mock_venue(load_exchange(name, exchange_dirs), exchange_dirs)
    records = (record for path in paths for record in open_any(path, name))
    source = PlaybackSource(venue, records, symbols=symbols)
    return _mock(venue, source, pace, seed, faults, uses_limits, uses_tls, authority)


def _mock(
    venue: MockVenue,
    source: Source,
    pace: str,
    seed: int,
    faults: Sequence[str],
    uses_limits: bool,
    uses_tls: bool,
    authority: Authority | None,
) -> MockExchange:
    mock = MockExchange(
        venue,
        source,
        pace=pace,
        seed=seed,
        uses_limits=uses_limits,
        uses_tls=uses_tls,
        authority=authority,
    )
    for text in faults:
        mock.add_fault(parse_fault(text))
    return mock
