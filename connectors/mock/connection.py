"""One client of the mock: what it has subscribed, what it was sent, how its heartbeat goes."""

from __future__ import annotations

import socket
import struct
from collections import Counter
from typing import TYPE_CHECKING

from connectors.mock.limits import Window
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

if TYPE_CHECKING:
    from connectors.mock.server import MockExchange

_MAX_MESSAGE_BYTES = 1024 * 1024


class MockConnection(WSListener):
    """A picows listener. It keeps counts and passes requests on; all decisions are the server's.

    number: from 1, in order of connecting. sent: data messages by topic, as they went to the socket.
    """

    def __init__(self, server: MockExchange, number: int, route: str, url_topics: tuple[str, ...]) -> None:
        self.server = server
        self.number = number
        self.route = route
        self.url_topics = url_topics
        self.name = f"mock-{number:04x}"
        self.transport: WSTransport | None = None
        self.topics: dict[str, None] = {}
        self.sent: Counter[str] = Counter()
        self.opened_s = 0.0
        self.heard_s = 0.0  # something came from the client
        self.said_s = 0.0  # something went to it
        self.pinged_s = 0.0
        self.ping_number = 0
        self.unanswered_s: float | None = None  # since when a ping of ours waits
        self.paused_s: float | None = None  # since when the client does not read
        self.is_closing = False
        self.is_deaf = False  # the socket is not read (slow_reader)
        limits = server.venue.facts.limits
        self.messages = Window(limits.messages)
        self.requests = Window(limits.requests)
        self._parts: list[bytes] = []

    # picows calls

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.server.on_open(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.heard_s = self.server.now_s()
        kind = frame.msg_type
        if kind == WSMsgType.PING:
            self.server.on_ping(self, frame.get_payload_as_bytes())
        elif kind == WSMsgType.PONG:
            self.server.on_pong(self, frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            self._echo_close(transport, frame)
        else:
            self._join(frame)

    def _join(self, frame: WSFrame) -> None:
        self._parts.append(frame.get_payload_as_bytes())
        if sum(map(len, self._parts)) > _MAX_MESSAGE_BYTES:
            self.close(WSCloseCode.MESSAGE_TOO_BIG, "message too big")
        elif frame.fin:
            payload = b"".join(self._parts)
            self._parts.clear()
            self.server.on_message(self, payload)

    def _echo_close(self, transport: WSTransport, frame: WSFrame) -> None:
        """Nothing is sent behind the client's CLOSE, so both sides' counts agree."""
        self.is_closing = True
        if self.server.answers(self):
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - picows' signature
        self.is_closing = True
        self.server.on_closed(self)

    def pause_writing(self) -> None:
        self.paused_s = self.server.now_s()

    def resume_writing(self) -> None:
        self.paused_s = None
        self.server.wake()

    # The server calls

    def send(self, payload: bytes, opcode: int = 1) -> None:
        """A frame that is no data: ack, pong text, notice."""
        if self.transport is not None and not self.is_closing:
            self.transport.send(WSMsgType(opcode), payload)
            self.said_s = self.server.now_s()

    def send_data(self, topic: str, fragments: tuple[bytes, ...], opcode: int) -> None:
        """One data message, whole or in fragments; counted once."""
        if self.transport is None or self.is_closing:
            return
        last = len(fragments) - 1
        for i, part in enumerate(fragments):
            self.transport.send(WSMsgType.CONTINUATION if i else WSMsgType(opcode), part, i == last)
        self.sent[topic] += 1
        self.said_s = self.server.now_s()

    def send_pong(self, payload: bytes) -> None:
        if self.transport is not None and not self.is_closing:
            self.transport.send_pong(payload)

    def send_ping(self, payload: bytes) -> None:
        if self.transport is not None and not self.is_closing:
            self.transport.send_ping(payload)

    def close(self, code: int, reason: str = "") -> None:
        """CLOSE, then the socket. code 0: a TCP reset without a word."""
        if self.transport is None or self.is_closing:
            return
        self.is_closing = True
        if code:
            self.transport.send_close(WSCloseCode(code), reason)
            self.transport.disconnect()
            return
        # SO_LINGER with time 0: close() sends RST.
        sock = self.transport.underlying_transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.disconnect(False)

    def set_deaf(self, is_deaf: bool) -> None:
        """Stop or go on reading the socket."""
        if self.transport is None or self.is_deaf == is_deaf:
            return
        self.is_deaf = is_deaf
        stream = self.transport.underlying_transport
        if is_deaf:
            stream.pause_reading()
        elif not self.is_closing:
            stream.resume_reading()
