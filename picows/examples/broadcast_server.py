"""Send what one client says to all of them; a client that cannot keep up is left out until it can.

python -m picows.examples.broadcast_server --port 9001
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib

from picows import (
    WSMessageAssembler,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    broadcast,
    ws_create_server,
)


class Room:
    """Who is here, and what those have missed who could not keep up."""

    def __init__(self) -> None:
        self.members: dict[WSTransport, Member] = {}

    def tell_all(self, msg_type: WSMsgType, message: memoryview) -> None:
        slow: list[WSTransport] = []
        # Framed once, however many there are.
        broadcast(self.members, msg_type, message, skip_paused=True, skipped=slow)
        for transport in slow:
            self.members[transport].missed += 1


class Member(WSMessageAssembler):
    def __init__(self, room: Room) -> None:
        super().__init__(max_message_size=64 * 1024)
        self._room = room
        self._transport: WSTransport | None = None
        self.missed = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._room.members[transport] = self

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        del self._room.members[transport]

    def on_ws_message(self, transport: WSTransport, msg_type: WSMsgType, message: memoryview) -> None:
        self._room.tell_all(msg_type, message)

    def pause_writing(self) -> None:
        """From now on this member is slow: broadcast passes over it."""

    def resume_writing(self) -> None:
        if self.missed and self._transport is not None:
            # A gap is told, never hidden.
            self._transport.send(WSMsgType.TEXT, f"you have missed {self.missed} messages")
            self.missed = 0


async def serve(host: str, port: int) -> None:
    room = Room()

    def accept(_request: WSUpgradeRequest) -> WSMessageAssembler:
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
