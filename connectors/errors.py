"""Every failure of the connectors, each with the remedy its catcher applies.

    ConnectorError
    ├── ConfigError            STOP         the caller's mistake, told before any socket opens (also a
    ValueError)
    │   └── FactsError         STOP         a facts file is wrong
    ├── DecodeError            NONE         one message could not be read; counted, told, the next one may
    be fine
    │   └── ScaleError         NONE         a number does not fit the instrument's int64 scale
    ├── BookError              RESYNC       the local book is no longer true
    │   ├── BookGap            RESYNC       the exchange skipped sequence numbers
    │   ├── BookChecksum       RESYNC       our levels give another checksum than the exchange's
    │   └── BookCrossed        RESYNC       best bid >= best ask after a change
    ├── SubscribeError         RESUBSCRIBE  refused, never acked, or acked and silent
    ├── ConnectionLost         RECONNECT    closed, reset, half-open, too slow
    │   └── RateLimited        RECONNECT    the venue told us to wait: `retry_after_s`
    ├── ListingError           STOP         the venue's instrument list cannot be read
    ├── CaptureError           STOP         not a capture, or one of a newer version
    └── StrategyError          NONE         a strategy raised; it is isolated and counted

Shared code acts on `error.remedy`; it has no chain of `except`.
"""

from __future__ import annotations

import enum


class Remedy(enum.Enum):
    """What the one who catches the error does next."""

    NONE = "none"  # count it, tell it, go on
    RESYNC = "resync"  # fetch this one book anew, beside the stream
    RESUBSCRIBE = "resubscribe"  # this one stream: unsubscribe, subscribe
    RECONNECT = "reconnect"  # this one connection
    STOP = "stop"  # a person must act


class ConnectorError(Exception):
    """Base of all. `symbol` and `stream` name what is concerned, when one thing is."""

    remedy = Remedy.NONE

    def __init__(self, message: str, *, symbol: str | None = None, stream: str | None = None) -> None:
        super().__init__(message)
        self.symbol = symbol
        self.stream = stream


class ConfigError(ConnectorError, ValueError):
    """Wrong configuration. `problems` holds all of them, one line each: `file:line: path: expected, got`."""

    remedy = Remedy.STOP

    def __init__(self, message: str, *, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message if not problems else "\n".join((message, *problems)))
        self.problems = problems


class FactsError(ConfigError):
    """A facts file is wrong; a user's own directory may hold some."""


class DecodeError(ConnectorError):
    """A message is not what the venue's documents say."""


class ScaleError(DecodeError):
    """A number needs more digits than the instrument's scale has, or leaves int64. Never rounded in
    silence."""


class BookError(ConnectorError):
    """The local book is no longer true."""

    remedy = Remedy.RESYNC


class BookGap(BookError):
    """The exchange skipped sequence numbers. `missing`: how many, 0 if the rule cannot tell."""

    def __init__(
        self, message: str, *, symbol: str | None = None, stream: str | None = None, missing: int = 0
    ) -> None:
        super().__init__(message, symbol=symbol, stream=stream)
        self.missing = missing


class BookChecksum(BookError):
    """Our levels give another checksum than the one in the message."""


class BookCrossed(BookError):
    """Best bid >= best ask where the venue's facts say that this never happens."""


class SubscribeError(ConnectorError):
    """A stream was refused, not acked in time, or acked and silent. `code` is the venue's own."""

    remedy = Remedy.RESUBSCRIBE

    def __init__(
        self, message: str, *, symbol: str | None = None, stream: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message, symbol=symbol, stream=stream)
        self.code = code


class ConnectionLost(ConnectorError):
    """The connection is gone or of no use."""

    remedy = Remedy.RECONNECT


class RateLimited(ConnectionLost):
    """HTTP 418/429, or the venue's own words. Nothing is dialled before `retry_after_s` has passed."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ListingError(ConnectorError):
    """The venue's instrument list cannot be read, so that scales would have to be guessed."""

    remedy = Remedy.STOP


class CaptureError(ConnectorError):
    """A file is not a capture, or one of a newer version. A torn tail is no error: the reader tells it."""

    remedy = Remedy.STOP


class StrategyError(ConnectorError):
    """A strategy could not be loaded, or raised."""
