"""An echo server. Stop it with Ctrl-C.

python -m picows.examples.echo_server --port 9001
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server


class EchoListener(WSListener):
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
            return
        # Fragments go back as fragments; the view is copied or sent before send() returns.
        transport.send(frame.msg_type, frame.get_payload_as_memoryview(), fin=bool(frame.fin))


def accept(_request: WSUpgradeRequest) -> WSListener:
    return EchoListener()


async def serve(host: str, port: int) -> None:
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
