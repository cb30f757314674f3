"""A config with `mock:` dials mock exchanges of its own, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from connectors import ConfigError
from connectors.own_mock import own_mocks
from connectors.settings import ConnectionSettings, MockSettings, Settings

NAME = min(path.stem for path in (Path(__file__).parents[2] / "configs" / "exchanges").glob("*.yaml"))
CONNECTION = ConnectionSettings(exchange=NAME, symbols=("BTC-USDT",), channels=("trade",))
HERE = Path()


async def can_connect(url: str) -> bool:
    parts = urlsplit(url)
    try:
        _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_config_without_mock_stays_as_it_is() -> None:
    settings = Settings(connections=(CONNECTION,))

    async with own_mocks(settings, HERE) as (found, count_sent):
        assert found is settings
        assert count_sent is None


async def test_urls_are_filled_in_and_the_mock_ends_with_the_run() -> None:
    settings = Settings(connections=(CONNECTION, CONNECTION), mock=MockSettings())

    async with own_mocks(settings, HERE) as (found, count_sent):
        first, second = found.connections
        assert first.url is not None
        assert first.rest_url is not None
        assert first.url == second.url
        assert await can_connect(first.url)
        assert await can_connect(first.rest_url)
        assert count_sent is not None
        assert count_sent() == {}

    assert not await can_connect(first.url)
    assert not await can_connect(first.rest_url)


async def test_url_that_a_connection_gives_itself_is_kept() -> None:
    own = ConnectionSettings(
        exchange=NAME,
        symbols=("BTC-USDT",),
        channels=("trade",),
        url="ws://127.0.0.1:1",
        rest_url="http://127.0.0.1:1",
    )
    settings = Settings(connections=(own,), mock=MockSettings())

    async with own_mocks(settings, HERE) as (found, _):
        assert found.connections == (own,)


async def test_unknown_fault_is_told_before_anything_listens() -> None:
    settings = Settings(connections=(CONNECTION,), mock=MockSettings(faults=("dorp",)))

    with pytest.raises(ConfigError, match="dorp"):
        async with own_mocks(settings, HERE):
            pass
