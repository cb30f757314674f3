"""What a session tells the one that runs it: a line of a connection, or a replay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from connectors.errors import BookError
from connectors.exchange import Inbound
from connectors.instrument import Stream
from connectors.status import StatusKind

if TYPE_CHECKING:
    from picows import WSTransport


class Owner(Protocol):
    """Called synchronously from inside the receive chain; never raises."""

    def on_opened(self, transport: WSTransport) -> None:
        """The upgrade is done."""
        ...

    def on_closed(self, reason: str) -> None:
        """The socket is gone, by whomever."""
        ...

    def on_first_data(self, stream: Stream) -> None:
        """The first message of a stream since it was (re)subscribed."""
        ...

    def on_inbound(self, inbound: Inbound, payload: bytes) -> None:
        """A frame that is no data: ack, error, pong (also PONG frames: request_id is the ping's), ping,
        notice."""
        ...

    def on_book_action(self, stream: Stream, action: int, error: BookError | None) -> None:
        """booksync.Action NEED_SNAPSHOT or NEED_RESUBSCRIBE: the stream's book is not true; fetch it anew."""
        ...

    def on_writing(self, is_paused: bool) -> None:
        """The send buffer is above its high-water mark, or has drained."""
        ...

    def tell(
        self,
        kind: StatusKind,
        stream: Stream | None = None,
        detail: str = "",
        values: dict[str, float] | None = None,
    ) -> None:
        """For `on_status` and the log."""
        ...

    def fail(self, reason: str) -> None:
        """The connection is of no use (a message beyond all limits): leave it."""
        ...
