"""Binance's current messages, value by value: as the documents print them and as recorded."""

# Messages stay as long as they are, cut where they read best.
# ruff: noqa: E501, ISC004

import json

import pytest

from connectors import DecodeError, Instrument
from connectors.exchange import Kind
from connectors.registry import load_exchange

MS = 1_000_000


def framed(stream, data):
    return f'{{"stream":"{stream}","data":{data}}}'


SPOT = [
    (
        "trade", "BNB-BTC",
        '{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100","T":1672515782137,"m":true,"M":true}',
        {"price": "0.001", "size": "100", "side": -1, "id": 12345, "count": 1, "ns": 1672515782137 * MS},
    ),
    (
        "trade.agg", "NKN-USDT",
        '{"e":"aggTrade","E":1633998523963,"s":"NKNUSDT","a":15683430,"p":"0.35280000","q":"58.00000000",'
        '"f":19862790,"l":19862792,"T":1633998523962,"m":false,"M":true}',
        {"price": "0.3528", "size": "58", "side": 1, "id": 15683430, "count": 3, "ns": 1633998523962 * MS},
    ),
    (
        "quote", "BNB-USDT",
        '{"u":400900217,"s":"BNBUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}',
        {"bid": ("25.3519", "31.21"), "ask": ("25.3652", "40.66"), "id": 400900217, "ns": 0},
    ),
    (
        "book.5", "BNB-BTC",
        '{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}',
        {"full": True, "bids": [("0.0024", "10")], "asks": [("0.0026", "100")], "ids": (None, 160, None),
         "checksum": None, "ns": 0},
    ),
    (
        "book", "NKN-USDT",
        '{"e":"depthUpdate","E":1633998512068,"s":"NKNUSDT","U":499869750,"u":499869752,'
        '"b":[["0.35130000","6195.00000000"],["0.34750000","0.00000000"]],"a":[]}',
        {"full": False, "bids": [("0.3513", "6195"), ("0.3475", "0")], "asks": [],
         "ids": (499869750, 499869752, None), "checksum": None, "ns": 1633998512068 * MS},
    ),
    (
        "candle", "NKN-USDT",
        '{"e":"kline","E":1633998523963,"s":"NKNUSDT","k":{"t":1633998480000,"T":1633998539999,"s":"NKNUSDT",'
        '"i":"1m","f":19862761,"L":19862790,"o":"0.35270000","c":"0.35280000","h":"0.35290000","l":"0.35220000",'
        '"v":"25877.00000000","n":30,"x":false,"q":"9116.04600000","V":"58.00000000","Q":"20.46240000","B":"0"}}',
        {"interval": "1m", "open_ns": 1633998480000 * MS, "close_ns": 1633998540000 * MS,
         "ohlc": ("0.3527", "0.3529", "0.3522", "0.3528"), "volume": 25877.0, "turnover": 9116.046, "count": 30,
         "closed": False, "ns": 1633998523963 * MS},
    ),
    (
        "ticker", "BNB-BTC",
        '{"e":"24hrTicker","E":1672515782136,"s":"BNBBTC","p":"0.0015","P":"250.00","w":"0.0018","x":"0.0009",'
        '"c":"0.0025","Q":"10","b":"0.0024","B":"11","a":"0.0026","A":"100","o":"0.0010","h":"0.0027","l":"0.0008",'
        '"v":"10000","q":"18","O":0,"C":86400000,"F":0,"L":18150,"n":18151}',
        {"last": "0.0025", "last_size": "10", "bid": "0.0024", "bid_size": "11", "ask": "0.0026", "ask_size": "100",
         "open": "0.001", "high": "0.0027", "low": "0.0008", "volume": 10000.0, "turnover": 18.0,
         "open_interest": None, "ns": 1672515782136 * MS},
    ),
    (
        "ticker.mini", "BNB-BTC",
        '{"e":"24hrMiniTicker","E":1672515782136,"s":"BNBBTC","c":"0.0025","o":"0.0010","h":"0.0026","l":"0.0009",'
        '"v":"10000","q":"18"}',
        {"last": "0.0025", "open": "0.001", "high": "0.0026", "low": "0.0009", "volume": 10000.0, "turnover": 18.0,
         "open_interest": None, "ns": 1672515782136 * MS},
    ),
]  # fmt: skip

