"""What verbs that read JSON into typed structs share: field types, scales, a door for malformed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from connectors.errors import ConfigError, DecodeError
from connectors.exchange import Exchange, Payload
from connectors.facts import Facts
from connectors.instrument import Instrument, Stream, scale_of
from connectors.sink import Sink

NS_PER_MS = 1_000_000

Millis = Annotated[int, msgspec.Meta(ge=0, le=9_223_372_036_853)]
"""Milliseconds since 1970 whose nanoseconds fit int64."""

Id = Annotated[int, msgspec.Meta(ge=-(2**63) + 1, le=2**63 - 1)]
"""An id that fits int64 and is not the value that means absent."""

Levels = msgspec.Raw
"""The JSON text of an array of rows [price, size, ...]: Sink.book reads it without Python objects."""

Rows = list[tuple[str, ...]]
"""The same as text, where verbs look at the rows themselves."""

Reader = Callable[[Stream, Payload, Sink], None]

MALFORMED = (msgspec.MsgspecError, UnicodeError, RecursionError)
"""What msgspec raises for bytes that are not the message they should be."""


def excerpt(payload: Payload, size: int = 200) -> str:
    """The beginning of a message, for error texts."""
    return bytes(payload[:size]).decode("utf-8", "replace")


def parse_object(payload: Payload) -> dict[str, Any] | None:
    """The JSON object of a frame that is no data frame, or None. Never raises."""
    try:
        message = msgspec.json.decode(payload)
    except MALFORMED:
        return None
    return message if isinstance(message, dict) else None


def text_of(value: object) -> str:
    """A value of parse_object as text for people."""
    return value if isinstance(value, str) else "" if value is None else str(value)


def int_of(value: object) -> int | None:
    """A request id, sent as a number or as text; None if it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    # A venue's own echo may be longer than any int we sent.
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    return None


def ns_of_text(millis: str | None) -> int:
    """Text of milliseconds as ns; 0 for None and ''. Raises DecodeError."""
    if not millis:
        return 0
    if not (millis.isascii() and millis.isdigit() and len(millis) <= 13 and int(millis) <= 9_223_372_036_853):
        raise DecodeError(f"expected milliseconds since 1970, got {millis!r:.60}")
    return int(millis) * NS_PER_MS


def price_scale_of(tick: Decimal) -> int:
    """Digits for prices: the tick's and two more, as mark and index prices are finer than it; at least 8.

    Scale 8 holds prices to 9.2e10; a tick finer than 1E-6 belongs to an instrument that is far below that.
    """
    return min(max(8, scale_of(tick) + 2), 18)


def size_scale_of(step: Decimal) -> int:
    """Digits for sizes. Old orders are finer than the step; coarse steps mean huge numbers."""
    digits = scale_of(step)
    return digits + 4 if digits < 3 else min(max(8, digits), 18)


class TypedExchange(Exchange):
    """Verbs that are a table of readers, one per kind of stream. Subclasses define `readers`."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._readers = self.readers()

    def readers(self) -> Mapping[str, Reader]:
        """Kind of stream -> what reads its messages. `decode` turns a reader's MALFORMED into DecodeError."""
        return {}

    def decode(self, stream: Stream, payload: Payload, sink: Sink) -> None:
        """Put what a data frame says into `sink`. Raises DecodeError, ScaleError."""
        reader = self._readers.get(stream.kind)
        if reader is None:
            raise DecodeError(f"{self.facts.name}: no decoder for {stream.kind}", stream=stream.topic)
        try:
            reader(stream, payload, sink)
        except MALFORMED as error:
            raise self.decode_error(stream, payload, error) from error

    def reader(self, stream: Stream) -> Reader:
        """The reader itself, where `decode` does no more than call it."""
        own = self._readers.get(stream.kind)
        return self.decode if own is None or type(self).decode is not TypedExchange.decode else own

    def decode_error(self, stream: Stream, payload: Payload, error: Exception) -> Exception:
        if not isinstance(error, MALFORMED):
            return error
        return DecodeError(f"{stream.topic}: {error}: {excerpt(payload)}", stream=stream.topic)

    def listed(
        self,
        symbol: str,
        native: str,
        kind: str,
        tick: str,
        step: str,
        *,
        contract_size: Decimal = Decimal(1),
        is_inverse: bool = False,
    ) -> Instrument | None:
        """An instrument of the venue's list; None if no unified name of the facts leads back to `native`."""
        try:
            if self.native_symbol(symbol) != native:
                return None
        except ConfigError:
            return None
        price_tick, size_step = decimal_of(tick), decimal_of(step)
        return Instrument(
            self.facts.name,
            symbol,
            native,
            kind=kind,
            price_scale=price_scale_of(price_tick),
            size_scale=size_scale_of(size_step),
            price_tick=price_tick,
            size_step=size_step,
            contract_size=contract_size,
            is_inverse=is_inverse,
        )


def decimal_of(text: str) -> Decimal:
    """A positive step. Raises DecodeError."""
    try:
        value = Decimal(text)
    except ArithmeticError:
        value = Decimal(0)
    if not value.is_finite() or value <= 0:
        raise DecodeError(f"expected a positive decimal number, got {text!r:.60}")
    return value
