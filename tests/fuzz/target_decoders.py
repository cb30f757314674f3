"""Any bytes from a venue are an event, or DecodeError or ScaleError; classify() always has an answer."""

import functools

from connectors import Channel, DecodeError, ScaleError
from connectors.exchange import Inbound

from ..exchanges.test_malformed import MESSAGES, VENUES, Nothing, decoded
from .inputs import Choices

# One stream of each venue and channel that the documents have a message of.
STREAMS = sorted({(venue, channel, symbol) for venue, channel, symbol, _ in MESSAGES})


def seeds():
    """Every message of the documents, read by the stream it is for."""
    for venue, channel, symbol, text in MESSAGES:
        yield text.encode() + bytes([STREAMS.index((venue, channel, symbol))])


@functools.cache
def _sink(venue, channel, symbol):
    exchange = VENUES[venue]
    instrument = exchange.instrument(symbol)
    sink = Nothing()
    sink.stream = exchange.stream(Channel.parse(channel), instrument)
    sink.instruments = {instrument.native: instrument}
    return exchange, sink


def check(data):
    choices = Choices(data)
    exchange, sink = _sink(*choices.one_of(STREAMS))
    payload = memoryview(choices.payload())
    assert decoded(exchange, payload, sink) in (None, DecodeError, ScaleError)
    assert isinstance(exchange.classify(payload), Inbound)
