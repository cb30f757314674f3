"""Bybit v5's current messages, value by value: as the documents print them and as recorded."""

# Messages stay as long as they are, cut where they read best.
# ruff: noqa: E501, ISC004

import json

import pytest

from connectors import Channel, DecodeError
from connectors.exchange import HttpGet, Kind
from connectors.registry import load_exchange

MS = 1_000_000
HOUR = 3_600_000 * MS

LINEAR_TICKER = (
    '{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","tickDirection":"MinusTick",'
    '"price24hPcnt":"-0.158315","lastPrice":"66666.60","prevPrice24h":"79206.20","highPrice24h":"79266.30",'
    '"lowPrice24h":"65076.90","prevPrice1h":"66666.60","markPrice":"66666.61","indexPrice":"115418.19",'
    '"openInterest":"492373.72","openInterestValue":"32824881841.75","turnover24h":"4936790807.6521",'
    '"volume24h":"73191.3870","fundingIntervalHour":"8","fundingCap":"0.005","nextFundingTime":"1760342400000",'
    '"fundingRate":"-0.005","bid1Price":"66666.60","bid1Size":"23789.165","ask1Price":"66666.70",'
    '"ask1Size":"23775.469","preOpenPrice":"","preQty":"","curPreListingPhase":""},"cs":9532239429,'
    '"ts":1760325052630}'
)
LINEAR_DELTA = (
    '{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","bid1Price":"66666.50",'
    '"bid1Size":"1.200"},"cs":9532239430,"ts":1760325052730}'
)
TICKER = {
    "last": "66666.6", "bid": "66666.6", "bid_size": "23789.165", "ask": "66666.7", "ask_size": "23775.469",
    "open": "79206.2", "high": "79266.3", "low": "65076.9", "mark": "66666.61", "index": "115418.19",
    "volume": 73191.387, "turnover": 4936790807.6521, "open_interest": 492373.72, "ns": 1760325052630 * MS,
}  # fmt: skip

