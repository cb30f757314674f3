"""Recorded messages decode completely; books built from them equal books rebuilt here from the raw JSON."""

import json
from decimal import Decimal

import pytest

from connectors import BookState
from connectors.registry import load_exchange

pytestmark = pytest.mark.captures


class DictBook:
    """The independent rebuild: plain dicts of Decimals, straight from the JSON."""

    def __init__(self):
        self.bids, self.asks = {}, {}

    def load(self, bids, asks):
        self.bids = {Decimal(row[0]): Decimal(row[1]) for row in bids}
        self.asks = {Decimal(row[0]): Decimal(row[1]) for row in asks}

    def change(self, bids, asks):
        for side, rows in ((self.bids, bids), (self.asks, asks)):
            for price, size, *_ in rows:
                if Decimal(size) == 0:
                    side.pop(Decimal(price), None)
                else:
                    side[Decimal(price)] = Decimal(size)

    def cut(self, depth):
        self.bids = dict(sorted(self.bids.items(), reverse=True)[:depth])
        self.asks = dict(sorted(self.asks.items())[:depth])

    def sides(self):
        return sorted(self.bids.items(), reverse=True), sorted(self.asks.items())


def assert_same(book, expected):
    assert (book.bids_decimal(), book.asks_decimal()) == expected.sides()


def assert_never_invalid(sync, change):
    """What a strategy would see at each callback."""
    book = sync.book
    assert book.state == BookState.LIVE
    assert book.best_bid_int < book.best_ask_int


def names_of(counts):
    return {name.lstrip("@"): count for name, count in counts.items() if name.startswith("@")}


@pytest.mark.parametrize(
    ("file", "venue", "symbol", "channels"),
    [
        ("binance_spot_btcusdt_20240808", "binance_spot", "BTC-USDT", ["trade", "quote", "book"]),
        ("binance_spot_btcusdt_20240809", "binance_spot", "BTC-USDT", ["trade", "quote", "book"]),
        (
            "binance_usdm_btcusdt_20240808",
            "binance_usdm",
            "BTC-USDT-PERP",
            ["trade.fill", "quote", "book.0ms"],
        ),
    ],
)
def test_every_frame_of_a_binance_recording_decodes(recordings, player, file, venue, symbol, channels):
    name = f"hftbacktest/{file}.ndtext.gz"
    play = player(load_exchange(venue), [symbol], channels)

    for _, payload in recordings.ndtext(name):
        if not payload.startswith(b'{"lastUpdateId"'):
            play.feed(payload)

    assert dict(play.frames) == names_of(recordings.counts(name))
    assert sum(play.events.values()) == sum(play.frames.values())
    assert not play.others


@pytest.mark.parametrize(
    ("file", "venue", "symbol", "channels", "joins", "refreshes"),
    [
        ("binance_spot_btcusdt_20240808", "binance_spot", "BTC-USDT", ["book"], "range", 0),
        # The price falls by most of what the snapshot's 1000 levels cover.
        ("binance_usdm_btcusdt_20240808", "binance_usdm", "BTC-USDT-PERP", ["book.0ms"], "prev", 1),
    ],
)
def test_binance_book_joins_the_snapshot_and_follows(
    recordings, player, file, venue, symbol, channels, joins, refreshes
):
    play = player(load_exchange(venue), [symbol], channels)
    play.after_book.append(assert_never_invalid)
    expected, last_id, pending = DictBook(), None, []

    for _, payload in recordings.ndtext(f"hftbacktest/{file}.ndtext.gz"):
        if payload.startswith(b'{"lastUpdateId"'):
            assert play.feed_snapshot(symbol, payload) != []
            raw = json.loads(payload)
            last_id = raw["lastUpdateId"]
            expected.load(raw["bids"], raw["asks"])
            changes, pending = pending, []
        elif b"@depth" in payload[:40]:
            play.feed(payload)
            changes = [json.loads(payload)["data"]]
        else:
            continue
        for change in changes:
            if last_id is None:
                pending.append(change)
            elif change["u"] > last_id or (joins == "prev" and change["u"] == last_id):
                expected.change(change["b"], change["a"])

    sync = play.sync(symbol)
    assert (sync.gaps, sync.failures, sync.duplicates) == (0, 0, 0)
    assert set(play.actions) - {"REFRESH"} == {"BUFFERED", "APPLIED"}
    assert (sync.book.epoch, sync.refreshes) == (1, refreshes)
    assert_same(sync.book, expected)


