"""What a recording says of the run that made it: its config without secrets, instruments, versions.

Only what is named here goes into the file: hosts without credentials and paths; no headers, proxies, TLS
files, parameters of strategies.
"""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterable, Mapping
from decimal import Decimal
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

import msgspec

from connectors.errors import ConfigError
from connectors.instrument import Instrument
from connectors.settings import ConnectionSettings, Settings, StrategySettings
from connectors.streams import connection_names

log = logging.getLogger(__name__)
_PLAIN = (
    "exchange", "symbols", "channels", "instruments", "scales", "continuity", "heartbeat", "rtt", "backoff",
    "backpressure",
)  # fmt: skip
_HOSTS = ("url", "rest_url")
_HIDDEN = ("proxy", "headers", "tls")
DISTRIBUTION = "picows-connectors"


def header_of(settings: Settings) -> dict[str, object]:
    """For the HEADER record, beside what the recorder itself puts there."""
    names = connection_names(settings.connections)
    pairs = zip(names, settings.connections, strict=True)
    config: dict[str, object] = {
        "connections": [_connection(name, each) for name, each in pairs],
        "strategies": [_strategy(each) for each in settings.strategies],
        "loop": settings.loop,
        "busy_poll": settings.busy_poll,
    }
    if settings.mock is not None:
        config["mock"] = msgspec.to_builtins(settings.mock)
    exchanges = sorted({each.exchange for each in settings.connections})
    return {"exchanges": exchanges, "config": config, "versions": versions()}


def versions() -> dict[str, str]:
    """Of what decodes the messages."""
    try:
        own = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:  # a source tree that is not installed
        own = "unknown"
    return {
        DISTRIBUTION: own,
        "msgspec": metadata.version("msgspec"),
        "python": platform.python_version(),
        "platform": platform.platform(),
    }


def _connection(name: str, settings: ConnectionSettings) -> dict[str, object]:
    out: dict[str, object] = {"name": name}
    for key in _PLAIN:
        out[key] = msgspec.to_builtins(getattr(settings, key))
    for key in _HOSTS:
        url = getattr(settings, key)
        out[key] = None if url is None else _host(url)
    default = ConnectionSettings(exchange="", symbols=(), channels=())
    out["hidden"] = [key for key in _HIDDEN if getattr(settings, key) != getattr(default, key)]
    return out


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _strategy(settings: StrategySettings) -> dict[str, object]:
    return {
        "use": settings.use,
        "name": settings.name,
        "connections": settings.connections,
        "max_errors": settings.max_errors,
        "params": sorted(settings.params),  # names only
    }


def instruments_of(instruments: Iterable[Instrument]) -> list[dict[str, Any]]:
    """For the header of a later file of the same run, which does not hold the venue's list."""
    return [
        {
            "exchange": each.exchange,
            "symbol": each.symbol,
            "native": each.native,
            "kind": each.kind,
            "price_scale": each.price_scale,
            "size_scale": each.size_scale,
            "price_tick": None if each.price_tick is None else str(each.price_tick),
            "size_step": None if each.size_step is None else str(each.size_step),
            "contract_size": str(each.contract_size),
            "is_inverse": each.is_inverse,
            "is_scale_known": each.is_scale_known,
        }
        for each in instruments
    ]


def recorded_connections(header: Mapping[str, object]) -> tuple[ConnectionSettings, ...]:
    """The connections of the run, as far as the header tells; () if it tells nothing, or too little."""
    config = header.get("config")
    found = config.get("connections", []) if isinstance(config, dict) else []
    try:
        plain = [{key: value for key, value in each.items() if key != "hidden"} for each in found]
        return tuple(msgspec.convert(plain, list[ConnectionSettings]))
    except (msgspec.ValidationError, AttributeError) as error:
        # Of a later version, perhaps: the streams are then those found in the frames.
        log.warning("the recording's config cannot be used: %s", error)
        return ()


def recorded_instruments(header: Mapping[str, object]) -> dict[str, dict[str, Instrument]]:
    """By exchange, then by native symbol."""
    found: dict[str, dict[str, Instrument]] = {}
    rows = header.get("instruments")
    for row in rows if isinstance(rows, list) else []:
        try:
            each = _instrument(dict(row))
        except (ConfigError, ArithmeticError, KeyError, TypeError, ValueError) as error:
            log.warning("the recording's instrument %r cannot be used: %s", row, error)
        else:
            found.setdefault(each.exchange, {})[each.native] = each
    return found


def _instrument(row: dict[str, Any]) -> Instrument:
    exchange, symbol, native = (row.pop(key) for key in ("exchange", "symbol", "native"))
    for key in ("price_tick", "size_step", "contract_size"):
        row[key] = None if row[key] is None else Decimal(row[key])
    return Instrument(exchange, symbol, native, **row)
