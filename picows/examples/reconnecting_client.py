"""Stay connected: reconnect after any failure, with growing, jittered pauses; end when cancelled.

python -m picows.examples.reconnecting_client --url ws://127.0.0.1:9001/
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random

from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 30.0


class Subscriber(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        print("connected", flush=True)
        transport.send(WSMsgType.TEXT, "subscribe")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            print(f"message: {frame.get_payload_as_utf8_text()}", flush=True)


async def stay_connected(url: str, connections: int) -> None:
    """Connect again and again; `connections` > 0 ends it after so many that came to be."""
    pause_s = FIRST_PAUSE_S
    made = 0
    while True:
        try:
            # Auto ping notices a peer that is gone without a word.
            transport, _ = await ws_connect(
                Subscriber, url, enable_auto_ping=True, auto_ping_idle_timeout=5, auto_ping_reply_timeout=5
            )
            made += 1
            pause_s = FIRST_PAUSE_S
            await transport.wait_disconnected()
            print("disconnected", flush=True)
        except (OSError, WSError) as exc:  # TimeoutError is an OSError; CancelledError passes
            print(f"failed: {type(exc).__name__}: {exc}", flush=True)
        if made == connections:
            return
        # Jitter, so that the clients of a server that restarts do not all come at once.
        await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="ws://127.0.0.1:9001/", help="server (default: %(default)s)")
    parser.add_argument("--connections", type=int, default=-1, help="end after so many (default: never)")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(stay_connected(arguments.url, arguments.connections))


if __name__ == "__main__":
    main()
