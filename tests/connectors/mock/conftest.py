"""A bare client of a mock exchange, for tests of what goes over the wire."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.error
import urllib.request
from collections import Counter

import pytest

from connectors.exchange import Channel
from connectors.mock import generated_mock
from picows import WSCloseCode, WSListener, WSMsgType, ws_connect

SYMBOLS = {
    "binance_spot": "BTC-USDT",
    "binance_usdm": "BTC-USDT-PERP",
    "okx": "BTC-USDT",
    "bybit_spot": "BTC-USDT",
    "bybit_linear": "BTC-USDT-PERP",
}


class MockClient(WSListener):
    """Counts data by topic, keeps all else; `wait_for` looks again at each frame."""

    def __init__(self, mock):
        self.mock = mock
        self.data = Counter()
        self.last = {}
        self.texts, self.pongs, self.pings = [], [], []
        self.fragments = 0
        self.close = None
        self.is_gone = False
        self._parts = []
        self._news = asyncio.Event()

    def on_ws_frame(self, transport, frame):
        payload = frame.get_payload_as_bytes()
        if frame.msg_type == WSMsgType.CLOSE:
            self.close = (int(frame.get_close_code()), frame.get_close_reason())
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.PONG:
            self.pongs.append(payload)
        elif frame.msg_type == WSMsgType.PING:
            self.pings.append(payload)
        else:
            self._take(payload, frame.fin)
        self._news.set()

    def _take(self, payload, fin):
        self._parts.append(payload)
        self.fragments += not fin
        if fin:
            whole = b"".join(self._parts)
            self._parts.clear()
            topic = self.mock.venue.topic_of_frame(whole)
            if topic is None:
                self.texts.append(whole)
            else:
                self.data[topic] += 1
                self.last[topic] = whole

    def on_ws_disconnected(self, transport):
        self.is_gone = True
        self._news.set()

    async def wait_for(self, is_so, timeout_s=10):
        async with asyncio.timeout(timeout_s):
            while not is_so():
                self._news.clear()
                await self._news.wait()


class MockRig:
    """One client of one mock."""

    def __init__(self, name, **options):
        self.mock = generated_mock(name, seed=2, rate=500.0, **options)
        self.exchange = self.mock.venue.exchange
        self.symbol = SYMBOLS[name]
        self.number = 0

    def stream(self, kind):
        return self.exchange.stream(Channel.parse(kind), self.exchange.instrument(self.symbol))

    async def connect(self, route=None, **options):
        url = self.exchange.url(route or next(iter(self.exchange.facts.routes)), self.mock.url)
        self.transport, self.client = await ws_connect(lambda: MockClient(self.mock), url, **options)
        return self.client

    def subscribe(self, *kinds):
        self.number += 1
        streams = [self.stream(kind) for kind in kinds]
        self.transport.send(WSMsgType.TEXT, self.exchange.subscribe(streams, self.number))
        return [stream.topic for stream in streams]

    def unsubscribe(self, *kinds):
        self.number += 1
        request = self.exchange.unsubscribe([self.stream(kind) for kind in kinds], self.number)
        self.transport.send(WSMsgType.TEXT, request)

    async def leave(self):
        if not self.client.is_gone:
            self.transport.send_close(WSCloseCode.OK)
            await self.transport.wait_disconnected()


@contextlib.asynccontextmanager
async def open_rig(name, **options):
    """A started mock with one client."""
    found = MockRig(name, **options)
    async with found.mock:
        await found.connect()
        yield found
        if not found.client.is_gone:
            found.transport.disconnect(False)


async def http_get(url):
    """(status, headers, body) of a GET, in a thread."""

    def ask():
        try:
            with urllib.request.urlopen(url) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    return await asyncio.to_thread(ask)


@pytest.fixture
def client_of():
    """client_of(mock): a listener that counts data by topic."""
    return MockClient


@pytest.fixture
def new_rig():
    """new_rig(venue, **options of generated_mock): a mock, not started, and how to reach it."""
    return MockRig


@pytest.fixture
def rig():
    """`async with rig(venue, **options) as it`: a started mock with one client."""
    return open_rig


@pytest.fixture
def get():
    """await get(url) -> (status, headers, body)."""
    return http_get
