"""The mock exchanges of a config with `mock:`: started before the run, dialled instead of the venues."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import msgspec

from connectors.mock.build import generated_mock
from connectors.mock.server import MockExchange
from connectors.settings import ConnectionSettings, MockSettings, Settings
from connectors.summary import SentCounts

CountSent = Callable[[], SentCounts]


@asynccontextmanager
async def own_mocks(settings: Settings, base_dir: Path) -> AsyncIterator[tuple[Settings, CountSent | None]]:
    """Start one mock per exchange; yields the settings that dial them and a counter of what they have sent.

    Without `mock:` the settings come back as they are, with None. A connection that has its own `url`
    keeps it. base_dir: directory of the config file. Raises ConfigError: unknown fault, a symbol the
    venue cannot have.
    """
    if settings.mock is None:
        yield settings, None
        return
    async with AsyncExitStack() as stack:
        mocks: dict[str, MockExchange] = {}
        for name in dict.fromkeys(each.exchange for each in settings.connections if each.url is None):
            mock = _made(name, settings, settings.mock, base_dir)
            stack.push_async_callback(mock.close)
            await mock.start()
            mocks[name] = mock
        connections = tuple(_dialling(each, mocks) for each in settings.connections)
        yield msgspec.structs.replace(settings, connections=connections), lambda: _counts(mocks)


def _made(name: str, settings: Settings, wanted: MockSettings, base_dir: Path) -> MockExchange:
    # The markets of all that is subscribed; two connections may share a symbol.
    symbols = dict.fromkeys(
        symbol for each in settings.connections if each.exchange == name for symbol in each.symbols
    )
    return generated_mock(
        name,
        seed=wanted.seed,
        symbols=tuple(symbols),
        rate=wanted.rate,
        faults=wanted.faults,
        exchange_dirs=[base_dir / each for each in settings.exchange_dirs],
    )


def _dialling(connection: ConnectionSettings, mocks: dict[str, MockExchange]) -> ConnectionSettings:
    if connection.url is not None:
        return connection
    mock = mocks[connection.exchange]
    return msgspec.structs.replace(connection, url=mock.url, rest_url=connection.rest_url or mock.rest_url)


def _counts(mocks: dict[str, MockExchange]) -> SentCounts:
    return {
        (name, topic): count for name, mock in mocks.items() for topic, count in mock.sent.items() if count
    }
