"""From a connection's symbols and channels to its streams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connectors.connection import check_streams, key_of
from connectors.exchange import Channel, Exchange
from connectors.instrument import Instrument, Stream
from connectors.settings import ConnectionSettings


def connection_names(connections: Sequence[ConnectionSettings]) -> list[str]:
    """The config's names; where it gives none the exchange's, with a number if it occurs twice."""
    taken = {each.name for each in connections if each.name}
    names: list[str] = []
    for each in connections:
        name, number = each.name or each.exchange, 1
        while not each.name and name in taken:
            number += 1
            name = f"{each.exchange}-{number}"
        taken.add(name)
        names.append(name)
    return names


def parse_channel(channel: str | Mapping[str, str]) -> list[Channel]:
    """`trade`, `candle.1m`, or {kind: the venue's own channel name}."""
    if isinstance(channel, str):
        return [Channel.parse(channel)]
    return [Channel(*kind.partition(".")[::2], name) for kind, name in channel.items()]


def make_instrument(
    symbol: str, settings: ConnectionSettings, exchange: Exchange, known: Mapping[str, Instrument]
) -> Instrument:
    """Scales: of the config, else of the venue's list `known` (by native symbol), else the facts'
    defaults."""
    instrument = exchange.instrument(symbol, known)
    scales = settings.scales.get(symbol)
    if scales is None:
        return instrument
    return Instrument(
        instrument.exchange,
        instrument.symbol,
        instrument.native,
        kind=instrument.kind,
        price_scale=scales.price_scale,
        size_scale=scales.size_scale,
        price_tick=instrument.price_tick,
        size_step=instrument.size_step,
        contract_size=instrument.contract_size,
        is_inverse=instrument.is_inverse,
    )


def make_streams(
    name: str,
    settings: ConnectionSettings,
    exchange: Exchange,
    known: Mapping[str, Instrument],
    instruments: dict[str, Instrument],
) -> list[Stream]:
    """Streams of one connection, in the config's order. `instruments` (by key) grows: one object per
    instrument of a run.

    Raises ConfigError: a symbol or channel that the venue has not, two books of one instrument.
    """
    streams: list[Stream] = []
    shared: set[tuple[str, str]] = set()
    for symbol in settings.symbols:
        instrument = instruments.get(f"{exchange.facts.name}:{symbol}")
        if instrument is None:
            instrument = make_instrument(symbol, settings, exchange, known)
            instruments[instrument.key] = instrument
        for channel in settings.channels:
            for wanted in parse_channel(channel):
                stream = exchange.stream(wanted, instrument, name)
                if stream.instrument is None:
                    # One subscription for many instruments: each symbol asks for the same one.
                    if key_of(stream) in shared:
                        continue
                    shared.add(key_of(stream))
                streams.append(stream)
    check_streams(streams)
    return streams
