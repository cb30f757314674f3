"""permessage-deflate in the handshake: what is offered, what is chosen, what that means for each side.

Pure functions over headers; nothing is compressed here. Source: RFC 7692 sections 5 and 7.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from picows.http1 import Headers
from picows.negotiation import extension_offers, offered_extensions

EXTENSION = "permessage-deflate"
HEADER = "Sec-WebSocket-Extensions"

_MAX_BITS = 15
# 7.1.2: a decimal integer from 8 to 15 without leading zeros.
_BITS = {str(bits): bits for bits in range(8, _MAX_BITS + 1)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PerMessageDeflate:
    """Ask for compression: `ws_connect(..., compression=PerMessageDeflate())`, and for a server alike.

    Both sides must want it; if the other does not, the connection works without. What was agreed on stands in
    `transport.response.headers["Sec-WebSocket-Extensions"]`.

    server_no_context_takeover, client_no_context_takeover: that side compresses each message by itself. Less
        memory between messages, on both sides, and less compression.
    server_max_window_bits, client_max_window_bits: 8 to 15; that side's window is 2**bits bytes at most. With
        less than 15, a server declines clients that cannot limit their window, and a client's connection is
        not compressed by servers that cannot limit theirs.
    compression_level: 0 to 9, -1 is zlib's default (6).
    mem_level: 1 to 9. A compressor takes 2**(bits + 2) + 2**(mem_level + 9) bytes, 256 KiB by default, from
        the first message on; inflating takes 2**bits and about 10 KiB.
    threshold: a message of fewer bytes is sent as it is, unless it is sent in fragments.
    max_message_size: most bytes that a received message may inflate to, over all its fragments; a larger one
        closes the connection with 1009. `max_frame_size` is about the frame as it is on the wire.

    Raises TypeError or ValueError for values out of range.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = _MAX_BITS
    client_max_window_bits: int = _MAX_BITS
    compression_level: int = -1
    mem_level: int = 8
    threshold: int = 0
    max_message_size: int = 10 * 1024 * 1024

    def __post_init__(self) -> None:
        for name in ("server_no_context_takeover", "client_no_context_takeover"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name}: expected True or False, got {getattr(self, name)!r}")
        _check_range("server_max_window_bits", self.server_max_window_bits, 8, _MAX_BITS)
        _check_range("client_max_window_bits", self.client_max_window_bits, 8, _MAX_BITS)
        _check_range("compression_level", self.compression_level, -1, 9)
        _check_range("mem_level", self.mem_level, 1, 9)
        _check_range("threshold", self.threshold, 0, 2**62)
        _check_range("max_message_size", self.max_message_size, 1, 2**62)


