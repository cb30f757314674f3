"""Send a message in fragments, and put a fragmented one together again with a limit on its size.

python -m picows.examples.echo_client_fragmented_msg --url ws://127.0.0.1:9001/
"""

from __future__ import annotations

import argparse
import asyncio

from picows import WSCloseCode, WSFrame, WSMessageAssembler, WSMsgType, WSTransport, ws_connect


def send_fragmented(transport: WSTransport, msg_type: WSMsgType, message: bytes, size: int) -> None:
    """The first frame carries the type, the others CONTINUATION, the last fin=True (RFC 6455 5.4)."""
    for start in range(0, max(len(message), 1), size):
        kind = msg_type if start == 0 else WSMsgType.CONTINUATION
        transport.send(kind, message[start : start + size], fin=start + size >= len(message))


class Client(WSMessageAssembler):
    """on_ws_message gets whole messages; on_ws_frame is overridden only to show the fragments."""

    # max_frame_size limits a frame; a message of many frames has a limit of its own.
    max_message_size = 1024 * 1024

    def on_ws_connected(self, transport: WSTransport) -> None:
        send_fragmented(transport, WSMsgType.TEXT, b"a message in several fragments", size=8)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            print(f"fragment of {frame.payload_size} bytes, fin={bool(frame.fin)}")
        super().on_ws_frame(transport, frame)

    def on_ws_message(self, transport: WSTransport, msg_type: WSMsgType, message: memoryview) -> None:
        print(f"message: {str(message, 'utf-8')}")
        transport.send_close(WSCloseCode.OK)


async def run(url: str) -> None:
    transport, _ = await ws_connect(Client, url)
    await transport.wait_disconnected()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="ws://127.0.0.1:9001/", help="echo server (default: %(default)s)")
    asyncio.run(run(parser.parse_args().url))


if __name__ == "__main__":
    main()