USDM = [
    (
        "trade", "CTK-USDT-PERP",
        '{"e":"aggTrade","E":1626992741575,"s":"CTKUSDT","a":16599292,"p":"1.01100","q":"10","nq":"10",'
        '"f":23961322,"l":23961322,"T":1626992741421,"m":false,"st":1}',
        {"price": "1.011", "size": "10", "side": 1, "id": 16599292, "count": 1, "ns": 1626992741421 * MS},
    ),
    (
        "trade.fill", "BTC-USDT-PERP",
        '{"e":"trade","E":1723161256322,"T":1723161256321,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006",'
        '"X":"MARKET","m":true}',
        {"price": "61800.3", "size": "0.006", "side": -1, "id": 5266583935, "count": 1, "ns": 1723161256321 * MS},
    ),
    (
        "quote", "SUSHI-USDT-PERP",
        '{"e":"bookTicker","u":600859600576,"s":"SUSHIUSDT","ps":"SUSHIUSDT","b":"7.6110","B":"2","a":"7.6120",'
        '"A":"297","T":1626992741012,"E":1626992741017,"st":1}',
        {"bid": ("7.611", "2"), "ask": ("7.612", "297"), "id": 600859600576, "ns": 1626992741012 * MS},
    ),
    (
        "book", "SUSHI-USDT-PERP",
        '{"e":"depthUpdate","E":1626992741037,"T":1626992741024,"s":"SUSHIUSDT","U":600859599090,"u":600859600917,'
        '"pu":600859598061,"b":[["7.5040","813"],["7.6090","0"]],"a":[["7.6150","1563"]],"ps":"SUSHIUSDT","st":1}',
        {"full": False, "bids": [("7.504", "813"), ("7.609", "0")], "asks": [("7.615", "1563")],
         "ids": (600859599090, 600859600917, 600859598061), "checksum": None, "ns": 1626992741024 * MS},
    ),
    (
        "book.20", "BTC-USDT-PERP",
        '{"e":"depthUpdate","s":"BTCUSDT","U":11493080425500,"u":11493080433094,"pu":11493080425283,'
        '"E":1788746280299,"T":1788746280297,"b":[["79909.30","23.163"]],"a":[["79909.40","4.611"]]}',
        {"full": True, "bids": [("79909.3", "23.163")], "asks": [("79909.4", "4.611")],
         "ids": (11493080425500, 11493080433094, 11493080425283), "checksum": None, "ns": 1788746280297 * MS},
    ),
    (
        "candle", "CTK-USDT-PERP",
        '{"e":"kline","E":1626992741424,"s":"CTKUSDT","k":{"t":1626992700000,"T":1626992759999,"s":"CTKUSDT",'
        '"i":"1m","f":23961275,"L":23961322,"o":"1.01000","c":"1.01100","h":"1.01200","l":"1.00900","v":"3917",'
        '"n":48,"x":true,"q":"3957.89900","V":"1729","Q":"1748.01900","B":"0"}}',
        {"interval": "1m", "open_ns": 1626992700000 * MS, "close_ns": 1626992760000 * MS,
         "ohlc": ("1.01", "1.012", "1.009", "1.011"), "volume": 3917.0, "turnover": 3957.899, "count": 48,
         "closed": True, "ns": 1626992741424 * MS},
    ),
    (
        "ticker", "BTC-USDT-PERP",
        '{"e":"24hrTicker","E":123456789,"s":"BTCUSDT","p":"0.0015","P":"250.00","w":"0.0018","c":"0.0025","Q":"10",'
        '"o":"0.0010","h":"0.0026","l":"0.0009","v":"10000","q":"18","O":0,"C":86400000,"F":0,"L":18150,"n":18151,'
        '"ps":"BTCUSDT","st":1}',
        {"last": "0.0025", "last_size": "10", "open": "0.001", "high": "0.0026", "low": "0.0009", "volume": 10000.0,
         "turnover": 18.0, "open_interest": None, "ns": 123456789 * MS},
    ),
    (
        "funding", "BTC-USDT-PERP",
        '{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","i":"11784.62659091",'
        '"P":"11784.25641265","r":"0.00038167","ap":"11794.00000000","T":1562306400000,"st":1}',
        {"rate": "0.00038167", "next_ns": 1562306400000 * MS, "interval_ns": 0, "mark": 11794.15,
         "index": 11784.62659091, "ns": 1562305380000 * MS},
    ),
    (
        "liquidation", "BTC-USDT-PERP",
        '{"e":"forceOrder","E":1568014460893,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014",'
        '"p":"9911","ap":"9910","X":"FILLED","l":"0.014","z":"0.014","T":1568014460892},"ps":"BTCUSDT","st":1}',
        {"price": "9910", "size": "0.014", "side": -1, "ns": 1568014460892 * MS},
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("venue", "channel", "symbol", "data", "expected"),
    [("binance_spot", *row) for row in SPOT] + [("binance_usdm", *row) for row in USDM],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else "",
)
def test_message_of_the_documents(decode, venue, channel, symbol, data, expected):
    assert decode(venue, channel, symbol, framed("any@stream", data)).told() == [expected]


FIXTURES = {
    "ws_futures_book_ticker": (
        "binance_usdm", "quote", "BNB-USDT-PERP",
        {"bid": ("25.3519", "31.21"), "ask": ("25.3652", "40.66"), "id": 400900217, "ns": 1568014460891 * MS},
    ),
    "ws_futures_depth_diff_update": (
        "binance_usdm", "book", "BTC-USDT-PERP",
        {"full": False, "bids": [("0.0024", "10")], "asks": [("0.0026", "100")], "ids": (157, 160, 149),
         "checksum": None, "ns": 123456788 * MS},
    ),
    "ws_futures_depth_update": (
        "binance_usdm", "book.5", "BTC-USDT-PERP",
        {"full": True,
         "bids": [("7403.89", "0.002"), ("7403.9", "3.906"), ("7404", "1.428"), ("7404.85", "5.239"),
                  ("7405.43", "2.562")],
         "asks": [("7405.96", "3.34"), ("7406.63", "4.525"), ("7407.08", "2.475"), ("7407.15", "4.8"),
                  ("7407.2", "0.175")],
         "ids": (390497796, 390497878, 390497794), "checksum": None, "ns": 1571889248276 * MS},
    ),
    "ws_futures_ticker_24hr": (
        "binance_usdm", "ticker", "BTC-USDT-PERP",
        {"last": "0.0025", "last_size": "10", "open": "0.001", "high": "0.0025", "low": "0.001", "volume": 10000.0,
         "turnover": 18.0, "open_interest": None, "ns": 123456789 * MS},
    ),
    "ws_spot_agg_trade": (
        "binance_spot", "trade.agg", "ETH-USDT",
        {"price": "1632.46", "size": "0.34305", "side": 1, "id": 226532, "count": 1, "ns": 1675759520847 * MS},
    ),
    "ws_spot_ticker_24hr": (
        "binance_spot", "ticker", "BNB-BTC",
        {"last": "0.0025", "last_size": "10", "bid": "0.0024", "bid_size": "10", "ask": "0.0026", "ask_size": "100",
         "open": "0.001", "high": "0.0025", "low": "0.001", "volume": 10000.0, "turnover": 18.0,
         "open_interest": None, "ns": 123456789 * MS},
    ),
    "ws_spot_ticker_book": (
        "binance_spot", "quote", "ETH-USDT",
        {"bid": ("4507.24", "2.3595"), "ask": ("4507.25", "2.8457"), "id": 12711621188, "ns": 1646199228121 * MS},
    ),
    "ws_spot_trade": (
        "binance_spot", "trade", "ETH-USDT",
        {"price": "4149.74", "size": "0.4387", "side": -1, "id": 705291099, "count": 1, "ns": 1639351062243 * MS},
    ),
}  # fmt: skip


@pytest.mark.captures
def test_every_fixture_message(recordings, decode):
    messages = recordings.fixtures("binance_ws_fixtures.jsonl")

    assert messages.keys() == FIXTURES.keys()
    for name, message in messages.items():
        venue, channel, symbol, expected = FIXTURES[name]
        frame = message if "stream" in message else {"stream": "any@stream", "data": message}
        assert decode(venue, channel, symbol, frame).told() == [expected], name


@pytest.mark.parametrize(
    ("text", "kind", "fields"),
    [
        ('{"result":null,"id":1}', Kind.ACK, {"request_id": 1}),
        ('{"result":["btcusdt@aggTrade"],"id":3}', Kind.ACK, {"request_id": 3}),
        ('{"result":null,"id":"12"}', Kind.ACK, {"request_id": 12}),
        (
            '{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}',
            Kind.ERROR,
            {"request_id": None, "code": "3", "text": "Invalid JSON: expected value at line 1 column 1"},
        ),
        (
            '{"error":{"code":2,"msg":"Invalid request"},"id":7}',
            Kind.ERROR,
            {"request_id": 7, "code": "2", "text": "Invalid request"},
        ),
        ('{"e":"serverShutdown","E":1770123456789}', Kind.NOTICE, {"code": "serverShutdown"}),
        (
            '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
            Kind.NOTICE,
            {"code": "serverShutdown"},
        ),
        ('{"data":{},"stream":"btcusdt@trade"}', Kind.DATA, {"key": b"btcusdt@trade"}),
        ("[1]", Kind.UNKNOWN, {}),
        ("{nonsense", Kind.UNKNOWN, {}),
    ],
)
@pytest.mark.parametrize("venue", ["binance_spot", "binance_usdm"])
def test_frames_that_are_no_data(venue, text, kind, fields):
    inbound = load_exchange(venue).classify(memoryview(text.encode()))

    assert inbound.kind == kind
    assert {name: getattr(inbound, name) for name in fields} == fields


@pytest.mark.parametrize(
    ("venue", "channel", "symbol", "body", "expected"),
    [
        (
            "binance_spot", "book", "BNB-BTC",
            '{"lastUpdateId":1027024,"bids":[["4.00000000","431.00000000"]],"asks":[["4.00000200","12.00000000"]]}',
            {"full": True, "bids": [("4", "431")], "asks": [("4.000002", "12")], "ids": (None, 1027024, None),
             "checksum": None, "ns": 0},
        ),
        (
            "binance_usdm", "book", "SUSHI-USDT-PERP",
            '{"lastUpdateId":600859605926,"E":1626992741264,"T":1626992741261,"bids":[["7.6110","6"]],'
            '"asks":[["7.6120","297"]]}',
            {"full": True, "bids": [("7.611", "6")], "asks": [("7.612", "297")], "ids": (None, 600859605926, None),
             "checksum": None, "ns": 1626992741261 * MS},
        ),
    ],
)  # fmt: skip
def test_rest_snapshot(collector, venue, channel, symbol, body, expected):
    exchange = load_exchange(venue)
    from connectors import Channel

    stream = exchange.stream(Channel.parse(channel), exchange.instrument(symbol))
    collector.stream = stream

    exchange.parse_snapshot(stream, body.encode(), collector)

    assert collector.told() == [expected]
    with pytest.raises(DecodeError, match="Invalid symbol"):
        exchange.parse_snapshot(stream, b'{"code":-1121,"msg":"Invalid symbol."}', collector)


SYMBOL = (
    '{"symbol":"BTCUSDT","status":"TRADING","baseAsset":"BTC","quoteAsset":"USDT","isSpotTradingAllowed":true,'
    '"filters":[{"filterType":"PRICE_FILTER","minPrice":"0.01000000","tickSize":"0.01000000"},'
    '{"filterType":"LOT_SIZE","minQty":"0.00001000","stepSize":"0.00001000"}]}'
)


def described(instrument: Instrument):
    return (instrument.symbol, instrument.native, instrument.kind, str(instrument.price_tick.normalize()))


def test_instrument_list_of_spot():
    exchange = load_exchange("binance_spot")
    halted = SYMBOL.replace("TRADING", "HALT").replace("BTCUSDT", "ETHUSDT")

    (instrument,) = exchange.parse_instruments(f'{{"symbols":[{SYMBOL},{halted}]}}'.encode())

    assert described(instrument) == ("BTC-USDT", "BTCUSDT", "spot", "0.01")
    assert exchange.instrument("BTC-USDT", {"BTCUSDT": instrument}) is instrument
    assert (instrument.price_scale, instrument.size_scale, instrument.is_scale_known) == (8, 8, True)


@pytest.mark.captures
@pytest.mark.parametrize(
    ("venue", "file", "some"),
    [
        ("binance_spot", "BINANCE.0.gz", ("NKN-USDT", "NKNUSDT", "spot", "0.0001")),
        ("binance_usdm", "BINANCE_FUTURES.0.gz", ("BTC-USDT-PERP", "BTCUSDT", "perp", "0.01")),
        ("binance_usdm", "BINANCE_FUTURES.0.gz", ("BTC-USDT-210924", "BTCUSDT_210924", "future", "0.1")),
    ],
)
def test_recorded_instrument_list(recordings, venue, file, some):
    """Every symbol that trades is listed, and its unified name leads back to it."""
    exchange = load_exchange(venue)
    ((_, _, body), *_) = recordings.answers(f"cryptofeed/{file}")

    instruments = {each.native: each for each in exchange.parse_instruments(body)}

    trading = {each["symbol"] for each in json.loads(body)["symbols"] if each["status"] == "TRADING"}
    assert instruments.keys() == trading
    assert all(exchange.native_symbol(each.symbol) == native for native, each in instruments.items())
    assert described(instruments[some[1]]) == some
