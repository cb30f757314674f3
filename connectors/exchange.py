"""The verbs of a venue: what takes a loop or an `if`. The base class does all of it from facts alone.

A verbs class overrides what its venue does differently; a simple venue needs none. Verbs hold no connection,
no clock, no socket; per-stream memory goes into `stream.state` (None at each new subscription).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Mapping, Sequence
from string import Template
from typing import TYPE_CHECKING

import msgspec

from connectors.errors import ConfigError, DecodeError
from connectors.facts import ChannelFact, Facts
from connectors.instrument import Instrument, Stream

if TYPE_CHECKING:
    from connectors.book import Book
    from connectors.flat import Flat
    from connectors.sink import Sink

Payload = bytes | bytearray | memoryview
"""A whole message. A memoryview is the receive buffer itself: valid during the call, never kept."""


class Kind(enum.IntEnum):
    """What a frame that is no data frame says."""

    ACK = 1  # of a subscribe or unsubscribe request
    ERROR = 2  # refused
    PONG = 3  # answers our ping
    PING = 4  # asks for an answer: Exchange.reply
    NOTICE = 5  # the venue will close the connection: open another one, then leave this
    INFO = 6  # a greeting, a status: nothing to do
    DATA = 7  # data whose key the prefix table missed (key order changed, unknown stream): `key` tells
    UNKNOWN = 8  # not understood: counted and told


class Inbound(msgspec.Struct, frozen=True):
    """A classified frame that is not on the fast path."""

    kind: Kind
    request_id: int | None = None  # of ACK and ERROR, where the venue echoes it
    topics: tuple[str, ...] = ()  # of ACK and ERROR, where the venue names them
    is_unsubscribe: bool = False
    code: str | None = None
    text: str = ""
    key: bytes | None = None  # of DATA
    retry_after_s: float | None = None  # of ERROR: too many requests


class Channel(msgspec.Struct, frozen=True):
    """What is asked for: `trade`, `candle.1m`, `book.50`; `name` overrides the venue's channel name."""

    kind: str
    variant: str = ""
    name: str | None = None

    @classmethod
    def parse(cls, text: str) -> Channel:
        """`kind` or `kind.variant`."""
        kind, _, variant = text.partition(".")
        return cls(kind, variant)


class HttpGet(msgspec.Struct, frozen=True):
    """A REST request; `url` is whole. `weight` counts against facts.rest.weight."""

    url: str
    weight: int = 1


