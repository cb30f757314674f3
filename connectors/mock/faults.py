"""Faults by name and time. Sans I/O: what is about to happen goes in, what shall happen instead comes out.

FAULTS: name -> what it does and its own options. Options of all faults:
    topic     fnmatch pattern of the topics it touches ("*")
    conn      number of the connection it touches, from 1 in order of connecting (0: all)
    after_s   seconds since the connection was made before it starts (0)
    for_s     seconds it lasts (0: for ever)
    after_n   messages of the topic that pass before it starts (0)
    every     of each `every` messages it touches one (1: all)
    count     how often it strikes in all (0: no limit)
    p         probability with which it strikes, by the engine's seeded generator (1)
"""

from __future__ import annotations

import difflib
import enum
import random
from collections import Counter
from collections.abc import Callable
from fnmatch import fnmatchcase

import msgspec

from connectors.errors import ConfigError

Value = str | int | float | bool

FAULTS: dict[str, tuple[str, dict[str, Value]]] = {
    "drop": ("a data message is not sent", {}),
    "duplicate": ("a data message is sent twice", {}),
    "reorder": ("a data message changes places with the topic's next one", {}),
    "corrupt_checksum": ("a book message carries a wrong checksum", {}),
    "half_open": ("nothing is sent or answered any more, the socket stays open", {}),
    "freeze": ("a topic falls silent until it is subscribed anew", {}),
    "never_ack": ("a subscribe request is neither acked nor served", {"count": 1}),
    "ack_silent": ("a topic is acked but not served until it is subscribed anew", {"count": 1}),
    "close_storm": (
        "connections are closed; code 0: by a reset without a CLOSE",
        {"code": 1011, "reason": ""},
    ),
    "slow_reader": ("the socket is not read", {"for_s": 5.0}),
    "fragment": ("a data message is sent in `parts` frames", {"parts": 3}),
    "wrong_pong": ("a pong answers nobody's ping", {}),
    "delay_pong": ("pongs come rtt_ms late", {"rtt_ms": 200.0}),
    "rate_limit": ("a GET is answered with 429 and Retry-After", {"retry_after_s": 1, "status": 429}),
    "notice": ("the venue tells that it will close the connection", {"count": 1}),
    "reject": ("a topic is refused as if it were unknown", {"count": 1}),
}
COMMON: dict[str, Value] = {
    "topic": "*", "conn": 0, "after_s": 0.0, "for_s": 0.0, "after_n": 0, "every": 1, "count": 0, "p": 1.0,
}  # fmt: skip


class Fault(msgspec.Struct):
    """One fault with all its options; `strikes` counts."""

    name: str
    topic: str = "*"
    conn: int = 0
    after_s: float = 0.0
    for_s: float = 0.0
    after_n: int = 0
    every: int = 1
    count: int = 0
    p: float = 1.0
    extra: dict[str, Value] = {}
    strikes: int = 0
    seen: dict[tuple[int, str], int] = {}

    @property
    def is_spent(self) -> bool:
        return bool(self.count) and self.strikes >= self.count


