"""Replay: records of a capture enter the sessions' code at the door where frames enter it live.

Without tasks and wall clock: time is that of the records, REST answers come where they were recorded. Two
replays of one file make the same calls with the same numbers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from connectors.capture import FLAG_FRAGMENT, Record, RecordKind
from connectors.capture_file import END
from connectors.clock import ManualClock
from connectors.dispatch import Slot
from connectors.errors import CaptureError, ConfigError, DecodeError, StrategyError
from connectors.exchange import Exchange
from connectors.foreign import open_any
from connectors.header import recorded_connections, recorded_instruments
from connectors.hub import Hub
from connectors.instrument import Instrument, Stream
from connectors.inverse import StreamFinder, data_key
from connectors.loader import load_strategies
from connectors.registry import load_exchange
from connectors.replay_context import ReplayContext
from connectors.replay_venue import ReplayVenue
from connectors.replay_view import engine_view
from connectors.settings import ConnectionSettings, Settings
from connectors.strategy import Strategy
from connectors.streams import make_streams
from connectors.view import EngineView
from connectors.wanted import mark

log = logging.getLogger(__name__)

CLOSE = 8  # opcode
PACES = ("fast", "paced", "stepped")


class Replay:
    """One pass over a capture file (our own or a foreign one, foreign.open_any).

    settings: its connections name the streams; without connections the streams are those found in the file.
    strategies: instead of the settings'. exchange: the venue of a file that does not say.
    pace: "fast"; "paced": as recorded, `speed` times as fast; "stepped": the caller calls `step()`.
    sleep: what "paced" waits with. Raises ConfigError (strategies, pace), CaptureError (no capture).
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        strategies: Sequence[Strategy] | None = None,
        *,
        base_dir: Path = Path(),
        pace: str = "fast",
        speed: float = 1.0,
        exchange: str = "",
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if pace not in PACES:
            raise ConfigError(f"pace: expected one of {', '.join(PACES)}, got {pace!r}")
        if speed <= 0:
            raise ConfigError(f"speed: expected more than 0, got {speed}")
        self.path = path
        self.settings = settings
        self.clock = ManualClock()
        self.hub = Hub(self.clock, self.stop)
        self.venues: dict[str, ReplayVenue] = {}  # by exchange
        self.instruments: dict[str, Instrument] = {}
        self.records = 0
        self.first_ns = 0
        self._pace = pace
        self._speed = speed
        self._sleep = sleep
        self._monotonic = monotonic
        self._default_exchange = exchange or _only_exchange(settings)
        self._dirs = [base_dir / each for each in settings.exchange_dirs]
        self._exchanges: dict[str, Exchange] = {}
        self._of_conn: dict[int, str] = {}
        self._kept: set[str] = set()  # keys of instruments whose book somebody asked for
        self._recorded: tuple[
            ConnectionSettings, ...
        ] = ()  # of the header; used where the settings have none
        self._stop_reason: str | None = None
        self._records: Iterator[Record] | None = None
        self._began_s = 0.0
        found = load_strategies(settings, base_dir) if strategies is None else strategies
        self._add_slots(found)

    def _add_slots(self, strategies: Sequence[Strategy]) -> None:
        known = self.settings.strategies
        for number, strategy in enumerate(strategies):
            each = known[number] if len(known) == len(strategies) else None
            max_errors = each.max_errors if each else 10
            self.hub.add(Slot(strategy, self.hub, connections=(), max_errors=max_errors))

    # Life

    def run(self) -> EngineView:
        """From the first record to the last one or `stop()`. Raises as start()."""
        self.start()
        try:
            while self.step() is not None:
                pass
        finally:
            self.close()
        return self.view()

    def start(self) -> None:
        """Look through the file, make streams and books, call on_start.

        Raises CaptureError, ConfigError (symbols, on_start), StrategyError (on_start raised).
        """
        known, keys = self._scan()
        for name, exchange in self._exchanges.items():
            streams = self._streams(exchange, known.get(name, {}), keys.get(name, ()))
            continuity = next((c.continuity for c in self._connections if c.exchange == name), None)
            self.venues[name] = ReplayVenue(
                name, exchange, streams, self.hub.slots, self.hub, self.clock, continuity
            )
        self._tell_guessed()
        for slot in self.hub.slots:
            try:
                slot.strategy.on_start(ReplayContext(self, slot.name))
            except ConfigError:
                raise
            except (Exception, SystemExit, asyncio.CancelledError) as error:
                raise StrategyError(f"strategy {slot.name}: on_start raised {error!r}") from error
        self.mark()
        self._records = iter(open_any(self.path, self._default_exchange))
        self._began_s = self._monotonic()

    def step(self) -> Record | None:
        """Feed the next record and return it; None: the end, or stopped."""
        assert self._records is not None, "start() comes first"
        record = None if self._stop_reason is not None else next(self._records, None)
        if record is None:
            return None
        if self._pace == "paced":
            self._wait(record.ns)
        self.records += 1
        self.first_ns = self.first_ns or record.ns
        # Logs of several threads may be a little out of order; time itself never goes back.
        self.clock.now_ns = max(self.clock.now_ns, record.ns)
        self._feed(record)
        return record

    def stop(self, reason: str = "") -> None:
        """No record is fed any more."""
        if self._stop_reason is None:
            self._stop_reason = reason or "stopped"

    def close(self) -> None:
        """Call every on_stop."""
        for slot in self.hub.slots:
            try:
                slot.strategy.on_stop()
            except (Exception, SystemExit, asyncio.CancelledError):
                log.exception("strategy %s: on_stop raised", slot.name)

    def view(self) -> EngineView:
        """A picture, as of a live engine."""
        return engine_view(self.clock.time_ns(), self.first_ns, self.venues.values(), self.hub.slots)

    def _wait(self, ns: int) -> None:
        if not self.first_ns:
            return
        left_s = (ns - self.first_ns) / 1e9 / self._speed - (self._monotonic() - self._began_s)
        if left_s > 0:
            self._sleep(left_s)

    # Streams

    @property
    def _connections(self) -> Sequence[ConnectionSettings]:
        return self.settings.connections or self._recorded

    def _tell_guessed(self) -> None:
        guessed = [key for key, each in self.instruments.items() if not each.is_scale_known]
        if guessed:
            log.warning(
                "%s: no instrument list in it; the scales of %s are GUESSED",
                self.path.name,
                ", ".join(guessed),
            )

    def mark(self) -> None:
        """Streams that somebody listens to are decoded."""
        for venue in self.venues.values():
            mark(venue.streams, self.hub.slots, self._kept)

    def keep_book(self, instrument: Instrument) -> None:
        self._kept.add(instrument.key)
        self.mark()

    def _exchange(self, name: str) -> str:
        name = name or self._default_exchange
        if not name:
            raise CaptureError(f"{self.path}: the file does not name its exchange; expected one to be given")
        if name not in self._exchanges:
            self._exchanges[name] = load_exchange(name, self._dirs)
        return name

    def _streams(
        self, exchange: Exchange, known: Mapping[str, Instrument], keys: Sequence[bytes]
    ) -> list[Stream]:
        name = exchange.facts.name
        found: dict[tuple[bytes, str], Stream] = {}
        for each in self._connections:
            if each.exchange == name:
                for stream in make_streams(name, each, exchange, known, self.instruments):
                    found.setdefault((stream.key, stream.kind), stream)
        if not self.settings.connections:
            finder = StreamFinder(exchange, known)
            told = {key for key, _ in found}
            for key in keys:
                for stream in finder.find(key) if key not in told else ():
                    found[stream.key, stream.kind] = stream
                    if stream.instrument is not None:
                        self.instruments.setdefault(stream.instrument.key, stream.instrument)
        return list(found.values())

    def _scan(self) -> tuple[dict[str, dict[str, Instrument]], dict[str, list[bytes]]]:
        """Instrument lists, and the keys of data frames where no config names the streams, by exchange."""
        known: dict[str, dict[str, Instrument]] = {}
        keys: dict[str, dict[bytes, None]] = {}
        for name in dict.fromkeys(each.exchange for each in self.settings.connections):
            self._exchange(name)
        for record in open_any(self.path, self._default_exchange):
            if record.kind == RecordKind.HEADER:
                header = _json(record.payload)
                self._recorded = recorded_connections(header)
                known.update(recorded_instruments(header))
            elif record.kind == RecordKind.CONNECT:
                info = _json(record.payload)
                self._of_conn[record.conn_id] = self._exchange(str(info.get("exchange", "")))
            elif record.kind == RecordKind.REST:
                self._read_list(record, known)
            elif record.kind == RecordKind.FRAME_IN and 1 <= record.opcode <= 2:
                name = self._of_conn.get(record.conn_id) or self._exchange("")
                key = data_key(self._exchanges[name].facts, record.payload)
                if key is not None:
                    keys.setdefault(name, {})[key] = None
                if self.settings.connections and all(name in known for name in self._exchanges):
                    break
        return known, {name: list(each) for name, each in keys.items()}

    def _read_list(self, record: Record, known: dict[str, dict[str, Instrument]]) -> None:
        """An instrument list that was read over REST."""
        head, _, body = record.payload.partition(b"\n")
        info = _json(head)
        name = self._exchange(str(info.get("exchange", "")))
        exchange = self._exchanges[name]
        path = urlsplit(str(info.get("url", ""))).path
        if path and path in {urlsplit(request.url).path for request in exchange.instrument_requests()}:
            try:
                known.setdefault(name, {}).update(
                    (each.native, each) for each in exchange.parse_instruments(body)
                )
            except DecodeError as error:
                log.warning("%s: an instrument list of %s cannot be read: %s", self.path, name, error)

    # Records

    def _feed(self, record: Record) -> None:
        if record.kind == RecordKind.FRAME_IN:
            venue = self.venues[self._of_conn.get(record.conn_id) or self._exchange("")]
            is_final = not record.flags & FLAG_FRAGMENT
            venue.frame(record.conn_id, record.opcode, record.payload, record.ns, is_final)
        elif record.kind == RecordKind.FRAME_OUT:
            name = self._of_conn.get(record.conn_id, "")
            if name and record.opcode == CLOSE:
                self.venues[name].leave(record.conn_id)
        elif record.kind == RecordKind.REST:
            head, _, body = record.payload.partition(b"\n")
            info = _json(head)
            if info.get("status", 200) == 200:
                name = self._exchange(str(info.get("exchange", "")))
                self.venues[name].rest(str(info.get("url", "")), body, record.ns)
        elif record.kind == RecordKind.MARKER:
            text = record.payload.decode("utf-8", "replace")
            if text != END:
                log.warning("%s: at %d ns: %s", self.path.name, record.ns, text)
        elif record.kind == RecordKind.CONNECT:
            info = _json(record.payload)
            name = self._of_conn[record.conn_id] = self._exchange(str(info.get("exchange", "")))
            self.venues[name].connect(record.conn_id, str(info.get("route", "")), str(info.get("url", "")))
        elif record.kind == RecordKind.DISCONNECT:
            name = self._of_conn.get(record.conn_id, "")
            if name:
                self.venues[name].disconnect(record.conn_id, str(_json(record.payload).get("reason", "")))


def _only_exchange(settings: Settings) -> str:
    names = {each.exchange for each in settings.connections}
    return names.pop() if len(names) == 1 else ""


def _json(payload: bytes) -> dict[str, object]:
    try:
        return msgspec.json.decode(payload, type=dict[str, object])
    except msgspec.DecodeError as error:
        raise CaptureError(f"a record's JSON cannot be read: {error}: {payload[:80]!r}") from error
