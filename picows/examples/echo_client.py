"""Send one message to an echo server, print the answer, close.

python -m picows.examples.echo_client --url ws://127.0.0.1:9001/
"""

from __future__ import annotations

import argparse
import asyncio

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect


class EchoClient(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, "hello, world")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        print(f"echo: {frame.get_payload_as_utf8_text()}")
        transport.send_close(WSCloseCode.OK)


async def run(url: str) -> None:
    transport, _ = await ws_connect(EchoClient, url)
    await transport.wait_disconnected()  # raises what went wrong, if anything did


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="ws://127.0.0.1:9001/", help="echo server (default: %(default)s)")
    asyncio.run(run(parser.parse_args().url))


if __name__ == "__main__":
    main()