DOCUMENTED = [
    (
        "bybit_linear", "trade", "BTC-USDT-PERP",
        '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{"T":1672304486865,'
        '"s":"BTCUSDT","S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick",'
        '"i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false,"RPI":false,"seq":1783284617}]}',
        [{"price": "16578.5", "size": "0.001", "side": 1, "id": "20f43950-d8dd-5b31-9112-a178eb6023af", "count": 1,
          "ns": 1672304486865 * MS}],
    ),
    (
        "bybit_linear", "book", "BTC-USDT-PERP",
        '{"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1672304484978,"data":{"s":"BTCUSDT","b":[["16493.50",'
        '"0.006"],["16493.00","0.100"]],"a":[["16611.00","0.029"],["16612.00","0.213"]],"u":18521288,'
        '"seq":7961638724},"cts":1672304484976}',
        [{"full": True, "bids": [("16493.5", "0.006"), ("16493", "0.1")],
          "asks": [("16611", "0.029"), ("16612", "0.213")], "ids": (None, 18521288, None), "checksum": None,
          "ns": 1672304484976 * MS}],
    ),
    (
        "bybit_linear", "book", "BTC-USDT-PERP",
        '{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1687940967466,"data":{"s":"BTCUSDT","b":[["30247.20",'
        '"30.028"],["30240.00","0"]],"a":[["30248.70","0"],["30249.30","0.892"]],"u":177400507,"seq":66544703342},'
        '"cts":1687940967464}',
        [{"full": False, "bids": [("30247.2", "30.028"), ("30240", "0")], "asks": [("30248.7", "0"),
          ("30249.3", "0.892")], "ids": (None, 177400507, None), "checksum": None, "ns": 1687940967464 * MS}],
    ),
    (
        "bybit_spot", "book", "BTC-USDT",  # spot puts ts first and has no cts; u = 1 is a restart
        '{"topic":"orderbook.50.BTCUSDT","ts":1687940967466,"type":"delta","data":{"s":"BTCUSDT","b":[],"a":[],'
        '"u":1,"seq":1}}',
        [{"full": True, "bids": [], "asks": [], "ids": (None, 1, None), "checksum": None,
          "ns": 1687940967466 * MS}],
    ),
    ("bybit_linear", "ticker", "BTC-USDT-PERP", LINEAR_TICKER, [TICKER]),
    (
        "bybit_linear", "funding", "BTC-USDT-PERP", LINEAR_TICKER,
        [{"rate": "-0.005", "next_ns": 1760342400000 * MS, "interval_ns": 8 * HOUR, "mark": 66666.61,
          "index": 115418.19, "ns": 1760325052630 * MS}],
    ),
    (
        "bybit_spot", "ticker", "BTC-USDT",
        '{"topic":"tickers.BTCUSDT","ts":1673853746003,"type":"snapshot","cs":2588407389,"data":{"symbol":"BTCUSDT",'
        '"lastPrice":"21109.77","highPrice24h":"21426.99","lowPrice24h":"20575","prevPrice24h":"20704.93",'
        '"volume24h":"6780.866843","turnover24h":"141946527.22907118","price24hPcnt":"0.0196",'
        '"usdIndexPrice":"21120.2400136"}}',
        [{"last": "21109.77", "high": "21426.99", "low": "20575", "open": "20704.93", "index": "21120.2400136",
          "volume": 6780.866843, "turnover": 141946527.22907118, "open_interest": None,
          "ns": 1673853746003 * MS}],
    ),
    (
        "bybit_linear", "candle.5m", "BTC-USDT-PERP",
        '{"topic":"kline.5.BTCUSDT","data":[{"start":1672324800000,"end":1672325099999,"interval":"5",'
        '"open":"16649.5","close":"16677","high":"16678","low":"16608","volume":"2.081","turnover":"34666.4005",'
        '"confirm":false,"timestamp":1672324988882}],"ts":1672324988883,"type":"snapshot"}',
        [{"interval": "5m", "open_ns": 1672324800000 * MS, "close_ns": 1672325100000 * MS,
          "ohlc": ("16649.5", "16678", "16608", "16677"), "volume": 2.081, "turnover": 34666.4005, "count": 0,
          "closed": False, "ns": 1672324988882 * MS}],
    ),
    (
        "bybit_linear", "liquidation", "ROSE-USDT-PERP",  # Sell: the position; a short was closed by buying
        '{"topic":"allLiquidation.ROSEUSDT","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,'
        '"s":"ROSEUSDT","S":"Sell","v":"20000","p":"0.04499"}]}',
        [{"price": "0.04499", "size": "20000", "side": 1, "ns": 1739502302929 * MS}],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("venue", "channel", "symbol", "message", "expected"),
    DOCUMENTED,
    ids=[f"{row[0]}-{row[1]}" for row in DOCUMENTED],
)
def test_message_of_the_documents(decode, venue, channel, symbol, message, expected):
    assert decode(venue, channel, symbol, message).told() == expected


def test_a_missing_field_of_a_delta_is_unchanged(decode):
    decode("bybit_linear", "ticker", "BTC-USDT-PERP", LINEAR_TICKER)

    (ticker,) = decode("bybit_linear", "ticker", "BTC-USDT-PERP", LINEAR_DELTA).told()

    assert ticker == {**TICKER, "bid": "66666.5", "bid_size": "1.2", "ns": 1760325052730 * MS}


def test_funding_is_told_only_when_one_of_its_fields_comes(decode):
    decode("bybit_linear", "funding", "BTC-USDT-PERP", LINEAR_TICKER)

    assert decode("bybit_linear", "funding", "BTC-USDT-PERP", LINEAR_DELTA).told() == []
    changed = LINEAR_DELTA.replace("bid1Price", "fundingRate").replace("66666.50", "0.0002")
    (funding,) = decode("bybit_linear", "funding", "BTC-USDT-PERP", changed).told()
    assert (funding["rate"], funding["interval_ns"], funding["mark"]) == ("0.0002", 8 * HOUR, 66666.61)


@pytest.mark.parametrize("channel", ["ticker", "funding"])
def test_a_delta_before_the_snapshot_is_an_error(decode, channel):
    with pytest.raises(DecodeError, match="snapshot first"):
        decode("bybit_linear", channel, "BTC-USDT-PERP", LINEAR_DELTA)


def level1(kind, bids, asks, u):
    data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": u, "seq": 1}
    return {"topic": "orderbook.1.BTCUSDT", "type": kind, "ts": 1709891679000, "data": data}


def test_level_one_deltas_of_older_recordings_are_joined(decode):
    def quote(kind, bids, asks, u):
        (told,) = decode("bybit_linear", "quote", "BTC-USDT-PERP", level1(kind, bids, asks, u)).told()
        return told["bid"], told["ask"], told["id"]

    assert quote("snapshot", [["10", "1"]], [["11", "2"]], 5) == (("10", "1"), ("11", "2"), 5)
    assert quote("delta", [["10", "3"]], [], 6) == (("10", "3"), ("11", "2"), 6)
    assert quote("delta", [["10", "0"], ["9.5", "4"]], [], 7) == (("9.5", "4"), ("11", "2"), 7)
    assert quote("delta", [["9.4", "0"]], [["11", "0"]], 8) == (("9.5", "4"), (None, None), 8)
    assert quote("snapshot", [], [["12", "1"]], 9) == ((None, None), ("12", "1"), 9)


FIXTURES = {
    "ws_kline": ("candle.5m", None, DOCUMENTED[7][4][0] | {"ohlc": ("16649.5", "16677", "16608", "16677")}),
    "ws_orderbook_delta": (
        "book", None,
        {"full": False, "bids": [("27450", "0.4")], "asks": [("27451", "0")], "ids": (None, 123456790, None),
         "checksum": None, "ns": 1709891679500 * MS},
    ),
    "ws_orderbook_snapshot": (
        "book", None,
        {"full": True, "bids": [("27450", "0.5"), ("27449.5", "1")], "asks": [("27451", "0.75"), ("27451.5", "0.9")],
         "ids": (None, 123456789, None), "checksum": None, "ns": 1709891679000 * MS},
    ),
    "ws_public_trade": (
        "trade", "trade.linear",  # the fixture's topic is not one of v5; its data are
        {"price": "27451", "size": "0.01", "side": 1, "id": "9dc75fca-4bdd-4773-9f78-6f5d7ab2a110", "count": 1,
         "ns": 1709891679000 * MS},
    ),
    "ws_ticker_linear": (
        "ticker", None,
        {"last": "17216", "bid": "17215.5", "bid_size": "84.489", "ask": "17216", "ask_size": "83.02",
         "open": "16926.5", "high": "17281.5", "low": "16915", "mark": "17217.33", "index": "17227.36",
         "volume": 91705.276, "turnover": 1570383121.943499, "open_interest": 68744.761,
         "ns": 1673272861686 * MS},
    ),
}  # fmt: skip
ACKS = {"ws_subscription_ack": Kind.ACK, "ws_subscription_failure": Kind.ERROR}
RAW_ONLY = {"ws_ticker_option"}  # options are not among our products


@pytest.mark.captures
def test_every_fixture_message(recordings, decode):
    messages = recordings.fixtures("bybit_ws_fixtures.jsonl")
    classify = load_exchange("bybit_linear").classify

    assert messages.keys() == FIXTURES.keys() | ACKS.keys() | RAW_ONLY
    for name, (channel, override, expected) in FIXTURES.items():
        told = decode("bybit_linear", channel, "BTC-USDT-PERP", messages[name], name=override).told()
        assert told == [expected], name
    for name, kind in ACKS.items():
        assert classify(json.dumps(messages[name]).encode()).kind == kind
    option = classify(json.dumps(messages["ws_ticker_option"]).encode())
    assert (option.kind, option.key) == (Kind.DATA, b"tickers.BTC-6JAN23-17500-C")


@pytest.mark.parametrize(
    ("text", "kind", "fields"),
    [
        ('{"success":true,"ret_msg":"pong","conn_id":"0970","op":"ping"}', Kind.PONG, {"request_id": None}),
        (
            '{"success":true,"ret_msg":"pong","conn_id":"4657","req_id":"17","op":"ping"}',
            Kind.PONG,
            {"request_id": 17},
        ),
        ('{"args":["1672916271846"],"op":"pong"}', Kind.PONG, {}),
        (
            '{"success":true,"ret_msg":"subscribe","conn_id":"2324","req_id":"10001","op":"subscribe"}',
            Kind.ACK,
            {"request_id": 10001, "is_unsubscribe": False},
        ),
        (
            '{"success":true,"ret_msg":"","conn_id":"3cd8","req_id":"","op":"subscribe"}',
            Kind.ACK,
            {"request_id": None},
        ),
        (
            '{"success":true,"ret_msg":"","conn_id":"3cd8","req_id":"9","op":"unsubscribe"}',
            Kind.ACK,
            {"request_id": 9, "is_unsubscribe": True},
        ),
        (
            '{"success":false,"ret_msg":"args size \\u003e10","conn_id":"d7u3","req_id":"2000001","op":"subscribe"}',
            Kind.ERROR,
            {"request_id": 2000001, "text": "args size >10", "topics": ()},
        ),
        (
            '{"success":false,"ret_msg":"Invalid topic: invalid.topic.BTCUSDT","conn_id":"cejr","op":"subscribe"}',
            Kind.ERROR,
            {"request_id": None, "topics": ("invalid.topic.BTCUSDT",)},
        ),
        (
            '{"success":true,"conn_id":"aa01","data":{"failTopics":[],"successTopics":["orderbook.100.X"]},'
            '"type":"COMMAND_RESP"}',
            Kind.ACK,
            {},
        ),
        (
            '{"success":false,"conn_id":"aa01","data":{"failTopics":["a.b"],"successTopics":[]},'
            '"type":"COMMAND_RESP"}',
            Kind.ERROR,
            {"topics": ("a.b",)},
        ),
        ('{"type":"delta","topic":"tickers.X","data":{}}', Kind.DATA, {"key": b"tickers.X"}),
        ("nonsense", Kind.UNKNOWN, {}),
    ],
)
@pytest.mark.parametrize("venue", ["bybit_spot", "bybit_linear"])
def test_frames_that_are_no_data(venue, text, kind, fields):
    inbound = load_exchange(venue).classify(memoryview(text.encode()))

    assert inbound.kind == kind
    assert {name: getattr(inbound, name) for name in fields} == fields


def test_the_pongs_of_our_products_are_known_by_their_first_bytes():
    for venue in ("bybit_spot", "bybit_linear"):
        (start,) = load_exchange(venue).facts.frames.pong
        assert '{"success":true,"ret_msg":"pong","conn_id":"0970","op":"ping"}'.startswith(start)
        assert not '{"success":true,"ret_msg":"","conn_id":"0970","op":"subscribe"}'.startswith(start)


def test_spot_requests_hold_at_most_ten_topics():
    exchange = load_exchange("bybit_spot")
    instruments = [exchange.instrument(f"{base}-USDT") for base in "ABCDEFGHIJKLM"]
    streams = [exchange.stream(Channel.parse("trade"), each) for each in instruments]

    assert [len(batch) for batch in exchange.batches(streams)] == [10, 3]


@pytest.mark.parametrize(
    ("symbol", "native"),
    [
        ("BTC-USDT-PERP", "BTCUSDT"),
        ("BTC-USDC-PERP", "BTCPERP"),
        ("BTC-USDT-251226", "BTCUSDT-26DEC25"),
        ("BTC-USDC-260102", "BTC-2JAN26"),
    ],
)
def test_linear_symbols(symbol, native):
    assert load_exchange("bybit_linear").native_symbol(symbol) == native


LISTING = (
    '{"symbol":"BTCUSDT","contractType":"LinearPerpetual","status":"Trading","baseCoin":"BTC","quoteCoin":"USDT",'
    '"settleCoin":"USDT","priceScale":"2","priceFilter":{"minPrice":"0.10","maxPrice":"1999999.80",'
    '"tickSize":"0.10"},"lotSizeFilter":{"maxOrderQty":"1190.000","minOrderQty":"0.001","qtyStep":"0.001",'
    '"minNotionalValue":"5"},"fundingInterval":480}'
)


def answer(*listings, cursor=""):
    page = f'{{"category":"linear","list":[{",".join(listings)}],"nextPageCursor":"{cursor}"}}'
    return f'{{"retCode":0,"retMsg":"OK","result":{page}}}'.encode()


def test_instrument_list_comes_in_pages():
    exchange = load_exchange("bybit_linear")
    dated = LISTING.replace('"BTCUSDT"', '"BTCUSDT-26DEC25"').replace("LinearPerpetual", "LinearFutures")
    body = answer(LISTING, dated, LISTING.replace("Trading", "Closed"), cursor="page%3D2")
    request = HttpGet("https://api.example/v5/market/instruments-info?category=linear")

    perp, future = exchange.parse_instruments(body)

    assert (perp.symbol, perp.native, str(perp.price_tick), perp.kind) == (
        "BTC-USDT-PERP",
        "BTCUSDT",
        "0.10",
        "perp",
    )
    assert (future.symbol, future.native) == ("BTC-USDT-251226", "BTCUSDT-26DEC25")
    second = exchange.next_instruments(request, body)
    assert second is not None
    assert second.url == request.url + "&cursor=page%3D2"
    assert exchange.next_instruments(second, answer(LISTING)) is None
    third = exchange.next_instruments(second, answer(LISTING, cursor="x"))
    assert third is not None
    assert third.url == request.url + "&cursor=x"


def test_spot_list_has_its_step_elsewhere():
    exchange = load_exchange("bybit_spot")
    lots = (
        '"lotSizeFilter":{"basePrecision":"0.000001","quotePrecision":"0.00000001","minOrderQty":"0.000048"}'
    )
    listing = LISTING[: LISTING.index('"lotSizeFilter"')] + lots + "}"

    (spot,) = exchange.parse_instruments(answer(listing))

    assert (spot.symbol, str(spot.size_step), spot.kind) == ("BTC-USDT", "0.000001", "spot")
    with pytest.raises(DecodeError, match="10001"):
        exchange.parse_instruments(b'{"retCode":10001,"retMsg":"params error","result":{}}')
