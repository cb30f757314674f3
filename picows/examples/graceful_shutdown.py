"""The closing handshake of RFC 6455 section 7, written out: picows sends and answers no CLOSE by itself.

Client and server run in one process; --initiator chooses who closes.

python -m picows.examples.graceful_shutdown --initiator server
"""

from __future__ import annotations

import argparse
import asyncio

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect, ws_create_server


class Listener(WSListener):
    def __init__(self, name: str, is_initiator: bool) -> None:
        self._name = name
        self._is_initiator = is_initiator
        self.gone = asyncio.Event()

    def on_ws_connected(self, transport: WSTransport) -> None:
        if self._is_initiator:
            print(f"{self._name}: closing")
            transport.send_close(WSCloseCode.GOING_AWAY, "maintenance")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            print(f"{self._name}: got CLOSE {int(frame.get_close_code())} {frame.get_close_reason()!r}")
            # Echo it, unless it is the echo of ours: then this does nothing. What is queued is sent first.
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        handshake = transport.close_handshake
        print(f"{self._name}: disconnected, peer closed first: {handshake and handshake.recv_then_sent}")
        self.gone.set()


async def run(initiator: str) -> None:
    server_side = Listener("server", initiator == "server")
    client_side = Listener("client", initiator == "client")
    server = await ws_create_server(lambda request: server_side, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        transport, _ = await ws_connect(lambda: client_side, f"ws://127.0.0.1:{port}/")
        await transport.wait_disconnected()
        await server_side.gone.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--initiator", choices=("client", "server"), default="client", help="who closes")
    asyncio.run(run(parser.parse_args().initiator))


if __name__ == "__main__":
    main()
