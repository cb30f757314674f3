"""One epoll instance per loop against one add_reader per socket: CPU per echoed message, interleaved.

    python tests/bench/bench_poller.py [--messages 20000] [--repeats 5]

Each run is a process of its own (PICOWS_STREAMS is read at import): an echo server and its clients.
Prints the median CPU time per message of both, and their ratio: above 1 means that epoll is cheaper.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time


def child(loop: str, connections: int, messages: int) -> None:
    from picows import WSListener, WSMsgType, ws_connect, ws_create_server

    payload = bytes(256)

    class Server(WSListener):
        def on_ws_frame(self, transport, frame):
            transport.send(frame.msg_type, frame.get_payload_as_memoryview())

    class Client(WSListener):
        def __init__(self) -> None:
            self.left = messages // connections

        def on_ws_connected(self, transport):
            transport.send(WSMsgType.BINARY, payload)

        def on_ws_frame(self, transport, frame):
            self.left -= 1
            if self.left > 0:
                transport.send(WSMsgType.BINARY, payload)
            else:
                transport.disconnect()

    async def main() -> float:
        server = await ws_create_server(lambda request: Server(), "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        started = time.process_time()
        pairs = await asyncio.gather(*(ws_connect(Client, url) for _ in range(connections)))
        await asyncio.gather(*(transport.wait_disconnected() for transport, _ in pairs))
        used = time.process_time() - started
        server.close()
        return used

    if loop == "uvloop":
        import uvloop

        print(uvloop.run(main()) / messages * 1e6)
    else:
        print(asyncio.run(main()) / messages * 1e6)


def measure(streams: str, loop: str, connections: int, messages: int) -> float:
    command = [sys.executable, __file__, "--child", loop, str(connections), str(messages)]
    done = subprocess.run(
        command, env={**os.environ, "PICOWS_STREAMS": streams}, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--child", nargs=3, metavar=("LOOP", "CONNECTIONS", "MESSAGES"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    if arguments.child:
        loop, connections, messages = arguments.child
        child(loop, int(connections), int(messages))
        return
    print(f"{'loop':<8} {'connections':>11} {'epoll us':>9} {'add_reader us':>13} {'ratio':>6}")
    for loop in ("asyncio", "uvloop"):
        for connections in (1, 64):
            taken: dict[str, list[float]] = {"epoll": [], "poll": []}
            for _ in range(arguments.repeats):
                for streams, values in taken.items():
                    values.append(measure(streams, loop, connections, arguments.messages))
            epoll, poll = (statistics.median(taken[streams]) for streams in ("epoll", "poll"))
            print(f"{loop:<8} {connections:>11} {epoll:>9.2f} {poll:>13.2f} {poll / epoll:>6.2f}", flush=True)


if __name__ == "__main__":
    main()
