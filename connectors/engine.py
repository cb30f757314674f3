"""A run: settings become connections, books and strategies; they live until stop()."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from connectors.backoff import Window
from connectors.book import Book
from connectors.clock import Clock, SystemClock
from connectors.connection import Connection, ConnIds
from connectors.dial import tls_context
from connectors.dispatch import Slot
from connectors.errors import ConfigError, StrategyError
from connectors.exchange import Exchange
from connectors.header import header_of, instruments_of
from connectors.hub import Hub
from connectors.instrument import Instrument, Stream
from connectors.listing import Known, check_listed, read_listing
from connectors.loader import load_strategies
from connectors.picture import connection_view, strategy_view
from connectors.recorder import Recorder
from connectors.registry import load_exchange
from connectors.rest import LiveRest
from connectors.settings import ConnectionSettings, Settings
from connectors.status import label_of
from connectors.strategy import Strategy
from connectors.streams import connection_names, make_instrument, make_streams, parse_channel
from connectors.tap import Tap
from connectors.view import EngineView

log = logging.getLogger(__name__)


class Engine:
    """base_dir: the config's directory, paths are relative to it. strategies: instead of the config's.

    A tap that is given is fed and left open; else `settings.record` makes a recorder.
    Raises ConfigError from the constructor (unknown exchange, strategies) and from run (symbols, on_start).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        base_dir: Path,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        tap: Tap | None = None,
        strategies: Sequence[Strategy] | None = None,
    ) -> None:
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.connections: dict[str, Connection] = {}
        self.instruments: dict[str, Instrument] = {}
        self.hub = Hub(self.clock, self.stop)
        self._base_dir = base_dir
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._tap = tap
        self._recorder: Recorder | None = None
        self._started_ns = self.clock.time_ns()
        self._stop_reason: str | None = None
        self._stopping: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._rests: dict[str, LiveRest] = {}
        self._dials: dict[str, Window] = {}
        self._lists: dict[tuple[str, str | None], Known] = {}  # by exchange and REST host
        dirs = [base_dir / each for each in settings.exchange_dirs]
        self._exchanges = {each.exchange: load_exchange(each.exchange, dirs) for each in settings.connections}
        self._add_slots(load_strategies(settings, base_dir) if strategies is None else strategies)

    def _add_slots(self, strategies: Sequence[Strategy]) -> None:
        known = self.settings.strategies
        for number, strategy in enumerate(strategies):
            each = known[number] if number < len(known) and len(known) == len(strategies) else None
            self.hub.add(
                Slot(
                    strategy,
                    self.hub,
                    connections=each.connections if each else (),
                    max_errors=each.max_errors if each else 10,
                )
            )

    # Life

    async def run(self, *, for_s: float | None = None) -> EngineView:
        """Until stop(), or for so many seconds. Returns the last picture.

        Raises ConfigError before any WebSocket opens; StrategyError: a strategy's on_start raised.
        """
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        if self._stop_reason is not None:
            self._stopping.set()
        timer = self._loop.call_later(for_s, self.stop, f"{for_s:g} s are over") if for_s else None
        try:
            self._open_tap()
            if not await self._is_built():
                return self.view()
            started = self._start_strategies()
            try:
                self._started_ns = self.clock.time_ns()
                for connection in self.connections.values():
                    connection.start()
                await self._stopping.wait()
            finally:
                reason = self._stop_reason or "stopped"
                await asyncio.gather(*(each.stop(reason) for each in self.connections.values()))
                self._stop_strategies(started)
        finally:
            if timer is not None:
                timer.cancel()
            await asyncio.gather(*(rest.close() for rest in self._rests.values()))
            if self._recorder is not None:
                self._recorder.close()
        return self.view()

    def stop(self, reason: str = "") -> None:
        """End the run; from any thread, from a signal handler, before run() too."""
        if self._stop_reason is None:
            self._stop_reason = reason or "stopped"
        if self._loop is not None and self._stopping is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)

    @property
    def stop_reason(self) -> str:
        """Why the run ended or is ending; "" while it goes on."""
        return self._stop_reason or ""

    @property
    def recorded(self) -> tuple[Path, ...]:
        """Files that its recorder has written."""
        return tuple(self._recorder.paths) if self._recorder is not None else ()

    def _open_tap(self) -> None:
        record = self.settings.record
        if self._tap is None and record is not None:
            header = header_of(self.settings)
            self._recorder = Recorder(self._base_dir / record.dir, record.max_bytes, self.clock, header)
            try:
                self._recorder.start()
            except OSError as error:
                raise ConfigError(f"record.dir: {self._recorder.dir} cannot be written: {error}") from error
            self._tap = self._recorder

    # Connections

    async def _is_built(self) -> bool:
        """False: told to stop while a venue's list was still waited for."""
        assert self._stopping is not None
        build = asyncio.ensure_future(self._build())
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((build, stop), return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_built = build.done()
            for task in (build, stop):
                task.cancel()
        if is_built:
            build.result()
        return is_built

    async def _build(self) -> None:
        conn_ids = ConnIds()
        names = connection_names(self.settings.connections)
        for name, each in zip(names, self.settings.connections, strict=True):
            exchange = self._exchanges[each.exchange]
            rest = self._rest(exchange, each)
            label = label_of(each.exchange, name)
            where = (each.exchange, each.rest_url)
            if not self._lists.get(where):
                self._lists[where] = await read_listing(label, exchange, each, rest, self.clock, self._rng)
            check_listed(label, each.symbols, each, exchange, self._lists[where])
            streams = make_streams(name, each, exchange, self._lists[where], self.instruments)
            self.connections[name] = Connection(
                name,
                each,
                exchange,
                streams,
                hub=self.hub,
                clock=self.clock,
                rng=self._rng,
                dials=self._dials_of(exchange, each),
                rest=rest,
                conn_ids=conn_ids,
                instruments=self.instruments,
                tap=self._tap,
            )
        self._note_instruments()

    def _rest(self, exchange: Exchange, settings: ConnectionSettings) -> LiveRest | None:
        """One client per host, for the weight is counted per host."""
        rest = exchange.facts.rest
        if rest is None:
            return None
        host = settings.rest_url or rest.url
        if host not in self._rests:
            tls = tls_context(settings.tls) if host.startswith("https") else None
            self._rests[host] = LiveRest(exchange, self.clock, tap=self._tap, proxy=settings.proxy, tls=tls)
        return self._rests[host]

    def _dials_of(self, exchange: Exchange, settings: ConnectionSettings) -> Window:
        """The budget of dials, per host: two connections to one host share it."""
        url = settings.url or next(iter(exchange.facts.routes.values())).url
        host = urlsplit(url).netloc
        return self._dials.setdefault(host, Window(exchange.facts.limits.connects))

    def _note_instruments(self) -> None:
        """Later files of a recording do not hold the venue's list."""
        if self._recorder is not None:
            self._recorder.note(instruments=instruments_of(self.instruments.values()))

    # Strategies

    def _start_strategies(self) -> list[Slot]:
        started: list[Slot] = []
        for slot in self.hub.slots:
            try:
                slot.strategy.on_start(_Context(self, slot.name))
            except (Exception, SystemExit, asyncio.CancelledError) as error:
                self._stop_strategies([*started, slot])
                if isinstance(error, ConfigError):
                    raise
                raise StrategyError(f"strategy {slot.name}: on_start raised {error!r}") from error
            started.append(slot)
        return started

    def _stop_strategies(self, slots: Sequence[Slot]) -> None:
        for slot in slots:
            try:
                slot.strategy.on_stop()
            except (Exception, SystemExit, asyncio.CancelledError):
                log.exception("strategy %s: on_stop raised", slot.name)

    # What strategies ask for (by way of their context)

    def book(self, instrument: Instrument | str) -> Book:
        """Raises KeyError, ConfigError."""
        known = self.instruments[instrument] if isinstance(instrument, str) else instrument
        for connection in self.connections.values():
            sync = connection.sync_of(known)
            if sync is not None:
                return sync.book
        raise ConfigError(f"{known.key}: no connection subscribes its book; add `book` to its channels")

    def _connection(self, name: str | None, symbol: str, channel: str) -> Connection:
        if name is None and len(self.connections) == 1:
            return next(iter(self.connections.values()))
        if name in self.connections:
            return self.connections[name]
        known = ", ".join(self.connections)
        raise ConfigError(
            f"{f'{symbol} {channel}'.strip()}: connection: expected one of {known}, got {name!r}"
        )

    def subscribe(self, symbol: str, channel: str, connection: str | None) -> Instrument:
        """Raises ConfigError."""
        home = self._connection(connection, symbol, channel)
        key = f"{home.exchange.facts.name}:{symbol}"
        instrument = self.instruments.get(key) or self._new_instrument(home, symbol)
        for wanted in parse_channel(channel):
            home.add(home.exchange.stream(wanted, instrument, home.name))
        self.instruments.setdefault(key, instrument)
        self._note_instruments()
        return instrument

    def _new_instrument(self, home: Connection, symbol: str) -> Instrument:
        """Of a symbol that the config does not name. Its scales are not guessed unless that is allowed."""
        known = self._lists.get((home.exchange.facts.name, home.settings.rest_url), {})
        check_listed(home.label, [symbol], home.settings, home.exchange, known)
        return make_instrument(symbol, home.settings, home.exchange, known)

    def unsubscribe(self, symbol: str, channel: str, connection: str | None) -> None:
        """Raises KeyError, ConfigError."""
        home = self._connection(connection, symbol, channel)
        home.remove(self._stream(home, symbol, channel))

    def send(self, payload: str | bytes, connection: str | None, route: str) -> bool:
        """Raises ConfigError."""
        home = self._connection(connection, "", "send")
        return home.send(payload.encode() if isinstance(payload, str) else payload, route)

    def _stream(self, home: Connection, symbol: str, channel: str) -> Stream:
        instrument = self.instruments[f"{home.exchange.facts.name}:{symbol}"]
        (wanted,) = parse_channel(channel)
        topic = home.exchange.stream(wanted, instrument, home.name).topic
        return home.streams[topic, wanted.kind]

    # Pictures

    def view(self) -> EngineView:
        """All of it at this moment: plain values, nothing is shared with the run."""
        return EngineView(
            ns=self.clock.time_ns(),
            started_ns=self._started_ns,
            connections=tuple(connection_view(each) for each in self.connections.values()),
            strategies=tuple(strategy_view(slot) for slot in self.hub.slots),
            recorder_drops=self._recorder.dropped if self._recorder is not None else 0,
        )


class _Context:
    """connectors.context.Context of one strategy."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self.log = logging.getLogger(f"strategies.{name}")

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        return self._engine.instruments

    @property
    def connections(self) -> tuple[str, ...]:
        return tuple(self._engine.connections)

    @property
    def clock(self) -> Clock:
        return self._engine.clock

    def book(self, instrument: Instrument | str) -> Book:
        return self._engine.book(instrument)

    def subscribe(self, symbol: str, channel: str, connection: str | None = None) -> Instrument:
        return self._engine.subscribe(symbol, channel, connection)

    def unsubscribe(self, symbol: str, channel: str, connection: str | None = None) -> None:
        self._engine.unsubscribe(symbol, channel, connection)

    def send(self, payload: str | bytes, connection: str | None = None, route: str = "") -> bool:
        return self._engine.send(payload, connection, route)

    def stop(self, reason: str = "") -> None:
        self._engine.stop(reason)
