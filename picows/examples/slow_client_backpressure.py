"""A server that sends faster than its client reads: pause_writing and resume_writing pace it.

python -m picows.examples.slow_client_backpressure --messages 2000
"""

from __future__ import annotations

import argparse
import asyncio

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect, ws_create_server

MESSAGE = bytes(10_000)


class Producer(WSListener):
    """Send `count` messages, as fast as the peer takes them."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._may_send = True
        self._transport: WSTransport | None = None
        self.pauses = 0
        self.most_queued_bytes = 0

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        # Above 256 KiB pause_writing is called, at 64 KiB resume_writing.
        transport.underlying_transport.set_write_buffer_limits(high=256 * 1024, low=64 * 1024)
        self._produce()

    def pause_writing(self) -> None:
        self._may_send = False
        self.pauses += 1

    def resume_writing(self) -> None:
        self._may_send = True
        self._produce()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def _produce(self) -> None:
        assert self._transport is not None
        while self._may_send and self._left:
            self._left -= 1
            self._transport.send(WSMsgType.BINARY, MESSAGE)
            queued = self._transport.underlying_transport.get_write_buffer_size()
            self.most_queued_bytes = max(self.most_queued_bytes, queued)
        if not self._left:
            self._transport.send_close(WSCloseCode.OK)


class SlowConsumer(WSListener):
    """Stop reading every 100 messages, for a moment."""

    def __init__(self) -> None:
        self.received = 0

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
            return
        self.received += 1
        if self.received % 100 == 0:
            transport.underlying_transport.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(0.001, transport.underlying_transport.resume_reading)


async def run(messages: int) -> None:
    producer = Producer(messages)
    server = await ws_create_server(lambda request: producer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        transport, consumer = await ws_connect(SlowConsumer, f"ws://127.0.0.1:{port}/")
        await transport.wait_disconnected()
    assert isinstance(consumer, SlowConsumer)
    print(f"received {consumer.received} messages of {len(MESSAGE)} bytes")
    print(f"the producer was paused {producer.pauses} times")
    print(f"at most {producer.most_queued_bytes} bytes were queued")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=5000, help="messages to send (default: %(default)s)")
    asyncio.run(run(parser.parse_args().messages))


if __name__ == "__main__":
    main()
