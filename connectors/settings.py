"""What a config file says, decoded: frozen structs that refuse unknown keys. `config.py` reads the file
and checks it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class RttSettings(_Struct, frozen=True):
    """Round-trip time decides: measured at connect (`rounds` pings) and then every `every_s`."""

    rounds: int = 3
    max_ms: float | None = None  # above it: `action`
    baseline_factor: float = 4.0  # so far above its own EWMA baseline: `action`
    every_s: float = 30.0
    action: Literal["reconnect", "warn"] = "warn"
    race: int = 1  # candidates that are dialled for one switch; the fastest stays


class HeartbeatSettings(_Struct, frozen=True):
    """Instead of the facts' values; None: theirs."""

    every_s: float | None = None
    reply_s: float | None = None


class BackoffSettings(_Struct, frozen=True):
    """One immediate try, then full jitter: uniform(0, min(max_s, base_s * 2**n)); reset after reset_s of
    data."""

    base_s: float = 0.5
    max_s: float = 30.0
    reset_s: float = 60.0


class BackpressureSettings(_Struct, frozen=True):
    high_bytes: int = 64 * 1024  # send buffer: on_pause above, on_resume below a quarter
    slow_callback_ms: float = 5.0  # one callback longer than this is told, with the strategy's name


class TlsSettings(_Struct, frozen=True):
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True


class ScaleSettings(_Struct, frozen=True):
    """Decimal digits of one symbol, where the venue's instrument list is not read."""

    price_scale: int
    size_scale: int


class ConnectionSettings(_Struct, frozen=True):
    """One entry of `connections`. `channels`: "trade", "candle.1m", or {kind: venue's own channel name}."""

    exchange: str
    symbols: tuple[str, ...]
    channels: tuple[str | dict[str, str], ...]
    name: str = ""  # default: the exchange's name, with a number if it occurs twice
    url: str | None = None  # scheme://host:port instead of the facts'; their paths stay
    rest_url: str | None = None
    proxy: str | None = None
    headers: dict[str, str] = {}
    tls: TlsSettings = TlsSettings()
    heartbeat: HeartbeatSettings = HeartbeatSettings()
    rtt: RttSettings = RttSettings()
    backoff: BackoffSettings = BackoffSettings()
    backpressure: BackpressureSettings = BackpressureSettings()
    # rest: read the venue's list at start, no run without it; rest_or_default: default scales where it tells
    # nothing; default: do not ask
    instruments: Literal["rest", "rest_or_default", "default"] = "rest"
    instruments_s: float = 60.0  # so long the list is asked for again
    scales: dict[str, ScaleSettings] = {}
    continuity: str | None = None  # instead of the book channel's rule (old captures)


class StrategySettings(_Struct, frozen=True):
    """One entry of `strategies`. use: "module:Class", or "./file.py:Class" relative to the config file."""

    use: str
    name: str = ""
    params: dict[str, Any] = {}
    connections: tuple[str, ...] = ()  # (): all
    max_errors: int = 10  # exceptions in a row that switch it off; 0: never


class RecordSettings(_Struct, frozen=True):
    dir: str
    max_bytes: int | None = None  # a new file after that many compressed bytes


class MetricsSettings(_Struct, frozen=True):
    every_s: float = 1.0  # of the live table; plain log lines come every 10 of these
    file: str | None = None  # JSON lines


class MockSettings(_Struct, frozen=True):
    """The run starts a mock exchange for each exchange of its connections and dials it instead of the venue.

    Their `url` and `rest_url` are filled in; what a connection gives itself stays. No network is needed.
    """

    seed: int = 1  # of the generator: the same seed gives the same messages
    rate: float = 50.0  # steps of the market a second and symbol; most streams send a message at each
    faults: tuple[str, ...] = ()  # as of `connectors mock --fault`


class Settings(_Struct, frozen=True):
    """A whole config file."""

    connections: tuple[ConnectionSettings, ...]
    strategies: tuple[StrategySettings, ...] = ()
    loop: Literal["asyncio", "uvloop"] = "asyncio"
    # picows.BusyPoll: True never sleeps, a number sleeps after so many quiet seconds
    busy_poll: bool | float = False
    exchange_dirs: tuple[str, ...] = ()  # more facts files, relative to the config file
    record: RecordSettings | None = None
    metrics: MetricsSettings = MetricsSettings()
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    for_s: float | None = None  # the run stops by itself after that; None: when told to
    mock: MockSettings | None = None
