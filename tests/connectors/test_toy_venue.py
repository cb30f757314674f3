"""The page docs/adding-a-venue.md is true: its files in a directory make a venue; no other file is edited."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from connectors import Book, BookChange, Strategy, Trade
from connectors.capture import Record, RecordKind
from connectors.capture_file import CaptureWriter
from connectors.cli import main
from connectors.engine import Engine
from connectors.mock import captured_mock
from connectors.settings import ConnectionSettings, Settings

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-venue.md"
FRAMES = (
    b'{"topic":"trades.BTCUSDT","p":"61800.30","q":"0.006","side":"buy","id":12,"ms":1700000000000}',
    b'{"topic":"depth.BTCUSDT","full":true,"u":1,"b":[["10","1"],["9","2"]],"a":[["12","5"]],"ms":1}',
    b'{"topic":"trades.BTCUSDT","p":"61800.20","q":"1.5","side":"sell","id":13,"ms":1700000000001}',
    b'{"topic":"depth.BTCUSDT","full":false,"u":2,"b":[["10","0"]],"a":[["11.5","4"]],"ms":2}',
)


def block(language: str) -> str:
    """The page's first code block of a language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def toy_dir(tmp_path: Path) -> Path:
    directory = tmp_path / "my_venues"
    directory.mkdir()
    (directory / "toy.yaml").write_text(block("yaml"))
    (directory / "toy.py").write_text(block("python"))
    return directory


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "toy.cap.zst"
    writer = CaptureWriter(path, {"exchanges": ["toy"]})
    connect = b'{"exchange":"toy","route":"public","url":"wss://toy.example/ws"}'
    writer.write(Record(1, 1, RecordKind.CONNECT, payload=connect))
    for number, frame in enumerate(FRAMES):
        writer.write(Record(2 + number, 1, RecordKind.FRAME_IN, opcode=1, payload=frame))
    writer.close()
    return path


class Collector(Strategy):
    """Keeps what comes, and ends the run when all has come."""

    def on_start(self, ctx: object) -> None:
        self.ctx = ctx
        self.trades: list[Trade] = []
        self.tops: list[tuple[float, float]] = []

    def on_trade(self, trade: Trade) -> None:
        self.trades.append(trade.copy())
        self._stop_when_done()

    def on_book(self, book: Book, change: BookChange) -> None:
        self.tops.append((book.best_bid, book.best_ask))
        self._stop_when_done()

    def _stop_when_done(self) -> None:
        if len(self.trades) + len(self.tops) == len(FRAMES):
            self.ctx.stop("all has come")


async def test_venue_of_the_page_goes_from_a_capture_over_sockets_to_a_strategy(
    toy_dir: Path, capture: Path
) -> None:
    strategy = Collector()
    async with captured_mock("toy", [capture], pace="flat", exchange_dirs=[toy_dir]) as mock:
        connection = ConnectionSettings(
            exchange="toy",
            symbols=("BTC-USDT",),
            channels=("trade", "book"),
            url=mock.url,
            instruments="default",
        )
        settings = Settings(connections=(connection,), exchange_dirs=(str(toy_dir),))
        engine = Engine(settings, base_dir=toy_dir.parent, strategies=[strategy])

        view = await engine.run(for_s=20)

    assert [(trade.price, trade.size, trade.side, trade.id) for trade in strategy.trades] == [
        (61800.3, 0.006, 1, 12),
        (61800.2, 1.5, -1, 13),
    ]
    assert strategy.trades[0].exchange_ns == 1_700_000_000_000_000_000
    assert strategy.tops == [(10.0, 12.0), (9.0, 11.5)]
    assert dict(mock.sent) == {stream.topic: stream.messages for stream in view.connections[0].streams}


def test_venue_of_the_page_is_listed_in_full(toy_dir: Path) -> None:
    result = CliRunner().invoke(main, ["list", "toy", "--exchange-dir", str(toy_dir)])

    assert result.exit_code == 0
    assert "wss://toy.example/ws" in result.stdout
    assert "book: depth; continuity step" in result.stdout


def test_config_of_the_page_is_correct(toy_dir: Path) -> None:
    config = toy_dir.parent / "my.yaml"
    config.write_text(re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)[1])

    result = CliRunner().invoke(main, ["check", str(config)])

    assert result.exit_code == 0, result.output
    assert "trades.BTCUSDT" in result.stdout
