"""Which streams have to be decoded: those whose typed callback some strategy overrides."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from connectors.dispatch import Slot
from connectors.instrument import Stream

CALLBACK_OF_KIND = {
    "trade": "on_trade",
    "quote": "on_quote",
    "book": "on_book",
    "ticker": "on_ticker",
    "candle": "on_candle",
    "funding": "on_funding",
    "liquidation": "on_liquidation",
}


def mark(streams: Iterable[Stream], slots: Sequence[Slot], books: Collection[str] = ()) -> None:
    """Set `is_wanted` of each stream. books: keys of instruments whose book is kept although nobody
    overrides on_book.

    A stream of kind "raw" is never decoded: on_ws_frame has it.
    """
    wanted = {name for slot in slots for name in slot.callbacks}
    for stream in streams:
        is_kept = stream.kind == "book" and stream.instrument is not None and stream.instrument.key in books
        stream.is_wanted = is_kept or CALLBACK_OF_KIND.get(stream.kind, "") in wanted
