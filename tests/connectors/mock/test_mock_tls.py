"""Mocks with TLS: one authority for all of a command, in a file that a config can name."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from connectors.dial import tls_context
from connectors.errors import ConfigError
from connectors.mock.certificate import Authority
from connectors.mock.serve import MockOptions, serve
from connectors.mock.server import MockExchange
from connectors.settings import TlsSettings

VENUES = ("okx", "binance_spot")


async def served(ca_file: Path | None) -> list[tuple[str, int]]:
    """(ca_file, ports that a client which trusts it got through) of two mocks of one command."""
    seen: list[tuple[str, int]] = []
    stop = asyncio.Event()
    mocks: list[MockExchange] = []

    def ready(found: list[MockExchange]) -> None:
        mocks.extend(found)

    options = [MockOptions(exchange=name, uses_tls=True, ca_file=ca_file) for name in VENUES]
    task = asyncio.ensure_future(serve(options, stop, ready))
    while not mocks:
        await asyncio.sleep(0.005)
    for mock in mocks:
        context = tls_context(TlsSettings(ca_file=mocks[0].ca_file))
        for url in (mock.url, mock.rest_url):
            port = int(url.rpartition(":")[2])
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.close()
            seen.append((str(mock.ca_file), port))
    stop.set()
    await task
    return seen


async def test_one_authority_serves_all_mocks_of_a_command(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"

    seen = await served(ca_file)

    assert {path for path, _ in seen} == {str(ca_file)}
    assert len({port for _, port in seen}) == 4
    assert ca_file.exists()


async def test_temporary_authority_goes_with_the_command() -> None:
    seen = await served(None)

    (path,) = {path for path, _ in seen}
    assert not Path(path).exists()


def test_authority_that_can_not_be_written_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="ca_file"):
        Authority(tmp_path / "nowhere" / "ca.pem")


def test_another_authority_is_not_trusted(tmp_path: Path) -> None:
    first, second = Authority(tmp_path / "a.pem"), Authority(tmp_path / "b.pem")

    stores = [
        ssl.create_default_context(cafile=str(each.ca_file)).get_ca_certs(True) for each in (first, second)
    ]

    assert stores[0][-1] != stores[1][-1]
