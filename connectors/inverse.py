"""From what stands in data frames back to streams, for recordings without a config."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Mapping

from connectors.errors import ConfigError
from connectors.exchange import Channel, Exchange
from connectors.facts import ChannelFact, Facts
from connectors.instrument import Instrument, Stream

_MARK = "~NATIVE~"
_QUOTES = (
    "USDT",
    "USDC",
    "FDUSD",
    "TUSD",
    "BUSD",
    "USD",
    "EUR",
    "GBP",
    "TRY",
    "JPY",
    "KRW",
    "BTC",
    "ETH",
    "BNB",
)


def data_key(facts: Facts, payload: bytes) -> bytes | None:
    """The stream's key of a whole data message; None: it does not begin like data."""
    if facts.frames.encoding == "gzip" and payload[:2] == b"\x1f\x8b":
        try:
            payload = gzip.decompress(payload)
        except (OSError, EOFError, zlib.error):
            return None
    for prefix in facts.frames.data:
        start, end = prefix.start.encode(), prefix.end.encode()
        if payload.startswith(start):
            stop = payload.find(end, len(start), len(start) + 1024)
            if stop >= 0:
                return payload[len(start) : stop]
    return None


def unified_symbol(exchange: Exchange, native: str) -> str:
    """The unified symbol whose native form this is; the native one itself where it cannot be told.

    A name without separators is cut at the quote currencies of _QUOTES; the venue's list knows better.
    """
    parts = re.split(r"[-_/]", native)
    candidates = [native, "-".join(parts)]
    if len(parts) > 1:
        candidates += [
            f"{parts[0]}-{parts[1]}-PERP",
            *(f"{parts[0]}-{parts[1]}-{tail}" for tail in parts[2:]),
        ]
    for quote in _QUOTES:
        if parts[0].endswith(quote) and len(parts[0]) > len(quote):
            pair = f"{parts[0].removesuffix(quote)}-{quote}"
            candidates += [pair, f"{pair}-PERP", *(f"{pair}-{tail}" for tail in parts[1:])]
    for symbol in candidates:
        try:
            if exchange.native_symbol(symbol) == native:
                return symbol
        except ConfigError:
            continue
    return native


class StreamFinder:
    """Keys of one venue to streams. known: the recorded instrument list, by native symbol."""

    def __init__(self, exchange: Exchange, known: Mapping[str, Instrument]) -> None:
        self.exchange = exchange
        self._known = known
        self._made: dict[str, Instrument] = {}
        self._patterns = [(re.compile(pattern), channel) for pattern, channel in _patterns(exchange)]

    def find(self, key: bytes) -> list[Stream]:
        """The streams that read this key, one per kind. A key of no channel gives one raw stream."""
        text = key.decode("utf-8", "replace")
        found: dict[str, Stream] = {}
        for pattern, channel in self._patterns:
            match = pattern.fullmatch(text)
            if match is None or channel.kind in found:
                continue
            stream = self._stream(channel, match.groups(), key)
            if stream is not None:
                found[channel.kind] = stream
        return list(found.values()) or [self._raw(key, text)]

    def _stream(self, channel: Channel, natives: tuple[str, ...], key: bytes) -> Stream | None:
        name = self.exchange.facts.name
        if natives:
            is_lower = "$symbol_lower" in self._template(channel)
            instrument = self.instrument(natives[0].upper() if is_lower else natives[0])
            return self.exchange.stream(channel, instrument, name)
        for rule in self.exchange.facts.symbols:
            probe = Instrument(name, _MARK, _MARK, kind=rule.kind)
            stream = self.exchange.stream(channel, probe, name)
            if stream.key == key:
                return stream
        return None

    def _template(self, channel: Channel) -> str:
        fact = self.exchange.facts.channels.get(f"{channel.kind}.{channel.variant}")
        fact = fact or self.exchange.facts.channels[channel.kind]
        subscribe = self.exchange.facts.subscribe
        return (fact.key or subscribe.key) + (fact.topic or subscribe.topic)

    def _raw(self, key: bytes, text: str) -> Stream:
        fact = ChannelFact(name=text, route=next(iter(self.exchange.facts.routes)), quiet_s=None)
        return Stream(
            self.exchange.facts.name, "raw", text, text, key, connection=self.exchange.facts.name, fact=fact
        )

    def instrument(self, native: str) -> Instrument:
        """From the recorded list, else with the facts' default scales."""
        if native in self._known:
            return self._known[native]
        if native not in self._made:
            facts = self.exchange.facts
            symbol = unified_symbol(self.exchange, native)
            try:
                made = self.exchange.instrument(symbol)
            except ConfigError:
                made = Instrument(
                    facts.name,
                    symbol,
                    native,
                    price_scale=facts.price_scale,
                    size_scale=facts.size_scale,
                    is_scale_known=False,
                )
            self._made[native] = made
        return self._made[native]


def _patterns(exchange: Exchange) -> list[tuple[str, Channel]]:
    """A regex over keys for each channel and variant; the group is the native symbol."""
    kinds = dict.fromkeys(rule.kind for rule in exchange.facts.symbols)
    probes = [Instrument(exchange.facts.name, _MARK, _MARK, kind=kind) for kind in kinds]
    mark = re.compile(re.escape(re.escape(_MARK)), re.IGNORECASE)
    out: dict[tuple[str, Channel], None] = {}
    for name, fact in exchange.facts.channels.items():
        kind, _, own = name.partition(".")
        for variant in (own,) if own else (*fact.variants,) or ("",):
            channel = Channel(kind, variant)
            for probe in probes:
                # A topic about all instruments of a kind has no native symbol in it, but one form per kind.
                key = re.escape(exchange.stream(channel, probe).key.decode())
                out[mark.sub(lambda _: '([^"@]+?)', key), channel] = None
    return list(out)