class Exchange:
    """Facts + verbs of one venue."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._symbols = tuple((re.compile(rule.unified), rule) for rule in facts.symbols)
        self._json = msgspec.json.Decoder()

    # Symbols and instruments

    def native_symbol(self, symbol: str) -> str:
        """Unified to native. Raises ConfigError that shows the shapes this venue has."""
        for pattern, rule in self._symbols:
            match = pattern.fullmatch(symbol)
            if match:
                groups = {name: value or "" for name, value in match.groupdict().items()}
                lower = {f"{name}_lower": value.lower() for name, value in groups.items()}
                return Template(rule.native).substitute(groups, **lower)
        shapes = ", ".join(rule.example or rule.unified for rule in self.facts.symbols)
        raise ConfigError(f"symbol {symbol!r}: {self.facts.name} has symbols like {shapes}")

    def instrument(self, symbol: str, known: Mapping[str, Instrument] | None = None) -> Instrument:
        """By unified symbol: from the venue's list `known` (by native symbol), else with default scales."""
        native = self.native_symbol(symbol)
        if known and native in known:
            return known[native]
        kind = next(rule.kind for pattern, rule in self._symbols if pattern.fullmatch(symbol))
        return Instrument(
            self.facts.name,
            symbol,
            native,
            kind=kind,
            price_scale=self.facts.price_scale,
            size_scale=self.facts.size_scale,
            is_scale_known=False,
        )

    def instrument_requests(self) -> tuple[HttpGet, ...]:
        """GETs that list the venue's instruments; () if it has none."""
        rest = self.facts.rest
        return tuple(HttpGet(rest.url + call.path, call.weight) for call in rest.instruments) if rest else ()

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """One answer of instrument_requests(): each instrument that can be traded. Raises DecodeError."""
        raise DecodeError(f"{self.facts.name}: facts name an instrument list, but the verbs do not read it")

    def next_instruments(self, request: HttpGet, body: bytes) -> HttpGet | None:
        """The GET of the next page after `body`, the answer to `request`; None: that was the last."""
        return None

    # Streams and requests

    def stream(self, channel: Channel, instrument: Instrument | None, connection: str = "") -> Stream:
        """The stream of a channel. Raises ConfigError: unknown channel kind or variant.

        Where facts say is_shared, the stream has no instrument and equal topics are one subscription.
        """
        fact, variant = self._channel_fact(channel)
        word = fact.variants.get(variant, variant)
        name = Template(channel.name or fact.name).safe_substitute(interval=word, depth=word)
        names = self._names(instrument, name, word)
        topic = Template(fact.topic or self.facts.subscribe.topic).substitute(names)
        key = Template(fact.key or self.facts.subscribe.key).substitute(names, topic=topic)
        return Stream(
            self.facts.name,
            channel.kind,
            name,
            topic,
            key.encode(),
            instrument=None if fact.is_shared else instrument,
            route=fact.route,
            variant=variant,
            connection=connection,
            fact=fact,
        )

    def _channel_fact(self, channel: Channel) -> tuple[ChannelFact, str]:
        """The facts of a channel and its unified variant."""
        if channel.name is not None:
            return self._overridden(channel, channel.name)
        own = self.facts.channels.get(f"{channel.kind}.{channel.variant}")
        if own is not None:
            return own, channel.variant
        fact = self.facts.channels.get(channel.kind)
        if fact is None:
            known = ", ".join(self.facts.channels)
            raise ConfigError(f"channel {channel.kind!r}: {self.facts.name} has {known}")
        variant = channel.variant or fact.default
        if variant and variant not in fact.variants:
            prefix = channel.kind + "."
            own_facts = [each.removeprefix(prefix) for each in self.facts.channels if each.startswith(prefix)]
            known = ", ".join((*fact.variants, *own_facts)) or "no variants"
            raise ConfigError(f"channel {channel.kind}.{variant}: {self.facts.name} has {known}")
        return fact, variant

    def _overridden(self, channel: Channel, name: str) -> tuple[ChannelFact, str]:
        """A config that names the venue's own channel gets that channel's facts where we have them."""
        for key, fact in self.facts.channels.items():
            kind, _, variant = key.partition(".")
            for known, word in (fact.variants or {variant: variant}).items():
                if Template(fact.name).safe_substitute(interval=word, depth=word) == name:
                    if kind == channel.kind:
                        return fact, known
                    if channel.kind == "raw":
                        return msgspec.structs.replace(
                            fact, quiet_s=None, continuity="none", snapshot="none"
                        ), ""
        if channel.kind == "raw":
            return ChannelFact(name=name, route=next(iter(self.facts.routes)), quiet_s=None), ""
        return self._channel_fact(Channel(channel.kind, channel.variant))

    def _names(self, instrument: Instrument | None, name: str, word: str) -> dict[str, str]:
        native = instrument.native if instrument else ""
        return {
            "symbol": native,
            "symbol_lower": native.lower(),
            "name": name,
            "interval": word,
            "depth": word,
            "kind": instrument.kind if instrument else "",
        }

    def url(self, route: str, override: str | None = None) -> str:
        """Where a route is dialled. `override` (of the config) replaces all but the path."""
        url = self.facts.routes[route].url
        if override is None:
            return url
        path = re.sub(r"^[a-z]+://[^/?]*", "", url)
        return override.rstrip("/") + path

    def batches(self, streams: Sequence[Stream]) -> list[list[Stream]]:
        """Streams of one route cut into requests that the venue accepts (count and bytes)."""
        facts = self.facts.subscribe
        out: list[list[Stream]] = []
        size = 0
        for stream in streams:
            cost = len(self._item(stream).encode()) + 1
            if not out or len(out[-1]) >= facts.max_topics or size + cost > facts.max_bytes:
                out.append([])
                size = len(facts.request)
            out[-1].append(stream)
            size += cost
        return out

    def subscribe(self, streams: Sequence[Stream], request_id: int) -> bytes:
        """One request (a text frame) for one batch."""
        return self._request(self.facts.subscribe.request, streams, request_id)

    def unsubscribe(self, streams: Sequence[Stream], request_id: int) -> bytes:
        """One request (a text frame) for one batch."""
        return self._request(self.facts.subscribe.unrequest, streams, request_id)

    def _request(self, template: str, streams: Sequence[Stream], request_id: int) -> bytes:
        items = ",".join(self._item(stream) for stream in streams)
        return Template(template).substitute(items=items, id=request_id).encode()

    def _item(self, stream: Stream) -> str:
        return Template(self.facts.subscribe.item).substitute(topic=stream.topic)

    # Frames

    def classify(self, payload: Payload) -> Inbound:
        """Read a frame that is neither data with a known key nor a literal pong. Slow path: may parse JSON.

        Never raises: what is not understood is Kind.UNKNOWN. The base knows no venue's words.
        """
        return Inbound(Kind.UNKNOWN, text=bytes(payload[:200]).decode("utf-8", "replace"))

    def decode(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        """Put what a data frame says into `sink` (sink.stream is `stream`, sink.recv_ns is set).

        One frame may give several events. Raises DecodeError, ScaleError; what was put before is delivered.
        """
        raise DecodeError(f"{self.facts.name}: no decoder for {stream.kind}")

    def reader(self, stream: Stream) -> Callable[[Stream, Payload, Sink], None]:
        """What `decode` does for this stream, looked up once. What it raises goes through `decode_error`."""
        return self.decode

    def flat(self, stream: Stream) -> Flat | None:
        """A native reader for the usual messages of this stream, tried before `reader`; None: there is none.

        What it accepts must give the very events that `reader` gives.
        """
        return None

    def decode_error(self, stream: Stream, payload: Payload, error: Exception) -> Exception:
        """What a reader raised, in our words."""
        return error

    def ping(self, request_id: int) -> bytes | None:
        """Our heartbeat as a text frame; None: a protocol PING frame."""
        text = self.facts.heartbeat.client.send
        return Template(text).substitute(id=request_id).encode() if text else None

    def reply(self, payload: Payload, inbound: Inbound) -> bytes | None:
        """The answer (text frame) to a Kind.PING."""
        return None

    # Books

    def snapshot_request(self, stream: Stream) -> HttpGet | None:
        """The GET that starts a book where facts say snapshot: rest."""
        rest = self.facts.rest
        if rest is None or rest.snapshot is None:
            return None
        names = self._names(stream.instrument, stream.name, stream.variant)
        return HttpGet(rest.url + Template(rest.snapshot.path).substitute(names), rest.snapshot.weight)

    def parse_snapshot(self, stream: Stream, body: bytes, sink: Sink) -> None:
        """One REST answer as one sink.book(True, ...). Raises DecodeError (an error object, wrong shape)."""
        raise DecodeError(f"{self.facts.name}: no reader for REST snapshots")

    def checksum(self, book: Book) -> int:
        """The venue's checksum over our levels, in the form (signed or not) that its messages have."""
        raise NotImplementedError(f"{self.facts.name}: facts say checksum, the verbs have none")
