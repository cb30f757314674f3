"""The server side of a dialect, from facts alone. A venue's own module (facts.mock) overrides what it does
differently.

A MockVenue holds no socket and no clock. It reads requests, words acks, errors and pongs, tells whose data a
captured frame is, and encodes what the generated market does. The base class can serve captures of any
venue; a generator needs the encoders of a dialect.
"""

# ruff: noqa: ARG002 - hooks have the arguments that some dialect needs

from __future__ import annotations

import enum
import gzip
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from connectors.errors import ConfigError
from connectors.exchange import Exchange
from connectors.mock.events import (
    Feed,
    MockBook,
    MockCandle,
    MockFunding,
    MockLiquidation,
    MockQuote,
    MockTicker,
    MockTrade,
    Row,
)
from connectors.mock.patterns import RequestPattern

if TYPE_CHECKING:
    from connectors.mock.market import Market


class Op(enum.Enum):
    SUBSCRIBE = "subscribe"
    UNSUBSCRIBE = "unsubscribe"
    PING = "ping"
    LIST = "list"  # which topics are subscribed
    BAD = "bad"  # not understood: `error` says why


class Request(msgspec.Struct, frozen=True):
    """What a client asked for. id: as it was sent, of any JSON type."""

    op: Op
    topics: tuple[str, ...] = ()
    id: Any = None
    error: str = ""


class Answer(msgspec.Struct, frozen=True):
    """Text frames to send, and the topics that count as (un)subscribed now."""

    replies: tuple[bytes, ...] = ()
    accepted: tuple[str, ...] = ()


