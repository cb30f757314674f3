"""The instrument list at the start of a run: asked again, waited for, never replaced by a guess unasked."""

from __future__ import annotations

import asyncio
import logging
import random
from pathlib import Path
from typing import Any

import pytest

from connectors import ConfigError
from connectors.clock import SystemClock
from connectors.engine import Engine
from connectors.errors import ConnectionLost, ListingError, RateLimited
from connectors.exchange import HttpGet
from connectors.listing import check_listed, read_listing
from connectors.registry import load_exchange
from connectors.settings import BackoffSettings, ConnectionSettings, ScaleSettings, Settings

Start = Any
BTC = (
    b'{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","filters":['
    b'{"filterType":"PRICE_FILTER","tickSize":"0.01"},{"filterType":"LOT_SIZE","stepSize":"0.00001"}]}'
)
LIST = b'{"symbols":[' + BTC + b"]}"
LOST = ConnectionLost("https://venue: HTTP 502")


class Answers:
    """A Rest that gives what it is told, in turn."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self._answers = list(answers)
        self.asked_s: list[float] = []

    async def get(self, request: HttpGet) -> bytes:
        self.asked_s.append(asyncio.get_running_loop().time())
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def settings(**more: Any) -> ConnectionSettings:
    backoff = BackoffSettings(base_s=0.01, max_s=0.02)
    wanted = {"symbols": ("BTC-USDT",), "channels": ("trade",), "backoff": backoff, **more}
    return ConnectionSettings(exchange="binance_spot", **wanted)


async def read(rest: Any, **more: Any) -> Any:
    exchange = load_exchange("binance_spot")
    return await read_listing("spot", exchange, settings(**more), rest, SystemClock(), random.Random(1))


async def test_failing_list_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    rest = Answers(LOST, b"<html>", LIST)

    found = await read(rest)

    assert found["BTCUSDT"].is_scale_known
    assert sum("spot: instrument list" in each.message for each in caplog.records) == 2


async def test_rate_limit_is_waited_for() -> None:
    rest = Answers(RateLimited("HTTP 429", retry_after_s=0.3), LIST)

    await read(rest)

    first, second = rest.asked_s
    assert 0.3 <= second - first < 0.8


async def test_wait_that_is_too_long_ends_the_start_at_once() -> None:
    rest = Answers(RateLimited("HTTP 418", retry_after_s=3600))

    with pytest.raises(ListingError, match=r"HTTP 418.*rest_or_default"):
        await read(rest, instruments_s=5.0)


async def test_list_that_never_comes_is_no_list() -> None:
    with pytest.raises(ListingError, match="502"):
        await read(Answers(*[LOST] * 1000), instruments_s=0.1)


async def test_empty_list_is_no_list() -> None:
    with pytest.raises(ListingError, match="nothing that trades"):
        await read(Answers(b'{"symbols":[]}'))


async def test_default_scales_are_taken_where_the_config_allows_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    allowed = {"instruments": "rest_or_default", "instruments_s": 0.05}

    known = await read(Answers(*[LOST] * 1000), **allowed)
    check_listed("spot", ["BTC-USDT"], settings(**allowed), load_exchange("binance_spot"), known)

    assert known == {}
    assert "spot: BTC-USDT: the scales are GUESSED" in caplog.text


async def test_config_with_all_scales_needs_no_list() -> None:
    scales = {"BTC-USDT": ScaleSettings(price_scale=8, size_scale=8)}

    assert await read(Answers(*[LOST] * 1000), instruments_s=0.05, scales=scales) == {}


async def test_symbol_that_is_not_listed_is_refused() -> None:
    known = await read(Answers(LIST))

    with pytest.raises(ConfigError, match=r"BTC-USDC: .*did you mean 'BTC-USDT'"):
        check_listed("spot", ["BTC-USDC"], settings(), load_exchange("binance_spot"), known)


async def test_run_does_not_start_without_a_list(tmp_path: Path) -> None:
    connection = settings(rest_url="http://127.0.0.1:9", url="ws://127.0.0.1:9", instruments_s=0.05)
    engine = Engine(Settings(connections=(connection,)), base_dir=tmp_path, strategies=[])

    with pytest.raises(ListingError):
        await asyncio.wait_for(engine.run(), 5)

    assert not engine.connections


async def test_run_can_be_stopped_while_it_waits_for_a_list(tmp_path: Path) -> None:
    connection = settings(rest_url="http://127.0.0.1:9", url="ws://127.0.0.1:9", instruments_s=600)
    engine = Engine(Settings(connections=(connection,)), base_dir=tmp_path, strategies=[])
    run = asyncio.ensure_future(engine.run())
    await asyncio.sleep(0)

    engine.stop("never mind")

    assert (await asyncio.wait_for(run, 5)).connections == ()


async def test_rate_limited_list_of_a_mock_comes_in_the_end(
    running: Start, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with running("okx", symbols=("BTC-USDT",), faults=("rate_limit:count=1,retry_after_s=1",)) as run:
        (instrument,) = run.engine.instruments.values()

        assert instrument.is_scale_known
    assert "okx: instrument list: " in caplog.text
    assert "asked again in" in caplog.text


async def test_symbol_at_run_time_has_the_lists_scales(running: Start) -> None:
    async with running("okx", symbols=("BTC-USDT", "ETH-USDT"), channels=("trade",)) as run:
        run.engine.instruments.pop("okx:ETH-USDT")

        instrument = run.witness.ctx.subscribe("ETH-USDT", "ticker")

        assert instrument.is_scale_known
        with pytest.raises(ConfigError, match="trading now"):
            run.witness.ctx.subscribe("NOSUCH-USDT", "trade")
