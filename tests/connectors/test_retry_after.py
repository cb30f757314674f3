"""How long a venue wants us to stay away, whatever it writes into the header."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from connectors import Status, StatusKind, Strategy
from connectors.backoff import retry_after_s
from connectors.clock import SystemClock
from connectors.engine import Engine
from connectors.errors import RateLimited
from connectors.exchange import HttpGet
from connectors.registry import load_exchange
from connectors.rest import LiveRest
from connectors.settings import ConnectionSettings, Settings

ODD = ["", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "-1", "\u00b2", "\u0663", "1" * 400, "nan", "inf", "1e9"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("7", 7.0), ("120", 120.0), ("1.5", 1.5), ("259200", 259200.0)]
)
def test_seconds_are_honoured(text: str, seconds: float) -> None:
    assert retry_after_s(text) == seconds


@pytest.mark.parametrize("text", ODD)
def test_what_is_no_number_of_seconds_is_a_minute(text: str) -> None:
    assert retry_after_s(text) == 60.0


def test_no_time_at_all_is_a_second() -> None:
    assert retry_after_s("0") == 1.0


async def answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str, encoding: str = "utf-8"
) -> None:
    await reader.readuntil(b"\r\n\r\n")
    lines = [
        "HTTP/1.1 429 Too Many Requests",
        f"Retry-After: {text}",
        f"X-MBX-USED-WEIGHT-1M: {text}",
        "Content-Length: 0",
        "\r\n",
    ]
    writer.write("\r\n".join(lines).encode(encoding))
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("text", ["\u00b2", "1" * 5000])
async def test_an_odd_header_of_a_rest_answer_is_no_fault_of_ours(text: str) -> None:
    async with await asyncio.start_server(lambda r, w: answer(r, w, text), "127.0.0.1", 0) as server:
        rest = LiveRest(load_exchange("binance_spot"), SystemClock())
        try:
            with pytest.raises(RateLimited) as raised:
                await rest.get(HttpGet(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", 1))
        finally:
            await rest.close()

    assert raised.value.retry_after_s == 60.0


class Told(Strategy):
    def __init__(self) -> None:
        super().__init__()
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_status(self, status: Status) -> None:
        if status.kind is StatusKind.LOST and not self.lost.done():
            self.lost.set_result(status.detail)


@pytest.mark.parametrize("text", ["\u00b2", "9" * 400])
async def test_an_odd_header_of_a_refused_upgrade_is_a_failed_dial(tmp_path: Path, text: str) -> None:
    told = Told()
    async with await asyncio.start_server(
        lambda r, w: answer(r, w, text, "latin-1"), "127.0.0.1", 0
    ) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        connection = ConnectionSettings(
            exchange="okx", symbols=("BTC-USDT",), channels=("trade",), url=url, instruments="default"
        )
        engine = Engine(Settings(connections=(connection,)), base_dir=tmp_path, strategies=[told])
        task = asyncio.ensure_future(engine.run())
        try:
            reason = await asyncio.wait_for(told.lost, 5)
            (link,) = engine.connections["okx"].links
            wait_s = link.dialogue.dial_ns / 1e9 - time.monotonic()
        finally:
            engine.stop()
            await asyncio.wait_for(task, 5)

    assert "429" in reason
    assert 50 < wait_s <= 60
