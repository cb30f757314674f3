"""What a recording tells of its run: enough to replay it without the YAML, and no secret."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from connectors import Status, StatusKind, Strategy
from connectors.capture_file import CaptureReader
from connectors.engine import Engine
from connectors.header import header_of, recorded_connections, recorded_instruments
from connectors.instrument import Instrument
from connectors.mock import generated_mock
from connectors.replay import Replay
from connectors.settings import (
    BackoffSettings,
    ConnectionSettings,
    RecordSettings,
    ScaleSettings,
    Settings,
    StrategySettings,
    TlsSettings,
)

SECRET = "hunter2"


class Witness(Strategy):
    def __init__(self) -> None:
        super().__init__()
        self.statuses: list[Status] = []
        self.books = 0

    def on_trade(self, trade: Any) -> None: ...
    def on_book(self, book: Any, change: Any) -> None:
        self.books += 1

    def on_status(self, status: Status) -> None:
        self.statuses.append(status)


def secretive() -> Settings:
    connection = ConnectionSettings(
        exchange="okx",
        name="desk",
        symbols=("BTC-USDT",),
        channels=("trade", {"book": "books-l2-tbt"}),
        url=f"wss://user:{SECRET}@venue.example:8443/{SECRET}?token={SECRET}",
        rest_url=f"https://venue.example/{SECRET}",
        proxy=f"http://me:{SECRET}@proxy:1",
        headers={"Authorization": SECRET},
        tls=TlsSettings(key_file=f"/{SECRET}.pem"),
        scales={"BTC-USDT": ScaleSettings(price_scale=3, size_scale=4)},
        continuity="none",
    )
    strategy = StrategySettings(use="a:B", params={"key": SECRET})
    return Settings(connections=(connection,), strategies=(strategy,))


def test_header_has_the_config_without_secrets() -> None:
    header = header_of(secretive())

    assert SECRET not in str(header)
    config: Any = header["config"]
    (connection,) = config["connections"]
    assert (connection["url"], connection["rest_url"]) == (
        "wss://venue.example:8443",
        "https://venue.example",
    )
    assert connection["hidden"] == ["proxy", "headers", "tls"]
    assert config["strategies"][0]["params"] == ["key"]
    versions: Any = header["versions"]
    assert {"picows-connectors", "python"} <= versions.keys()


def test_connections_come_back_from_the_header() -> None:
    (wanted,) = secretive().connections

    (found,) = recorded_connections(header_of(secretive()))

    for key in ("exchange", "name", "symbols", "channels", "scales", "continuity", "rtt", "backoff"):
        assert getattr(found, key) == getattr(wanted, key)


@pytest.mark.parametrize(
    "header", [{}, {"config": {}}, {"config": {"connections": [{"exchange": 5}]}}, {"config": 1}]
)
def test_header_that_tells_nothing_is_no_error(header: dict[str, object]) -> None:
    assert recorded_connections(header) == ()
    assert recorded_instruments({**header, "instruments": [{"exchange": "okx"}]}) == {}


async def recorded(
    tmp_path: Path, *, faults: tuple[str, ...] = (), max_bytes: int | None = None, for_s: float = 1.0
) -> tuple[Engine, list[Path]]:
    """A run against a mock, with its recording."""
    async with generated_mock("okx", symbols=("BTC-USDT",), rate=200.0, faults=faults) as mock:
        connection = ConnectionSettings(
            exchange="okx",
            name="desk",
            symbols=("BTC-USDT",),
            channels=("trade", "book"),
            url=mock.url,
            rest_url=mock.rest_url,
            backoff=BackoffSettings(base_s=0.01, max_s=0.02),
        )
        record = RecordSettings(dir="rec", max_bytes=max_bytes)
        settings = Settings(connections=(connection,), record=record)
        engine = Engine(settings, base_dir=tmp_path, strategies=[Witness()])
        await asyncio.wait_for(engine.run(for_s=for_s), 10)
    return engine, list(engine.recorded)


def replayed(path: Path) -> tuple[Replay, Witness]:
    witness = Witness()
    replay = Replay(path, Settings(connections=()), [witness])
    replay.run()
    return replay, witness


async def test_end_of_a_recorded_run_is_no_loss(tmp_path: Path) -> None:
    _, (path,) = await recorded(tmp_path)

    replay, witness = replayed(path)

    (connection,) = replay.view().connections
    assert (connection.losses, connection.connects) == (0, 1)
    assert connection.books[0].state == "live"
    assert [each.kind for each in witness.statuses][-1] is StatusKind.STOPPED
    assert StatusKind.LOST not in {each.kind for each in witness.statuses}


async def test_close_by_the_venue_is_a_loss_in_the_replay_too(tmp_path: Path) -> None:
    faults = ("close_storm:code=1011,count=1,after_s=0.4",)
    engine, (path,) = await recorded(tmp_path, faults=faults)

    replay, _ = replayed(path)

    assert replay.view().connections[0].losses == engine.view().connections[0].losses == 1


async def test_replay_knows_scales_and_silent_streams_from_the_header(tmp_path: Path) -> None:
    engine, (path,) = await recorded(tmp_path)

    replay, witness = replayed(path)

    assert witness.books > 0
    live, again = (each.instruments["okx:BTC-USDT"] for each in (engine, replay))
    assert again.is_scale_known
    assert (again.price_scale, again.price_tick) == (live.price_scale, live.price_tick)
    topics = {each.topic for each in replay.venues["okx"].streams}
    assert topics == {each.topic for each in engine.connections["desk"].streams.values()}


async def test_second_file_of_a_run_brings_the_instruments(tmp_path: Path) -> None:
    engine, paths = await recorded(tmp_path, max_bytes=2000, for_s=2.5)
    assert len(paths) > 1

    header = CaptureReader(paths[1]).header

    live = engine.instruments["okx:BTC-USDT"]
    again = recorded_instruments(header)["okx"]["BTC-USDT"]
    for key in Instrument.__dict__:
        if not key.startswith("_") and not callable(getattr(live, key)):
            assert getattr(again, key) == getattr(live, key), key
