"""Call coroutines from a listener: on_ws_frame itself is synchronous.

A task starts in the next cycle of the event loop, so it gets a copy of the payload: the frame is valid during
the callback only. From Python 3.12 on an eager task runs up to its first await inside the callback.

python -m picows.examples.echo_client_async_callbacks --url ws://127.0.0.1:9001/
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect


class AsyncEchoClient(WSListener):
    def __init__(self, messages: int) -> None:
        self._left = messages
        self._tasks: set[asyncio.Task[None]] = set()  # the loop keeps weak references only

    def on_ws_connected(self, transport: WSTransport) -> None:
        transport.send(WSMsgType.TEXT, f"{self._left} to go")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        task = asyncio.get_running_loop().create_task(
            self.on_message(transport, frame.get_payload_as_utf8_text())
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def on_message(self, transport: WSTransport, text: str) -> None:
        print(f"echo: {text}")
        await asyncio.sleep(0)  # whatever there is to wait for
        self._left -= 1
        if self._left:
            transport.send(WSMsgType.TEXT, f"{self._left} to go")
        else:
            transport.send_close(WSCloseCode.OK)


async def run(url: str, messages: int) -> None:
    if sys.version_info >= (3, 12):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    transport, _ = await ws_connect(lambda: AsyncEchoClient(messages), url)
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