class HttpAnswer(msgspec.Struct, frozen=True):
    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class MockVenue:
    """See the module's docstring. All texts are UTF-8 bytes."""

    slow_close = (1008, "slow consumer")  # close code and reason for a client that does not read
    idle_s: float | None = None  # silence both ways that closes the connection
    idle_close = (1000, "")

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.facts = exchange.facts
        subscribe = self.facts.subscribe
        self._subscribe = RequestPattern(subscribe.request)
        self._unsubscribe = RequestPattern(subscribe.unrequest)
        self._ping = RequestPattern(self.facts.heartbeat.client.send)
        self._prefixes = tuple((each.start.encode(), each.end.encode()) for each in self.facts.frames.data)

    # Requests

    def read(self, payload: bytes) -> Request:
        """A client's frame, understood. Never raises: what is no request is Op.BAD."""
        if self._ping.match_text(payload):
            return Request(Op.PING)
        try:
            value = msgspec.json.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return Request(Op.BAD, error=f"Invalid JSON: {error}")
        return self.read_json(value)

    def read_json(self, value: Any) -> Request:
        for op, pattern in (
            (Op.SUBSCRIBE, self._subscribe),
            (Op.UNSUBSCRIBE, self._unsubscribe),
            (Op.PING, self._ping),
        ):
            found = pattern.match(value)
            if found is not None:
                topics = tuple(self.topic_of_item(item) for item in found.get("items", ()))
                return Request(op, topics, found.get("id"))
        ask_id = value.get("id") if isinstance(value, dict) else None
        return Request(Op.BAD, id=ask_id, error="Invalid request: not a request of this venue")

    def topic_of_item(self, item: Any) -> str:
        """The topic that one entry of a request's list names."""
        return item if isinstance(item, str) else msgspec.json.encode(item).decode()

    def answer(self, request: Request, unknown: Collection[str], conn: str) -> Answer:
        """Acks and errors of a request. unknown: topics there are no data for. conn: an id to show."""
        if self.facts.subscribe.ack == "none":
            return Answer((), request.topics)
        if unknown:
            return Answer((self.error(request, "unknown topic: " + ", ".join(unknown), conn),))
        reply = {"id": request.id, "op": request.op.value, "success": True, "topics": list(request.topics)}
        return Answer((msgspec.json.encode(reply),), request.topics)

    def error(self, request: Request, text: str, conn: str) -> bytes:
        """A refusal of a whole request."""
        reply = {"id": request.id, "op": request.op.value, "success": False, "error": text}
        return msgspec.json.encode(reply)

    def listing(self, request: Request, topics: Sequence[str]) -> bytes:
        """The answer to Op.LIST."""
        return msgspec.json.encode({"id": request.id, "topics": list(topics)})

    def pong(self, request: Request, conn: str) -> bytes:
        """The answer to a ping that is a text."""
        return b"pong" if request.id is None else msgspec.json.encode({"op": "pong", "id": request.id})

    def wrong_pong(self, pong: bytes) -> bytes:
        """A pong that answers nobody's ping."""
        return pong[::-1] if not pong.startswith(b"{") else b'{"op":"gnop","id":0}'

    def server_ping(self, number: int) -> bytes | None:
        """The venue's own heartbeat as a text frame; None: a PING frame."""
        return None

    def notice(self) -> bytes | None:
        """The text frame that says: this connection will be closed soon. None: the venue has none."""
        return None

    def topics_of_url(self, path_qs: str) -> tuple[str, ...]:
        """Topics that the URL of a connection subscribes."""
        return ()

    def route_of(self, path_qs: str) -> str | None:
        """The route whose path this is; None: 404."""
        path = urlsplit(path_qs).path.rstrip("/")
        for name, route in self.facts.routes.items():
            if urlsplit(route.url).path.rstrip("/") == path:
                return name
        return None

    # Captured frames

    def topic_of_frame(self, payload: bytes) -> str | None:
        """Whose data a captured frame is; None: it is no data frame (ack, pong ...)."""
        if self.facts.frames.encoding == "gzip" and payload[:2] == b"\x1f\x8b":
            try:
                payload = gzip.decompress(payload)
            except (OSError, EOFError, zlib.error):
                return None
        for start, end in self._prefixes:
            if payload.startswith(start):
                stop = payload.find(end, len(start))
                if stop >= 0:
                    return self.topic_of_key(payload[len(start) : stop], end)
        return None

    def topic_of_key(self, key: bytes, end: bytes) -> str:
        """The topic of a data frame's key. Where they differ the key lacks the end mark (a brace)."""
        text = key.decode("utf-8", "replace")
        return text if self.facts.subscribe.key == "$topic" else text + end.decode()

    def read_book(self, topic: str, payload: bytes) -> MockBook | None:
        """The levels of a captured book frame as they stand there; None: no book frame."""
        return None

    def read_snapshot(self, body: bytes) -> MockBook | None:
        """The levels of a captured REST snapshot; None: it is none."""
        return None

    def checksum(self, bids: Sequence[Row], asks: Sequence[Row]) -> int:
        """The venue's checksum over whole sides, best first; 0: it has none."""
        return 0

    def corrupt_checksum(self, payload: bytes) -> bytes | None:
        """The frame with another checksum; None: it carries none."""
        return None

    def check_fault(self, name: str) -> None:
        """Raises ConfigError: this venue has nothing such a fault could touch."""
        has_checksum = type(self).corrupt_checksum is not MockVenue.corrupt_checksum
        if name == "corrupt_checksum" and not has_checksum:
            raise ConfigError(f"fault {name}: {self.facts.name} sends no checksums")
        if name == "notice" and self.notice() is None:
            raise ConfigError(f"fault {name}: {self.facts.name} has no such message")

    # REST

    def weight(self, path_qs: str) -> int:
        """What a GET costs of facts.rest.weight."""
        rest = self.facts.rest
        if rest is None:
            return 1
        path = urlsplit(path_qs).path
        calls = (*rest.instruments, *((rest.snapshot,) if rest.snapshot else ()))
        return next((call.weight for call in calls if urlsplit(call.path).path == path), 1)

    def snapshot_symbol(self, path_qs: str) -> str | None:
        """The native symbol of a request for a book snapshot; None: it is another request."""
        return None

    def encode_snapshot(self, native: str, book: MockBook, limit: int | None = None) -> bytes:
        """The answer to a request for a book snapshot."""
        raise NotImplementedError(f"{self.facts.name}: its mock has no REST snapshot")

    def snapshot_limit(self, path_qs: str) -> int | None:
        """How many levels a side were asked for."""
        return None

    def instruments(self, path_qs: str, markets: Sequence[Market]) -> bytes | None:
        """The answer to a request for the instrument list; None: it is another request."""
        return None

    # Generated data

    def feed(self, topic: str) -> Feed | None:
        """A topic, understood; None: this dialect's generator has no such data."""
        return None

    def is_on_route(self, feed: Feed, route: str) -> bool:
        """Does this route carry the feed? Where it does not, the venue acks and stays silent, or refuses."""
        return True

    def encode_trade(self, feed: Feed, trade: MockTrade) -> bytes:
        raise self._no("trades")

    def encode_quote(self, feed: Feed, quote: MockQuote) -> bytes:
        raise self._no("quotes")

    def encode_book(self, feed: Feed, book: MockBook) -> bytes:
        raise self._no("books")

    def encode_ticker(self, feed: Feed, ticker: MockTicker) -> bytes:
        raise self._no("tickers")

    def encode_candle(self, feed: Feed, candle: MockCandle) -> bytes:
        raise self._no("candles")

    def encode_funding(self, feed: Feed, funding: MockFunding) -> bytes:
        raise self._no("funding rates")

    def encode_liquidation(self, feed: Feed, liquidation: MockLiquidation) -> bytes:
        raise self._no("liquidations")

    def _no(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"{self.facts.name}: its mock cannot generate {what}")
