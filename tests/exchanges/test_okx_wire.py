"""OKX's current messages, value by value: as the documents print them and as recorded."""

# Messages stay as long as they are, cut where they read best.
# ruff: noqa: E501, ISC004

import json
from decimal import Decimal

import pytest

from connectors import Channel, DecodeError
from connectors.exchange import Kind
from connectors.registry import load_exchange

MS = 1_000_000

DOCUMENTED = [
    (
        "trade", "BTC-USDT-PERP",
        '{"arg":{"channel":"trades","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP",'
        '"tradeId":"2005639579","px":"91467.1","sz":"0.03","side":"sell","ts":"1765201257145","count":"1",'
        '"source":"0","seqId":279183506666}]}',
        [{"price": "91467.1", "size": "0.03", "side": -1, "id": 2005639579, "count": 1, "ns": 1765201257145 * MS}],
    ),
    (
        "quote", "LTC-USDC",
        '{"arg":{"channel":"bbo-tbt","instId":"LTC-USDC"},"data":[{"asks":[["83.81","11.93175","0","1"]],'
        '"bids":[["83.8","11.93317","0","1"]],"ts":"1765201257149","seqId":378617009}]}',
        [{"bid": ("83.8", "11.93317"), "ask": ("83.81", "11.93175"), "id": 378617009, "ns": 1765201257149 * MS}],
    ),
    (
        "quote", "LTC-USDC",  # a side may be empty
        '{"arg":{"channel":"bbo-tbt","instId":"LTC-USDC"},"data":[{"asks":[],"bids":[["83.8","1","0","1"]],'
        '"ts":"1765201257149"}]}',
        [{"bid": ("83.8", "1"), "ask": (None, None), "id": None, "ns": 1765201257149 * MS}],
    ),
    (
        "book", "NEAR-USDT",
        '{"arg":{"channel":"books","instId":"NEAR-USDT"},"action":"snapshot","data":[{"asks":[["1.783",'
        '"411.15719291","0","3"],["1.784","5842.06737585","0","13"]],"bids":[["1.782","2173.46443964","0","8"],'
        '["1.781","14620.34390321","0","30"]],"ts":"1765201257005","checksum":-1197821412,"seqId":9690930615,'
        '"prevSeqId":-1}]}',
        [{"full": True, "bids": [("1.782", "2173.46443964"), ("1.781", "14620.34390321")],
          "asks": [("1.783", "411.15719291"), ("1.784", "5842.06737585")], "ids": (None, 9690930615, -1),
          "checksum": -1197821412, "ns": 1765201257005 * MS}],
    ),
    (
        "book", "NEAR-USDT",
        '{"arg":{"channel":"books","instId":"NEAR-USDT"},"action":"update","data":[{"asks":[],"bids":[["1.781",'
        '"14694.07509503","0","31"],["1.78","0","0","0"]],"ts":"1765201257205","checksum":0,"seqId":9690930617,'
        '"prevSeqId":9690930615}]}',
        [{"full": False, "bids": [("1.781", "14694.07509503"), ("1.78", "0")], "asks": [],
          "ids": (None, 9690930617, 9690930615), "checksum": None, "ns": 1765201257205 * MS}],
    ),
    (
        "book.5", "BCH-USDT-PERP",
        '{"arg":{"channel":"books5","instId":"BCH-USDT-SWAP"},"data":[{"asks":[["111.06","55154","0","2"]],'
        '"bids":[["111.05","57745","0","2"]],"instId":"BCH-USDT-SWAP","ts":"1670324386802","seqId":363996337}]}',
        [{"full": True, "bids": [("111.05", "57745")], "asks": [("111.06", "55154")],
          "ids": (None, 363996337, None), "checksum": None, "ns": 1670324386802 * MS}],
    ),
    (
        "ticker", "BTC-USD",
        '{"arg":{"channel":"tickers","instId":"BTC-USD"},"data":[{"instType":"SPOT","instId":"BTC-USD",'
        '"last":"91517.2","lastSz":"0.00269444","askPx":"91527.3","askSz":"1.54613591","bidPx":"91527.2",'
        '"bidSz":"0.0135","open24h":"88979.1","high24h":"92327.7","low24h":"87758.1","sodUtc0":"90420.2",'
        '"sodUtc8":"89574.2","volCcy24h":"30744587.593360288","vol24h":"338.86622649","ts":"1765201256914"}]}',
        [{"last": "91517.2", "last_size": "0.00269444", "ask": "91527.3", "ask_size": "1.54613591",
          "bid": "91527.2", "bid_size": "0.0135", "open": "88979.1", "high": "92327.7", "low": "87758.1",
          "volume": 338.86622649, "turnover": 30744587.593360288, "open_interest": None,
          "ns": 1765201256914 * MS}],
    ),
    (
        "ticker", "BTC-USDT-PERP",  # vol24h counts contracts there, volCcy24h the base coin
        '{"arg":{"channel":"tickers","instId":"BTC-USDT-SWAP"},"data":[{"last":"10","vol24h":"5000",'
        '"volCcy24h":"50","ts":"1765201256914"}]}',
        [{"last": "10", "volume": 50.0, "turnover": None, "open_interest": None, "ns": 1765201256914 * MS}],
    ),
    (
        "candle", "BTC-USDT",
        '{"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["1757076060000","112600.1","112631.9",'
        '"112477.1","112500.5","3.10944629","349947.335430728","349947.335430728","0"]]}',
        [{"interval": "1m", "open_ns": 1757076060000 * MS, "close_ns": 0,
          "ohlc": ("112600.1", "112631.9", "112477.1", "112500.5"), "volume": 3.10944629,
          "turnover": 349947.335430728, "count": 0, "closed": False, "ns": 0}],
    ),
    (
        "ticker.mark", "BTC-USDT-PERP",
        '{"arg":{"channel":"mark-price","instId":"BTC-USDT-SWAP"},"data":[{"instType":"SWAP",'
        '"instId":"BTC-USDT-SWAP","markPx":"91467.1","ts":"1765201257145"}]}',
        [{"mark": "91467.1", "volume": None, "turnover": None, "open_interest": None, "ns": 1765201257145 * MS}],
    ),
    (
        "funding", "LTC-USDT-PERP",
        '{"arg":{"channel":"funding-rate","instId":"LTC-USDT-SWAP"},"data":[{"formulaType":"withRate",'
        '"fundingRate":"0.0001000000000000","fundingTime":"1765209600000","impactValue":"10000.0000000000000000",'
        '"instId":"LTC-USDT-SWAP","instType":"SWAP","interestRate":"0.0001000000000000","maxFundingRate":"0.015",'
        '"method":"current_period","minFundingRate":"-0.015","nextFundingRate":"","nextFundingTime":"1765238400000",'
        '"premium":"-0.0004021053670636","settFundingRate":"0.0000697725497563","settState":"settled",'
        '"ts":"1765201461438"}]}',
        [{"rate": "0.0001000000000000", "next_ns": 1765209600000 * MS, "interval_ns": 8 * 3_600_000 * MS,
          "mark": None, "index": None, "ns": 1765201461438 * MS}],
    ),
    (
        "ticker.open_interest", "BTC-USDT-PERP",
        '{"arg":{"channel":"open-interest","instId":"BTC-USDT-SWAP"},"data":[{"instId":"BTC-USDT-SWAP",'
        '"instType":"SWAP","oi":"2216113.01000000309","oiCcy":"22161.1301000000309",'
        '"oiUsd":"1939251795.54769270396321","ts":"1743041250440"}]}',
        [{"volume": None, "turnover": None, "open_interest": 2216113.01000000309, "ns": 1743041250440 * MS}],
    ),
    (
        "liquidation", "IOST-USDT-PERP",
        '{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkLoss":"0",'
        '"bkPx":"0.007831","ccy":"","posSide":"short","side":"buy","sz":"13","ts":"1692266434010"}],'
        '"instFamily":"IOST-USDT","instId":"IOST-USDT-SWAP","instType":"SWAP","uly":"IOST-USDT"}]}',
        [{"price": "0.007831", "size": "13", "side": 1, "ns": 1692266434010 * MS}],
    ),
    (
        "liquidation", "BTC-USDT-PERP",  # of an instrument that nobody asked for
        '{"arg":{"channel":"liquidation-orders","instType":"SWAP"},"data":[{"details":[{"bkPx":"0.007831",'
        '"side":"buy","sz":"13","ts":"1692266434010"}],"instId":"IOST-USDT-SWAP"}]}',
        [],
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("channel", "symbol", "message", "expected"), DOCUMENTED, ids=[f"{row[0]}-{row[1]}" for row in DOCUMENTED]
)
def test_message_of_the_documents(decode, channel, symbol, message, expected):
    assert decode("okx", channel, symbol, message).told() == expected


ASKS = [("8476.98", "415"), ("8477", "7"), ("8477.34", "85"), ("8477.56", "1"), ("8505.84", "8"), ("8506.37", "85"),
        ("8506.49", "2"), ("8506.96", "100")]  # fmt: skip
BIDS = [("8476.97", "256"), ("8475.55", "101"), ("8475.54", "100"), ("8475.3", "1"), ("8447.32", "6"),
        ("8447.02", "246"), ("8446.83", "24"), ("8446", "95")]  # fmt: skip
FIXTURES = {
    "ws_bbo_tbt": (
        "quote", "BTC-USDT",
        {"bid": ("8476.97", "256"), "ask": ("8476.98", "415"), "id": 123456, "ns": 1597026383085 * MS},
    ),
    "ws_books_snapshot": (
        "book", "BTC-USDT",
        {"full": True, "bids": BIDS, "asks": ASKS, "ids": (None, 123456, -1), "checksum": -855196043,
         "ns": 1597026383085 * MS},
    ),
    "ws_books_update": (
        "book", "BTC-USDT",
        {"full": False, "bids": BIDS, "asks": ASKS, "ids": (None, 123457, 123456), "checksum": -855196043,
         "ns": 1597026383085 * MS},
    ),
    "ws_candle": (
        "candle.1d+8", "BTC-USDT",
        {"interval": "1d+8", "open_ns": 1597026383085 * MS, "close_ns": 0,
         "ohlc": ("8533.02", "8553.74", "8527.17", "8548.26"), "volume": 45247.0, "turnover": 5529.5858061,
         "count": 0, "closed": True, "ns": 0},
    ),
    "ws_funding_rate": (
        "funding", "BTC-USDT-PERP",
        {"rate": "0.0001", "next_ns": 1744590349506 * MS, "interval_ns": 28_800_000 * MS, "mark": None,
         "index": None, "ns": 1744590349506 * MS},
    ),
    "ws_tickers": (
        "ticker", "BTC-USDT",
        {"last": "9999.99", "last_size": "0.1", "ask": "9999.99", "ask_size": "11", "bid": "8888.88",
         "bid_size": "5", "open": "9000", "high": "10000", "low": "8888.88", "volume": 2222.0, "turnover": 2222.0,
         "open_interest": None, "ns": 1597026383085 * MS},
    ),
    "ws_trades": (
        "trade", "BTC-USD",
        {"price": "42219.9", "size": "0.12060306", "side": 1, "id": 130639474, "count": 3,
         "ns": 1630048897897 * MS},
    ),
}  # fmt: skip
# Channels without a typed callback: a strategy gets them through on_ws_frame.
RAW_ONLY = {"ws_instruments", "ws_opt_summary"}


@pytest.mark.captures
def test_every_fixture_message(recordings, decode):
    messages = recordings.fixtures("okx_ws_fixtures.jsonl")

    assert messages.keys() == FIXTURES.keys() | RAW_ONLY
    for name, (channel, symbol, expected) in FIXTURES.items():
        assert decode("okx", channel, symbol, messages[name]).told() == [expected], name


@pytest.mark.captures
def test_fixture_frames_are_found_by_their_first_bytes(recordings):
    """The key in the frame is the stream's key, without a parse."""
    exchange = load_exchange("okx")
    messages = recordings.fixtures("okx_ws_fixtures.jsonl")
    (prefix,) = exchange.facts.frames.data

    for name, (channel, symbol, _) in FIXTURES.items():
        text = json.dumps(messages[name], separators=(",", ":")).encode()
        key = text[len(prefix.start) : text.index(prefix.end.encode())]
        assert text.startswith(prefix.start.encode())
        assert exchange.stream(Channel.parse(channel), exchange.instrument(symbol)).key == key, name


@pytest.mark.parametrize(
    ("text", "kind", "fields"),
    [
        (
            '{"id":"1512","event":"subscribe","arg":{"channel":"books","instId":"BTC-USDT"},"connId":"a4d3ae55"}',
            Kind.ACK,
            {
                "request_id": 1512,
                "topics": ('{"channel":"books","instId":"BTC-USDT"}',),
                "is_unsubscribe": False,
            },
        ),
        (
            '{"event":"unsubscribe","arg":{"instId":"BTC-USDT","channel":"trades"},"connId":"d0b44253"}',
            Kind.ACK,
            {
                "request_id": None,
                "topics": ('{"channel":"trades","instId":"BTC-USDT"}',),
                "is_unsubscribe": True,
            },
        ),
        (
            '{"event":"error","msg":"Wrong URL or channel:index-tickers, instId:NEAR-USDT-SWAP doesn\'t exist. '
            'Please use the correct URL, channel and parameters referring to API document.","code":"60018",'
            '"connId":"94d38802"}',
            Kind.ERROR,
            {"code": "60018", "topics": ('{"channel":"index-tickers","instId":"NEAR-USDT-SWAP"}',)},
        ),
        (
            '{"id":"1512","event":"error","code":"60012","msg":"Invalid request: {\\"op\\": \\"subscribe\\"}"}',
            Kind.ERROR,
            {"request_id": 1512, "code": "60012", "topics": (), "retry_after_s": None},
        ),
        (
            '{"event":"error","code":"60014","msg":"Requests too frequent"}',
            Kind.ERROR,
            {"code": "60014", "retry_after_s": 7.5},
        ),
        (
            '{"event":"notice","msg":"The connection will soon be closed for a service upgrade. Please reconnect.",'
            '"code":"64008","connId":"8517149b"}',
            Kind.NOTICE,
            {"code": "64008"},
        ),
        ("pong", Kind.PONG, {}),
        (
            '{"data":[],"arg":{"instId":"BTC-USDT","channel":"trades"}}',
            Kind.DATA,
            {"key": b'{"channel":"trades","instId":"BTC-USDT"'},
        ),
        (
            '{"arg":{"channel":"status"},"data":[{"begin":"1764666600000","state":"completed"}]}',
            Kind.DATA,
            {"key": b'{"channel":"status"'},
        ),
        ("ping?", Kind.UNKNOWN, {}),
        ('[{"instId":"BTC-USD-250328-92000-C"}]', Kind.UNKNOWN, {}),
    ],
)
def test_frames_that_are_no_data(text, kind, fields):
    inbound = load_exchange("okx").classify(memoryview(text.encode()))

    assert inbound.kind == kind
    assert {name: getattr(inbound, name) for name in fields} == fields


def test_subscribe_request_is_as_documented():
    exchange = load_exchange("okx")
    instrument = exchange.instrument("BTC-USDT")
    streams = [exchange.stream(Channel.parse(kind), instrument) for kind in ("book", "trade")]

    request = exchange.subscribe(streams, 1512)

    assert request == (
        b'{"id":"1512","op":"subscribe","args":[{"channel":"books","instId":"BTC-USDT"},'
        b'{"channel":"trades","instId":"BTC-USDT"}]}'
    )


def test_liquidations_of_a_type_are_one_subscription():
    exchange = load_exchange("okx")
    one, two = (
        exchange.stream(Channel.parse("liquidation"), exchange.instrument(symbol))
        for symbol in ("BTC-USDT-PERP", "ETH-USDT-PERP")
    )

    assert one.topic == two.topic == '{"channel":"liquidation-orders","instType":"SWAP"}'
    assert one.instrument is None


LISTING = (
    '{"instType":"SWAP","instId":"BTC-USD-SWAP","instFamily":"BTC-USD","uly":"BTC-USD","ctType":"inverse",'
    '"ctVal":"100","ctMult":"1","ctValCcy":"USD","settleCcy":"BTC","tickSz":"0.1","lotSz":"1","minSz":"1",'
    '"state":"live","instIdCode":10458}'
)


def test_instrument_list():
    exchange = load_exchange("okx")
    suspended = LISTING.replace("live", "suspend")

    (instrument,) = exchange.parse_instruments(f'{{"code":"0","data":[{LISTING},{suspended}]}}'.encode())

    assert (instrument.symbol, instrument.native, instrument.kind) == ("BTC-USD-PERP", "BTC-USD-SWAP", "perp")
    assert (instrument.contract_size, instrument.is_inverse) == (Decimal(100), True)
    assert (instrument.price_tick, instrument.size_step) == (Decimal("0.1"), Decimal(1))
    with pytest.raises(DecodeError, match="50011"):
        exchange.parse_instruments(b'{"code":"50011","msg":"Too Many Requests","data":[]}')


@pytest.mark.captures
def test_recorded_instrument_lists(recordings):
    """Spot, swaps, futures and options of 2022: every live one is listed under a name that leads back."""
    exchange = load_exchange("okx")
    live, instruments = set(), {}

    for _, _, body in recordings.answers("cryptofeed/OKX.0.gz"):
        instruments.update({each.native: each for each in exchange.parse_instruments(body)})
        live |= {each["instId"] for each in json.loads(body)["data"] if each["state"] == "live"}

    assert instruments.keys() == live
    assert all(exchange.native_symbol(each.symbol) == native for native, each in instruments.items())
    assert instruments["BTC-USD-220527"].kind == "future"
    assert instruments["BTC-USDT"].contract_size == 1
