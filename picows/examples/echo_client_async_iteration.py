"""`async for message in ...` on top of a listener, by a bounded queue.

Each message costs a copy and a cycle of the event loop. When the queue is full, reading pauses and TCP slows
the peer down, so a slow consumer does not fill the memory.

python -m picows.examples.echo_client_async_iteration --url ws://127.0.0.1:9001/
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect


class MessageQueue(WSListener):
    """Whole, unfragmented messages of a connection; iterate to get them."""

    def __init__(self, limit: int = 64) -> None:
        self._limit = limit
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY):
            self._messages.put_nowait(frame.get_payload_as_bytes())
            if self._messages.qsize() >= self._limit:
                transport.underlying_transport.pause_reading()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._messages.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self._messages.get()) is not None:
            if self._transport is not None and self._messages.qsize() < self._limit // 2:
                self._transport.underlying_transport.resume_reading()
            yield message


async def run(url: str, messages: int) -> None:
    transport, queue = await ws_connect(MessageQueue, url)
    assert isinstance(queue, MessageQueue)
    for number in range(messages):
        transport.send(WSMsgType.TEXT, f"message {number}")
    received = 0
    async for message in queue:
        print(f"echo: {message.decode()}")
        received += 1
        if received == messages:
            transport.send_close(WSCloseCode.OK)
    await transport.wait_disconnected()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="ws://127.0.0.1:9001/", help="echo server (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=3, help="messages to send (default: %(default)s)")
    arguments = parser.parse_args()
    asyncio.run(run(arguments.url, arguments.messages))


if __name__ == "__main__":
    main()
