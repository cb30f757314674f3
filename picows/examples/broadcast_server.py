"""Send what one client says to all of them; a client that cannot keep up is left out until it can.

python -m picows.examples.broadcast_server --port 9001
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server


class Room:
    """Who is here, and can take more."""

    def __init__(self) -> None:
        self.members: set[Member] = set()

    def broadcast(self, msg_type: WSMsgType, message: bytes) -> None:
        for member in list(self.members):
            member.offer(msg_type, message)


class Member(WSListener):
    def __init__(self, room: Room) -> None:
        self._room = room
        self._transport: WSTransport | None = None
        self._is_slow = False
        self.missed = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._room.members.add(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._room.members.discard(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY) and frame.fin:
            self._room.broadcast(frame.msg_type, frame.get_payload_as_bytes())

    def pause_writing(self) -> None:
        self._is_slow = True

    def resume_writing(self) -> None:
        self._is_slow = False
        if self.missed and self._transport is not None:
            # A gap is told, never hidden.
            self._transport.send(WSMsgType.TEXT, f"you have missed {self.missed} messages")
            self.missed = 0

    def offer(self, msg_type: WSMsgType, message: bytes) -> None:
        if self._is_slow:
            self.missed += 1
        elif self._transport is not None:
            self._transport.send(msg_type, message)


async def serve(host: str, port: int) -> None:
    room = Room()

    def accept(_request: WSUpgradeRequest) -> WSListener:
        return Member(room)

    server = await ws_create_server(accept, host, port)
    for sock in server.sockets:
        print(f"listening on {sock.getsockname()[0]}:{sock.getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=9001, help="0: any free one (default: %(default)s)")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