def _check_range(name: str, value: int, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: expected an int, got {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name}: expected {least} to {most}, got {value}")


class Agreed(NamedTuple):
    """What both sides have agreed on, seen from ours."""

    deflate_bits: int  # our window
    deflates_afresh: bool  # we compress each message by itself
    inflate_bits: int
    inflates_afresh: bool
    options: PerMessageDeflate


class _Parameters(NamedTuple):
    """The parameters of one element; bits are None where not given, 0 for client_max_window_bits alone."""

    server_no_context_takeover: bool
    client_no_context_takeover: bool
    server_max_window_bits: int | None
    client_max_window_bits: int | None


def _parse(parameters: Sequence[tuple[str, str | None]], *, is_offer: bool) -> _Parameters:
    """Raises ValueError for what 7.1 calls invalid: unknown or repeated parameters and wrong values."""
    given: dict[str, int] = {}
    for name, value in parameters:
        if name in given:
            raise ValueError(f"{name} is given twice")
        if name in ("server_no_context_takeover", "client_no_context_takeover"):
            if value is not None:
                raise ValueError(f"{name} takes no value, got {value!r}")
            given[name] = 1
        elif name == "client_max_window_bits" and value is None and is_offer:
            given[name] = 0
        elif name in ("server_max_window_bits", "client_max_window_bits"):
            if value not in _BITS:
                raise ValueError(f"{name}: expected 8 to 15, got {value!r}")
            given[name] = _BITS[value]
        else:
            raise ValueError(f"unknown parameter {name!r}")
    return _Parameters(
        "server_no_context_takeover" in given,
        "client_no_context_takeover" in given,
        given.get("server_max_window_bits"),
        given.get("client_max_window_bits"),
    )


def _format(
    server_afresh: bool, client_afresh: bool, server_bits: int | None, client_bits: int | None
) -> str:
    parts = [EXTENSION]
    if server_afresh:
        parts.append("server_no_context_takeover")
    if client_afresh:
        parts.append("client_no_context_takeover")
    if server_bits is not None:
        parts.append(f"server_max_window_bits={server_bits}")
    if client_bits is not None:
        parts.append(f"client_max_window_bits={client_bits}" if client_bits else "client_max_window_bits")
    return "; ".join(parts)


def _limit(bits: int) -> int | None:
    """What a window limit is in a header: no word of it where it is none."""
    return bits if bits < _MAX_BITS else None


# ---------------------------------------------------------------- the client


def with_offer(headers: list[tuple[str, str]], options: PerMessageDeflate | None) -> list[tuple[str, str]]:
    """The request's headers with the offer that `options` make; None makes none.

    client_max_window_bits is always there: a server that wants to limit our window may (7.1.2.2). Raises
    ValueError if the caller's own headers offer permessage-deflate beside it.
    """
    if options is None:
        return headers
    if EXTENSION in offered_extensions(headers):
        raise ValueError(f"compression offers {EXTENSION}; leave it out of extra_headers")
    offer = _format(
        options.server_no_context_takeover,
        options.client_no_context_takeover,
        _limit(options.server_max_window_bits),
        _limit(options.client_max_window_bits) or 0,
    )
    return [*headers, (HEADER, offer)]


def check_answer(headers: Headers, options: PerMessageDeflate | None) -> Agreed | None:
    """What a server's 101 has made of our offer; None: the connection is not compressed.

    Raises ValueError if the answer does not fit the offer; the client must fail the connection (5.1, 7.1).
    """
    if options is None:
        return None
    answers = [parameters for name, parameters in extension_offers(headers) if name == EXTENSION]
    if not answers:
        return None
    if len(answers) > 1:
        raise ValueError(f"{EXTENSION} is chosen twice")
    got = _parse(answers[0], is_offer=False)
    server_bits = got.server_max_window_bits or _MAX_BITS
    client_bits = got.client_max_window_bits or _MAX_BITS
    if options.server_no_context_takeover and not got.server_no_context_takeover:
        raise ValueError("server_no_context_takeover was offered and is not confirmed")  # 7.1.1.1
    if server_bits > options.server_max_window_bits:  # 7.1.2.1
        limit = options.server_max_window_bits
        raise ValueError(f"server_max_window_bits: expected at most {limit}, got {server_bits}")
    if got.client_max_window_bits is not None and client_bits > options.client_max_window_bits:  # 7.1.2.2
        limit = options.client_max_window_bits
        raise ValueError(f"client_max_window_bits: expected at most {limit}, got {client_bits}")
    return Agreed(
        deflate_bits=min(client_bits, options.client_max_window_bits),
        deflates_afresh=got.client_no_context_takeover or options.client_no_context_takeover,
        inflate_bits=server_bits,
        inflates_afresh=got.server_no_context_takeover,
        options=options,
    )


# ---------------------------------------------------------------- the server


def choose(headers: Headers, options: PerMessageDeflate | None) -> tuple[str, Agreed] | None:
    """The first offer in a request that the server can accept: (element of its answer, what it means).

    None declines: no offer, or none that is valid and within `options`. Raises ValueError if the header is
    malformed as a whole.
    """
    if options is None:
        return None
    for name, parameters in extension_offers(headers):
        if name != EXTENSION:
            continue
        try:
            offer = _parse(parameters, is_offer=True)
        except ValueError:
            continue  # 7: decline an offer with an invalid parameter; the next may be better
        chosen = _accept(offer, options)
        if chosen is not None:
            return chosen
    return None


def _accept(offer: _Parameters, options: PerMessageDeflate) -> tuple[str, Agreed] | None:
    server_afresh = offer.server_no_context_takeover or options.server_no_context_takeover
    # The client's is a hint (7.1.1.2). To confirm it saves us what we would remember for nothing.
    client_afresh = offer.client_no_context_takeover or options.client_no_context_takeover
    server_bits = min(offer.server_max_window_bits or _MAX_BITS, options.server_max_window_bits)
    client_bits = min(offer.client_max_window_bits or _MAX_BITS, options.client_max_window_bits)
    if offer.client_max_window_bits is None and client_bits < _MAX_BITS:
        return None  # 7.1.2.2: only a client that has said it can, may be told to limit its window
    # 7.1.2.1: an offered server_max_window_bits is answered, also where it says 15.
    is_answered = offer.server_max_window_bits is not None or server_bits < _MAX_BITS
    element = _format(server_afresh, client_afresh, server_bits if is_answered else None, _limit(client_bits))
    agreed = Agreed(
        deflate_bits=server_bits,
        deflates_afresh=server_afresh,
        inflate_bits=client_bits,
        inflates_afresh=client_afresh,
        options=options,
    )
    return element, agreed
