"""What the YAML of a venue says: frozen structs, read strictly. A loop or an `if` is a verb (exchange.py).

Templates are `string.Template` texts. Names for topics, keys and REST paths: $symbol (native), $symbol_lower,
$name (the channel's own name), $interval, $depth; for requests also $items (topics joined by ","), $id (its
number).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import yaml

from connectors.errors import FactsError
from connectors.sequence import RULES


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Budget(_Struct, frozen=True):
    """At most `count` in any `per_s` seconds."""

    count: int
    per_s: float


class DataPrefix(_Struct, frozen=True):
    """A data frame starts with `start`; the stream's key follows, up to (not including) `end`."""

    start: str
    end: str


class FrameFacts(_Struct, frozen=True):
    """How frames are told apart by their first bytes."""

    data: tuple[DataPrefix, ...]
    pong: tuple[str, ...] = ()  # a text frame that starts with one of these answers our ping
    encoding: Literal["text", "gzip"] = "text"  # gzip: binary frames are gunzipped before all else
    max_message_bytes: int = 16 * 1024 * 1024  # of a joined (fragmented) or inflated message


class SubscribeFacts(_Struct, frozen=True):
    """Requests and acks."""

    topic: str  # template: what identifies a stream in requests and acks
    key: str  # template: what stands between DataPrefix.start and .end
    item: str  # template with $topic: one entry of $items
    request: str  # template with $items, $id
    unrequest: str
    ack: Literal["request", "topic", "none"]  # one ack per request, one per topic, or none at all
    ack_s: float = 10.0  # deadline
    max_topics: int = 100  # per request
    max_bytes: int = 8000  # per request


class ClientPing(_Struct, frozen=True):
    """What we send to keep the connection and to measure it. `send` empty: a protocol PING frame."""

    send: str = ""  # template with $id
    every_s: float = 20.0
    reply_s: float = 10.0  # no answer after that: the connection is dead


class ServerPing(_Struct, frozen=True):
    """What the venue sends: PING frames are answered by the core; JSON pings by the verbs' `reply`."""

    every_s: float
    deadline_s: float  # silence longer than that: the connection is dead


class HeartbeatFacts(_Struct, frozen=True):
    client: ClientPing
    server: ServerPing | None = None


class LimitFacts(_Struct, frozen=True):
    connects: Budget  # attempts per host and IP
    messages: Budget | None = None  # client to server, per connection, pings included
    requests: Budget | None = None  # (un)subscribes per connection
    streams: int | None = None  # per connection
    age_s: float | None = None  # a connection lives that long at most; rotate before


class RestCall(_Struct, frozen=True):
    """A GET. `path` is a template; weights count against RestFacts.weight."""

    path: str
    weight: int = 1


class RestFacts(_Struct, frozen=True):
    url: str
    weight: Budget | None = None
    instruments: tuple[RestCall, ...] = ()  # instrument lists, read at start
    snapshot: RestCall | None = None  # of one book
    used_header: str | None = None  # response header that tells the used weight


class SymbolRule(_Struct, frozen=True):
    """A unified shape and what the venue calls it. `unified` is a full-match regex with named groups."""

    unified: str  # ^(?P<base>[A-Z0-9]+)-(?P<quote>[A-Z0-9]+)$
    native: str  # template over the groups: $base$quote
    kind: Literal["spot", "perp", "future", "option"] = "spot"
    example: str = ""  # a unified symbol of this shape; error messages show it


class ChannelFact(_Struct, frozen=True):
    """One kind of data: its name at the venue, where it is, our patience, what keeps its book whole."""

    name: str  # may use $interval, $depth
    route: str
    variants: dict[str, str] = {}  # unified variant -> the venue's word: "1m": "1m", "50": "50"
    default: str = ""  # variant where the config names none
    topic: str | None = None  # instead of subscribe.topic
    key: str | None = None  # instead of subscribe.key
    is_shared: bool = False  # one subscription serves many instruments; messages name theirs
    first_data_s: float = 30.0  # after the ack; silence longer: resubscribe, then tell
    quiet_s: float | None = 60.0  # live but silent longer: resubscribe. None: may be silent for ever
    # Trades only. step: ids rise by one; count: an id is the last of `count` consecutive ones; "": no promise
    trade_ids: Literal["", "step", "count"] = ""
    # Books only:
    continuity: str = "none"  # a kind of sequence.RULES
    snapshot: Literal["stream", "rest", "none"] = "stream"  # where the first levels come from
    snapshot_levels: int | None = None  # a REST snapshot has at most that many a side; beyond them: unknown
    depth: int | None = None  # keep only that many levels a side; None: all
    checksum: bool = False  # verbs.checksum is compared at each message that carries one
    may_cross: bool = False  # auctions: a crossed book is no error


class RouteFact(_Struct, frozen=True):
    url: str


class Facts(_Struct, frozen=True):
    """One venue. `name` is the file's name without .yaml."""

    name: str
    title: str
    source: tuple[str, ...]  # where each of these facts is documented
    read: str  # date of reading, YYYY-MM-DD
    routes: dict[str, RouteFact]
    symbols: tuple[SymbolRule, ...]
    channels: dict[str, ChannelFact]  # by kind, or by kind.variant where a variant has facts of its own
    frames: FrameFacts
    subscribe: SubscribeFacts
    heartbeat: HeartbeatFacts
    limits: LimitFacts
    rest: RestFacts | None = None
    verbs: str = ""  # "module:Class" below connectors.exchanges, or "./file.py:Class"; "": plain Exchange
    mock: str = ""  # the same for the mock's side; "": the plain MockVenue
    price_scale: int = 8  # until the instrument list tells
    size_scale: int = 8


def load_facts(path: Path) -> Facts:
    """Read one facts file. Raises FactsError: the file, the path inside it, what was expected, what came."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise FactsError(f"{path}: expected a YAML facts file: {error}") from error
    if not isinstance(raw, dict):
        raise FactsError(f"{path}: expected a mapping, got {type(raw).__name__}")
    raw.setdefault("name", path.stem)
    # YAML reads an unquoted date as a date.
    raw["read"] = str(raw.get("read", ""))
    try:
        facts = msgspec.convert(raw, Facts, str_keys=True)
    except msgspec.ValidationError as error:
        raise FactsError(f"{path}: {error}") from error
    _check(path, facts)
    return facts


def _check(path: Path, facts: Facts) -> None:
    """What types can not say."""
    if facts.name != path.stem:
        raise FactsError(f"{path}: name: expected {path.stem!r} (the file's name), got {facts.name!r}")
    for kind, channel in facts.channels.items():
        if channel.route not in facts.routes:
            known = ", ".join(facts.routes)
            raise FactsError(f"{path}: channels.{kind}.route: expected one of {known}, got {channel.route!r}")
        if channel.default and channel.default not in channel.variants:
            known = ", ".join(channel.variants)
            raise FactsError(
                f"{path}: channels.{kind}.default: expected one of {known}, got {channel.default!r}"
            )
        if channel.continuity not in RULES:
            known = ", ".join(RULES)
            raise FactsError(
                f"{path}: channels.{kind}.continuity: expected one of {known}, got {channel.continuity!r}"
            )
        if channel.snapshot == "rest" and (facts.rest is None or facts.rest.snapshot is None):
            raise FactsError(f"{path}: channels.{kind}.snapshot is 'rest', but rest.snapshot is not given")