def test_binance_spot_continues_across_midnight(recordings, player):
    """The second file has no snapshot of its own: its changes follow the last of the first file."""
    play = player(load_exchange("binance_spot"), ["BTC-USDT"], ["book"])
    for day in ("20240808", "20240809"):
        for _, payload in recordings.ndtext(f"hftbacktest/binance_spot_btcusdt_{day}.ndtext.gz"):
            if payload.startswith(b'{"lastUpdateId"'):
                play.feed_snapshot("BTC-USDT", payload)
            elif b"@depth" in payload[:40]:
                play.feed(payload)

    sync = play.sync("BTC-USDT")

    assert (sync.gaps, sync.failures) == (0, 0)
    assert play.actions["APPLIED"] + play.actions["BUFFERED"] == 3451 + 3044


SESSIONS = [
    (
        "BINANCE",
        "binance_spot",
        ["NKN-USDT", "BLZ-ETH", "LRC-BTC", "RUNE-EUR"],
        ["trade.agg", "quote", "book", "candle"],
    ),
    (
        "BINANCE_FUTURES",
        "binance_usdm",
        ["SUSHI-USDT-PERP", "AKRO-USDT-PERP", "KEEP-USDT-PERP", "CTK-USDT-PERP"],
        ["trade", "quote", "book", "candle"],
    ),
]


@pytest.mark.parametrize(("file", "venue", "symbols", "channels"), SESSIONS)
def test_binance_session_with_rest_snapshots(recordings, player, file, venue, symbols, channels):
    """Frames and REST answers in the order of their times; four books each."""
    name = f"cryptofeed/{file}.ws.1.0.gz"
    exchange = load_exchange(venue)
    play = player(exchange, symbols, channels)
    play.after_book.append(assert_never_invalid)
    natives = {exchange.native_symbol(symbol): symbol for symbol in symbols}
    answers = [(at, url, body) for at, url, body in recordings.answers(f"cryptofeed/{file}.http.0.0.gz")]
    frames = [(at, "", payload) for at, payload in recordings.received(name)]
    books = {native: (DictBook(), []) for native in natives}

    for _, url, text in sorted(answers + frames, key=lambda each: each[0]):
        if url:
            native = url.split("symbol=")[1].split("&")[0]
            play.feed_snapshot(natives[native], text)
            raw = json.loads(text)
            books[native][0].load(raw["bids"], raw["asks"])
            books[native][1].append(raw["lastUpdateId"])
        else:
            play.feed(text)
    for _, _, text in frames:
        data = json.loads(text)["data"]
        if data.get("e") == "depthUpdate":
            book, (snapshot_id, *_) = books[data["s"]]
            if data["u"] > snapshot_id or ("pu" in data and data["u"] == snapshot_id):
                book.change(data["b"], data["a"])

    assert dict(play.frames) == names_of(recordings.counts(name))
    assert sum(play.events.values()) == sum(play.frames.values())
    for native, symbol in natives.items():
        sync = play.sync(symbol)
        assert (sync.gaps, sync.failures, sync.duplicates, sync.error) == (0, 0, 0, None)
        assert_same(sync.book, books[native][0])


OKX_FILE = "cryptofeed/OKX.ws.1.0.gz"
OKX_SYMBOLS = ["BTC-USD-220527", "UNI-USD-PERP", "BTC-USDT"]


