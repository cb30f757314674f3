"""Send a message in fragments, and put a fragmented one together again with a limit on its size.

python -m picows.examples.echo_client_fragmented_msg --url ws://127.0.0.1:9001/
"""

from __future__ import annotations

import argparse
import asyncio

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSProtocolError, WSTransport, ws_connect

MAX_MESSAGE_BYTES = 1024 * 1024


def send_fragmented(transport: WSTransport, msg_type: WSMsgType, message: bytes, size: int) -> None:
    """The first frame carries the type, the others CONTINUATION, the last fin=True (RFC 6455 5.4)."""
    for start in range(0, max(len(message), 1), size):
        kind = msg_type if start == 0 else WSMsgType.CONTINUATION
        transport.send(kind, message[start : start + size], fin=start + size >= len(message))


class Assembler(WSListener):
    def __init__(self) -> None:
        self._pieces = bytearray()
        self._type = WSMsgType.CONTINUATION

    def on_ws_connected(self, transport: WSTransport) -> None:
        send_fragmented(transport, WSMsgType.TEXT, b"a message in several fragments", size=8)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self.on_fragment(transport, frame)

    def on_fragment(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.CONTINUATION:
            self._type = frame.msg_type
            self._pieces.clear()
        # max_frame_size limits a frame; a message of many frames is for us to limit.
        if len(self._pieces) + frame.payload_size > MAX_MESSAGE_BYTES:
            raise WSProtocolError(WSCloseCode.MESSAGE_TOO_BIG, f"more than {MAX_MESSAGE_BYTES} bytes")
        self._pieces += frame.get_payload_as_memoryview()
        print(f"fragment of {frame.payload_size} bytes, fin={bool(frame.fin)}")
        if frame.fin:
            print(f"message: {self._pieces.decode()}")
            transport.send_close(WSCloseCode.OK)


async def run(url: str) -> None:
    transport, _ = await ws_connect(Assembler, url)
    await transport.wait_disconnected()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="ws://127.0.0.1:9001/", help="echo server (default: %(default)s)")
    asyncio.run(run(parser.parse_args().url))


if __name__ == "__main__":
    main()
