"""Where the mock's data comes from: what a server needs of a capture or of the generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import msgspec

from connectors.mock.venue import HttpAnswer

TEXT = 1
BINARY = 2
FOREVER_NS = 2**62


class Message(msgspec.Struct, frozen=True, gc=False):
    """A data message of a topic, for all who have subscribed it."""

    topic: str
    payload: bytes
    opcode: int = TEXT


class Opening(msgspec.Struct, frozen=True):
    """How a subscription starts. before: to all older subscribers; first: to the new one, after its ack."""

    before: Sequence[Message] = ()
    first: Sequence[Message] = ()


class Source(Protocol):
    """Data in an order of its own time. Sans I/O: the server passes its time in.

    skipped: messages that nobody had subscribed when it was their turn, by topic.
    topics: all there are, where they can be listed: the data wait for their subscriptions.
    """

    skipped: Counter[str]
    topics: frozenset[str]

    def has(self, topic: str, route: str) -> bool:
        """Is there data for this topic (on this route)?"""

    def is_silent(self, topic: str, route: str) -> bool:
        """A topic this venue acks and never serves: the wrong route."""

    def subscribe(self, topic: str, now_ns: int) -> Opening:
        """A connection has subscribed it."""

    def unsubscribe(self, topic: str) -> None:
        """Nobody has it any more."""

    def take(self, until_ns: int, limit: int) -> list[Message]:
        """At most `limit` messages that are due; fewer: no more are due."""

    def next_ns(self) -> int | None:
        """When the next message is due, in the source's time; None: never (the end, or nobody listens)."""

    def http(self, path_qs: str, now_ns: int) -> HttpAnswer | None:
        """The answer to a GET, consistent with the stream's position; None: 404."""

    @property
    def is_finished(self) -> bool:
        """All has been taken."""