def test_okx_books_match_their_checksums_at_every_message(recordings, player):
    play = player(load_exchange("okx"), OKX_SYMBOLS, ["trade", "ticker", "book"])
    play.after_book.append(assert_never_invalid)
    expected = {}

    for _, payload in recordings.received(OKX_FILE):
        play.feed(payload)
        message = json.loads(payload)
        if message.get("action"):
            book = expected.setdefault(message["arg"]["instId"], DictBook())
            data = message["data"][0]
            fill = book.load if message["action"] == "snapshot" else book.change
            if message["action"] == "snapshot":
                data = {side: [row[:2] for row in data[side]] for side in ("bids", "asks")}
            fill(data["bids"], data["asks"])
            book.cut(400)

    counts = recordings.counts(OKX_FILE)
    assert dict(play.frames) == {name: counts[name] for name in ("books", "trades", "tickers")}
    assert dict(play.others) == {"ACK": counts["subscribe"]}
    assert play.actions == {"APPLIED": 290}
    assert sum(sync.checksums for sync in play.syncs.values()) == 290
    for sync in play.syncs.values():
        assert sync.error is None
        assert_same(sync.book, expected[sync.stream.instrument.native])


def test_okx_trades_are_all_delivered(recordings, player):
    """A message may hold several trades."""
    play = player(load_exchange("okx"), OKX_SYMBOLS, ["trade"])
    messages = [json.loads(payload) for _, payload in recordings.received(OKX_FILE)]
    trades = [m for m in messages if m["arg"]["channel"] == "trades" and "data" in m]

    for _, payload in recordings.received(OKX_FILE):
        play.feed(payload)

    assert play.events["trade"] == sum(len(message["data"]) for message in trades) >= 74


def test_one_altered_size_in_an_okx_recording_is_found_by_the_checksum(recordings, player):
    play = player(load_exchange("okx"), ["BTC-USDT"], ["book"])
    play.after_book.append(assert_never_invalid)
    books = [
        p for _, p in recordings.received(OKX_FILE) if b'"books","instId":"BTC-USDT"}' in p and b'"data"' in p
    ]
    sync = play.sync("BTC-USDT")
    for payload in books[:40]:
        play.feed(payload)
    best = sync.book.bids_decimal(1)[0]
    altered = json.loads(books[40])
    altered["data"][0]["bids"].append([str(best[0]), "123.456", "0", "1"])

    play.feed(json.dumps(altered, separators=(",", ":")).encode())

    assert (sync.action.name, sync.book.state.name) == ("NEED_RESUBSCRIBE", "INVALID")
    assert type(sync.error).__name__ == "BookChecksum"
    assert (sync.book.bids_int(), sync.book.asks_int()) == ([], [])


def test_bybit_v5_book_of_500_levels(recordings, player):
    """The public history file: one snapshot, 49 deltas, u rising by one."""
    name = "nautilus/bybit_v5_orderbook500_XRPUSDT_20241201.jsonl.gz"
    play = player(load_exchange("bybit_linear"), ["XRP-USDT-PERP"], ["book.500"])
    play.after_book.append(assert_never_invalid)
    expected, lines = DictBook(), recordings.lines(name)

    for payload in lines:
        play.feed(payload)
        message = json.loads(payload)
        fill = expected.load if message["type"] == "snapshot" else expected.change
        fill(message["data"]["b"], message["data"]["a"])
        expected.cut(500)

    sync = play.sync("XRP-USDT-PERP")
    assert play.actions == {"APPLIED": 50}
    assert (sync.gaps, sync.failures, sync.book.epoch) == (0, 0, 1)
    assert sync.book.last_id == json.loads(lines[-1])["data"]["u"]
    assert_same(sync.book, expected)


def test_retired_bybit_recording_is_not_taken_for_the_current_api(recordings, player):
    """2021: another API; no frame of it may be read as data of a stream we know."""
    play = player(
        load_exchange("bybit_linear"), ["BCH-USDT-PERP", "XTZ-USDT-PERP"], ["trade", "book", "ticker"]
    )

    for _, payload in recordings.received("cryptofeed/BYBIT.ws.25.0.gz"):
        play.feed(payload)

    assert not play.frames
    assert not play.events
    assert play.others["DATA"] == 3260 + 66
    assert sum(play.others.values()) == 3342
