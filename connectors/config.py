"""A config file to Settings. All that is wrong with it is told at once, before any socket opens."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from connectors.errors import ConfigError
from connectors.exchange import Exchange
from connectors.loader import load_class, load_params, nearest
from connectors.registry import facts_files, load_exchange
from connectors.settings import ConnectionSettings, Settings, StrategySettings
from connectors.shape import ShapeCheck
from connectors.streams import connection_names, make_streams, parse_channel
from connectors.yaml_tree import Path_, YamlTree

# (path below a connection, least value, is the least value itself allowed)
_LEAST: tuple[tuple[tuple[str, ...], float, bool], ...] = (
    (("rtt", "rounds"), 0, True),
    (("rtt", "max_ms"), 0, False),
    (("rtt", "baseline_factor"), 1, False),
    (("rtt", "every_s"), 0, False),
    (("rtt", "race"), 1, True),
    (("heartbeat", "every_s"), 0, False),
    (("heartbeat", "reply_s"), 0, False),
    (("backoff", "base_s"), 0, False),
    (("backoff", "max_s"), 0, False),
    (("backoff", "reset_s"), 0, True),
    (("instruments_s",), 0, False),
    (("backpressure", "high_bytes"), 1, True),
    (("backpressure", "slow_callback_ms"), 0, False),
)


def load_settings(path: Path, env: Mapping[str, str]) -> Settings:
    """Read, fill in ${NAME} from `env`, check everything that needs no network.

    Raises ConfigError whose `problems` are all there are, each `file:line: path: expected, got`. Values
    that came from
    the environment are never shown.
    """
    tree = YamlTree(path, env)
    ShapeCheck(tree.complain, tree.shown).check(tree.value, Settings)
    if not tree.problems:
        settings = msgspec.convert(tree.value, Settings)
        _Meaning(tree, settings, path.resolve().parent).check()
        if not tree.problems:
            return _with_paths(settings, path.resolve().parent)
    else:
        # What has the right shape is looked at all the same: one run of `check` tells all.
        _check_parts(tree, path.resolve().parent)
    problems = tuple(text for _, text in sorted(set(tree.problems)))
    many = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    raise ConfigError(f"{path}: {many}:", problems=problems)


def _with_paths(settings: Settings, base_dir: Path) -> Settings:
    """TLS files are relative to the config file."""
    connections = []
    for each in settings.connections:
        files = {
            name: str(base_dir / value)
            for name in ("ca_file", "cert_file", "key_file")
            if (value := getattr(each.tls, name)) is not None
        }
        connections.append(msgspec.structs.replace(each, tls=msgspec.structs.replace(each.tls, **files)))
    return msgspec.structs.replace(settings, connections=tuple(connections))


def _check_parts(tree: YamlTree, base_dir: Path) -> None:
    """The meaning of those connections and strategies whose shape is right."""
    value = tree.value if isinstance(tree.value, dict) else {}
    dirs = value.get("exchange_dirs", [])
    if not (isinstance(dirs, list) and all(isinstance(each, str) for each in dirs)):
        dirs = []
    meaning = _Meaning(tree, Settings(connections=(), exchange_dirs=tuple(dirs)), base_dir)
    parts: tuple[tuple[str, type, Callable[[Any, Path_], object]], ...] = (
        ("connections", ConnectionSettings, meaning.check_connection),
        ("strategies", StrategySettings, meaning.check_strategy),
    )
    for key, wanted, check in parts:
        items = value.get(key)
        for at, item in enumerate(items if isinstance(items, list) else []):
            converted = _right_part(item, wanted)
            if converted is not None:
                check(converted, (key, at))
    meaning.check_numbers(value)
    mock = value.get("mock")
    faults = mock.get("faults") if isinstance(mock, dict) else None
    meaning.check_faults(faults if isinstance(faults, list) else [])


def _right_part(item: object, wanted: type) -> Any:
    """What of an entry has the right shape, as a struct; None: a key that must be there is not among it.

    The rest has been told by its shape, and must not hide what else is wrong.
    """
    types = {field.encode_name: field.type for field in msgspec.structs.fields(wanted)}
    right = {}
    for key, value in item.items() if isinstance(item, dict) else ():
        try:
            msgspec.convert(value, types[key])
        except (KeyError, TypeError, msgspec.ValidationError):
            continue
        right[key] = value
    try:
        return msgspec.convert(right, wanted)
    except msgspec.ValidationError:
        return None


def _has_uvloop() -> bool:
    try:
        return importlib.util.find_spec("uvloop") is not None
    except ValueError:  # None in sys.modules: not to be imported
        return False


class _Meaning:
    """What types can not say."""

    def __init__(self, tree: YamlTree, settings: Settings, base_dir: Path) -> None:
        self._tree = tree
        self._settings = settings
        self._base_dir = base_dir
        self._dirs = [base_dir / each for each in settings.exchange_dirs]
        self._exchanges: dict[str, Exchange | None] = {}

    def check(self) -> None:
        settings = self._settings
        if not settings.connections:
            self._tree.complain(("connections",), "expected at least one connection, got none")
        if settings.loop == "uvloop" and not _has_uvloop():
            self._tree.complain(("loop",), "uvloop is not installed: `pip install uvloop`, or take asyncio")
        for at, directory in enumerate(self._dirs):
            if not directory.is_dir():
                self._tree.complain(("exchange_dirs", at), f"expected a directory, got {str(directory)!r}")
        for at, connection in enumerate(settings.connections):
            self.check_connection(connection, ("connections", at))
        names = connection_names(settings.connections)
        for at, name in enumerate(names):
            if name in names[:at]:
                self._tree.complain(("connections", at, "name"), f"{name!r} is the name of two connections")
        for at, strategy in enumerate(settings.strategies):
            self.check_strategy(strategy, ("strategies", at), names)
        self.check_numbers(self._tree.value)
        self.check_faults(settings.mock.faults if settings.mock else ())

    def check_numbers(self, value: object) -> None:
        """Those outside of connections that must be more than 0. value: of the file, of any shape."""
        paths = (
            ("for_s",),
            ("busy_poll",),
            ("metrics", "every_s"),
            ("mock", "rate"),
            ("record", "max_bytes"),
        )
        for path in paths:
            found: object = value
            for key in path:
                found = found.get(key) if isinstance(found, dict) else None
            if isinstance(found, int | float) and not isinstance(found, bool) and not found > 0:
                self._tree.complain(path, f"expected more than 0, got {self._tree.shown(path, found)}")

    def check_faults(self, faults: Sequence[object]) -> None:
        """Those of `mock:`; what is no text was told by its shape."""
        from connectors.mock.faults import parse_fault  # the mock is not loaded for a run without one

        for at, fault in enumerate(faults):
            try:
                if isinstance(fault, str):
                    parse_fault(fault)
            except ConfigError as error:
                self._tree.complain(("mock", "faults", at), str(error))

    # Connections

    def check_connection(self, settings: ConnectionSettings, path: Path_) -> None:
        self._check_numbers(settings, path)
        self._check_urls(settings, path)
        self._check_tls(settings, path)
        exchange = self._exchange(settings.exchange, (*path, "exchange"))
        if exchange is None:
            return
        good = [at for at, _ in enumerate(settings.symbols) if self._is_symbol(exchange, settings, at, path)]
        if not settings.symbols:
            self._tree.complain((*path, "symbols"), "expected at least one symbol, got none")
        if not settings.channels:
            self._tree.complain((*path, "channels"), "expected at least one channel, got none")
        example = next((each.example for each in exchange.facts.symbols if each.example), None)
        symbol = settings.symbols[good[0]] if good else example
        if symbol is not None:
            self._check_channels(exchange, settings, symbol, path)

    def _exchange(self, name: str, path: Path_) -> Exchange | None:
        if name not in self._exchanges:
            self._exchanges[name] = None
            known = facts_files(self._dirs)
            if name not in known:
                self._tree.complain(path, f"unknown exchange {name!r}; {nearest(name, list(known))}")
            else:
                try:
                    self._exchanges[name] = load_exchange(name, self._dirs)
                except ConfigError as error:
                    self._tree.complain(path, str(error))
        return self._exchanges[name]

    def _is_symbol(self, exchange: Exchange, settings: ConnectionSettings, at: int, path: Path_) -> bool:
        symbol = settings.symbols[at]
        try:
            exchange.native_symbol(symbol)
        except ConfigError as error:
            self._tree.complain((*path, "symbols", at), str(error))
            return False
        if symbol in settings.symbols[:at]:
            self._tree.complain((*path, "symbols", at), f"{symbol!r} is given twice")
            return False
        return True

    def _check_channels(
        self, exchange: Exchange, settings: ConnectionSettings, symbol: str, path: Path_
    ) -> None:
        is_good = True
        for at, channel in enumerate(settings.channels):
            try:
                for wanted in parse_channel(channel):
                    exchange.stream(wanted, exchange.instrument(symbol))
            except (ConfigError, KeyError, ValueError) as error:
                is_good = False
                word = channel if isinstance(channel, str) else next(iter(channel), "")
                hint = nearest(word.partition(".")[0], list(exchange.facts.channels))
                self._tree.complain((*path, "channels", at), f"{error}; {hint}")
        if is_good:
            one = msgspec.structs.replace(settings, symbols=(symbol,))
            try:
                make_streams("", one, exchange, {}, {})
            except ConfigError as error:
                self._tree.complain((*path, "channels"), str(error))

    def _check_numbers(self, settings: ConnectionSettings, path: Path_) -> None:
        for where, least, is_allowed in _LEAST:
            value: Any = settings
            for name in where:
                value = getattr(value, name)
            if value is None or ((value >= least if is_allowed else value > least) and math.isfinite(value)):
                continue
            words = "at least" if is_allowed else "more than"
            here = (*path, *where)
            self._tree.complain(here, f"expected {words} {least:g}, got {self._tree.shown(here, value)}")

    def _check_urls(self, settings: ConnectionSettings, path: Path_) -> None:
        schemes = {
            "url": ("ws", "wss"),
            "rest_url": ("http", "https"),
            "proxy": ("http", "https", "socks4", "socks4a", "socks5", "socks5h"),
        }
        for name, wanted in schemes.items():
            value = getattr(settings, name)
            if value is None:
                continue
            try:
                parts = urlsplit(value)
                is_good = parts.scheme in wanted and bool(parts.hostname) and (parts.port or 1) > 0
            except ValueError:
                is_good = False
            if not is_good:
                here = (*path, name)
                expected = f"expected {' or '.join(wanted)}://host:port"
                self._tree.complain(here, f"{expected}, got {self._tree.shown(here, value)}")

    def _check_tls(self, settings: ConnectionSettings, path: Path_) -> None:
        for name in ("ca_file", "cert_file", "key_file"):
            value = getattr(settings.tls, name)
            if value is not None and not (self._base_dir / value).is_file():
                here = (*path, "tls", name)
                self._tree.complain(here, f"expected a file, there is none: {self._tree.shown(here, value)}")

    # Strategies

    def check_strategy(self, settings: StrategySettings, path: Path_, names: list[str] | None = None) -> None:
        if settings.max_errors < 0:
            self._tree.complain((*path, "max_errors"), f"expected 0 or more, got {settings.max_errors}")
        for at, name in enumerate(settings.connections if names is not None else ()):
            if name not in (names or ()):
                self._tree.complain(
                    (*path, "connections", at), f"unknown connection {name!r}; {nearest(name, names or [])}"
                )
        try:
            cls = load_class(settings.use, self._base_dir)
        except ConfigError as error:
            self._tree.complain((*path, "use"), str(error))
            return
        try:
            load_params(cls, settings)
        except ConfigError as error:
            self._tree.complain((*path, "params"), str(error))