def make_fault(name: str, **options: Value) -> Fault:
    """A fault of FAULTS. Raises ConfigError: unknown name, unknown option, wrong type."""
    if name not in FAULTS:
        near = difflib.get_close_matches(name, FAULTS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; expected one of {', '.join(FAULTS)}"
        raise ConfigError(f"unknown fault {name!r}{hint}")
    own = FAULTS[name][1]
    known = COMMON | own
    values = dict(known)
    for key, value in options.items():
        if key not in known:
            raise ConfigError(f"fault {name}: unknown option {key!r}; it has {', '.join(known)}")
        values[key] = _as_type(name, key, value, known[key])
    extra = {key: value for key, value in values.items() if key not in COMMON}
    common = {key: value for key, value in values.items() if key in COMMON}
    if int(common["every"]) < 1 or not 0 <= float(common["p"]) <= 1:
        raise ConfigError(f"fault {name}: expected every >= 1 and p in 0..1")
    return msgspec.convert({"name": name, **common, "extra": extra}, Fault, strict=False)


def parse_fault(text: str) -> Fault:
    """`name` or `name:key=value,key=value`, as on the command line. Raises ConfigError."""
    name, _, rest = text.partition(":")
    options: dict[str, Value] = {}
    # A topic may hold commas: a part without "=" belongs to the one before.
    for part in rest.split(",") if rest else ():
        key, equals, value = part.partition("=")
        if equals and key.strip().isidentifier():
            options[key.strip()] = value
        elif options:
            last = next(reversed(options))
            options[last] = f"{options[last]},{part}"
        else:
            raise ConfigError(f"fault {text!r}: expected name:key=value,key=value")
    return make_fault(name, **options)


def _as_type(name: str, key: str, value: Value, like: Value) -> Value:
    try:
        return type(like)(value)
    except ValueError:
        kind = type(like).__name__
        raise ConfigError(f"fault {name}: {key}: expected {kind}, got {value!r}") from None


class Silence(enum.Enum):
    """Why a subscription is not served."""

    FROZEN = "frozen"
    NEVER_ACKED = "never acked"
    ACKED_SILENT = "acked and silent"


class FaultEngine:
    """Decides for one venue. `struck` counts by fault name.

    conn: number of a connection; now_s: seconds on any steady clock; opened_s: when that connection was made.
    """

    def __init__(self, seed: int = 0, corrupt: Callable[[bytes], bytes | None] = lambda _: None) -> None:
        self.faults: list[Fault] = []
        self.struck: Counter[str] = Counter()
        self._rng = random.Random(seed)  # noqa: S311 - the same seed gives the same faults
        self._corrupt = corrupt
        self._opened: dict[int, float] = {}
        self._held: dict[tuple[int, str], tuple[bytes, ...]] = {}
        self._silent: dict[tuple[int, str], Silence] = {}
        self._half_open: set[int] = set()

    @property
    def has_silence(self) -> bool:
        """Some subscription is not served."""
        return bool(self._silent)

    def add(self, fault: Fault) -> None:
        self.faults.append(fault)

    def clear(self, name: str | None = None) -> None:
        """Take faults away (all of that name); what they did to open connections ends too."""
        self.faults = [fault for fault in self.faults if name is not None and fault.name != name]
        if name in (None, "half_open"):
            self._half_open.clear()
        if name in (None, "freeze", "never_ack", "ack_silent"):
            self._silent.clear()

    def _strikes(
        self, name: str, conn: int, topic: str, now_s: float, *, counts: bool = True
    ) -> Fault | None:
        """The first fault of that name that strikes here and now."""
        for fault in self.faults:
            if fault.name != name or fault.is_spent or (fault.conn and fault.conn != conn):
                continue
            if not fnmatchcase(topic, fault.topic) or not self._is_time(fault, conn, now_s):
                continue
            if counts and not self._is_turn(fault, conn, topic):
                continue
            if fault.p < 1 and self._rng.random() >= fault.p:
                continue
            fault.strikes += 1
            self.struck[name] += 1
            return fault
        return None

    def _is_time(self, fault: Fault, conn: int, now_s: float) -> bool:
        age_s = now_s - self._opened.get(conn, now_s)
        return age_s >= fault.after_s and (not fault.for_s or age_s < fault.after_s + fault.for_s)

    def _is_turn(self, fault: Fault, conn: int, topic: str) -> bool:
        seen = fault.seen.get((conn, topic), 0)
        fault.seen[(conn, topic)] = seen + 1
        return seen >= fault.after_n and (seen - fault.after_n) % fault.every == fault.every - 1

    # Connections

    def on_open(self, conn: int, now_s: float) -> None:
        self._opened[conn] = now_s

    def on_close(self, conn: int) -> None:
        self._opened.pop(conn, None)
        self._half_open.discard(conn)
        self._held = {key: frame for key, frame in self._held.items() if key[0] != conn}
        self._silent = {key: why for key, why in self._silent.items() if key[0] != conn}

    def is_half_open(self, conn: int, now_s: float) -> bool:
        """Nothing goes out any more, nothing is answered."""
        if conn not in self._half_open and self._strikes("half_open", conn, "", now_s, counts=False):
            self._half_open.add(conn)
        return conn in self._half_open

    def close(self, conn: int, now_s: float) -> tuple[int, str] | None:
        """Close code (0: reset) and reason, when the connection is to be closed now."""
        fault = self._strikes("close_storm", conn, "", now_s, counts=False)
        return None if fault is None else (int(fault.extra["code"]), str(fault.extra["reason"]))

    def notice(self, conn: int, now_s: float) -> bool:
        return self._strikes("notice", conn, "", now_s, counts=False) is not None

    def stops_reading(self, conn: int, now_s: float) -> bool:
        """The socket is not read now. A strike is one such time, however often it is asked about."""
        for fault in self.faults:
            if fault.name != "slow_reader" or (fault.conn and fault.conn != conn):
                continue
            if self._is_time(fault, conn, now_s):
                fault.strikes += fault.strikes == 0
                self.struck["slow_reader"] = max(1, self.struck["slow_reader"])
                return True
        return False

    # Subscriptions

    def on_subscribe(self, conn: int, topic: str, now_s: float) -> Silence | None:
        """A topic was asked for: is it served? A subscription made anew ends a freeze and a silence."""
        self._silent.pop((conn, topic), None)
        for name, silence in (("never_ack", Silence.NEVER_ACKED), ("ack_silent", Silence.ACKED_SILENT)):
            if self._strikes(name, conn, topic, now_s, counts=False):
                self._silent[(conn, topic)] = silence
                return silence
        return None

    def is_rejected(self, conn: int, topic: str, now_s: float) -> bool:
        return self._strikes("reject", conn, topic, now_s, counts=False) is not None

    # Data

    def on_data(self, conn: int, topic: str, payload: bytes, now_s: float) -> list[tuple[bytes, ...]]:
        """The frames to send in place of one data message, each a tuple of fragments; []: none."""
        key = (conn, topic)
        if self._silent and key in self._silent:
            self.struck["silenced"] += 1
            return []
        if not self.faults:
            return [(payload,)]
        if self._strikes("freeze", conn, topic, now_s):
            self._silent[key] = Silence.FROZEN
            return []
        if self._strikes("drop", conn, topic, now_s):
            return []
        if self._strikes("corrupt_checksum", conn, topic, now_s):
            payload = self._corrupt(payload) or payload
        fault = self._strikes("fragment", conn, topic, now_s)
        frame = _cut(payload, int(fault.extra["parts"])) if fault else (payload,)
        out = [frame, frame] if self._strikes("duplicate", conn, topic, now_s) else [frame]
        held = self._held.pop(key, None)
        if held is not None:
            return [*out, held]
        if self._strikes("reorder", conn, topic, now_s):
            self._held[key] = frame
            return out[1:]
        return out

    # Heartbeat and REST

    def is_pong_wrong(self, conn: int, now_s: float) -> bool:
        return self._strikes("wrong_pong", conn, "", now_s) is not None

    def pong_delay_s(self, conn: int, now_s: float) -> float:
        fault = self._strikes("delay_pong", conn, "", now_s)
        return 0.0 if fault is None else float(fault.extra["rtt_ms"]) / 1000

    def http(self, now_s: float) -> tuple[int, int] | None:
        """Status and Retry-After in seconds of a GET that is refused."""
        fault = self._strikes("rate_limit", 0, "", now_s)
        return None if fault is None else (int(fault.extra["status"]), int(fault.extra["retry_after_s"]))


def _cut(payload: bytes, parts: int) -> tuple[bytes, ...]:
    size = max(1, -(-len(payload) // max(1, parts)))
    return tuple(payload[i : i + size] for i in range(0, len(payload), size)) or (payload,)
