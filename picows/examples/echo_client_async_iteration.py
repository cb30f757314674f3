"""`async for message in ...`: a WSReceiver has the messages of a connection in a bounded queue.

Each message costs a copy, and a turn of the event loop when it is waited for. When the queue is full, reading
pauses and TCP slows the peer down, so a slow consumer does not fill the memory.

python -m picows.examples.echo_client_async_iteration --url ws://127.0.0.1:9001/
"""

from __future__ import annotations

import argparse
import asyncio

from picows import WSReceiver, ws_connect_async


async def send_all(receiver: WSReceiver, messages: int) -> None:
    for number in range(messages):
        await receiver.send(f"message {number}")  # waits while the peer is slower than we are


async def run(url: str, messages: int) -> None:
    async with ws_connect_async(url, max_queue_messages=64) as receiver, asyncio.TaskGroup() as tasks:
        tasks.create_task(send_all(receiver, messages))
        received = 0
        async for message in receiver:
            print(f"echo: {message!s}")
            received += 1
            if received == messages:
                break  # the end of the block closes the connection


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
