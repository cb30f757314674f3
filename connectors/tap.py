"""What a recorder sees. A session calls its tap (if it has one) for all that goes in or out, before it
acts on it."""

from __future__ import annotations

from typing import Protocol


class Tap(Protocol):
    """Called on the hot path: copy the bytes into a buffer and return. Never raises, never blocks.

    conn_id: number of the connection, unique in a run. opcode: 1 text, 2 binary, 8 close, 9 ping, 10 pong.
    ns: since 1970.
    Frames are recorded as received: fragments one by one (`is_final`), compressed payloads still compressed.
    """

    def on_connect(self, ns: int, conn_id: int, exchange: str, route: str, url: str) -> None: ...
    def on_disconnect(self, ns: int, conn_id: int, reason: str) -> None: ...
    def on_frame_in(
        self, ns: int, conn_id: int, opcode: int, is_final: bool, payload: memoryview
    ) -> None: ...
    def on_frame_out(self, ns: int, conn_id: int, opcode: int, payload: bytes) -> None: ...
    def on_rest(self, ns: int, exchange: str, url: str, status: int, body: bytes) -> None: ...
    def on_marker(self, ns: int, text: str) -> None: ...
