"""The whole path, socket to strategy, beside a plain `websockets` + orjson loop and picows 2.3.1 + msgspec.

    python tests/bench/bench_path.py [--other VENV_PYTHON] [--count 200000] [--rate 2000]

One server process sends best-bid-ask messages over loopback; each client runs in a process of its own, one
after another, and hands (bid, ask) as numbers to a callback. Figures: us of the client's CPU per message when
they come as fast as they are read, and us from `send` to callback at a steady rate. --other: the Python of a
virtual environment with picows 2.3.1 and msgspec (it has our import name, so it can not live in ours). Ratios
of one run are what counts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
WARM_UP = 1000
SUBSCRIBE = '{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":1}'
MESSAGE = (
    '{"stream":"btcusdt@bookTicker","data":{"u":%d,"s":"BTCUSDT","b":"61800.30000000","B":"1.26110000",'
    '"a":"61800.31000000","A":"0.00600000"}}'
)


class Meter:
    """What every client's callback does; `result` is comparable."""

    def __init__(self, count: int, is_paced: bool) -> None:
        self.left = count
        self.is_paced = is_paced
        self.delays: list[int] = []
        self.total = 0.0
        self.began = (0.0, 0.0)
        self.measured = 0
        self.ended = asyncio.Event()

    def on_quote(self, bid: float, ask: float, sent_ns: int) -> None:
        self.total += ask - bid
        self.left -= 1
        if self.is_paced:
            self.delays.append(time.time_ns() - sent_ns)
        if self.measured == WARM_UP:
            self.began = (time.process_time(), time.perf_counter())
        self.measured += 1
        if self.left == 0:
            self.cpu_s = time.process_time() - self.began[0]
            self.wall_s = time.perf_counter() - self.began[1]
            self.ended.set()

    @property
    def result(self) -> dict[str, float]:
        count = self.measured - WARM_UP
        if self.is_paced:
            ordered = sorted(self.delays[WARM_UP:])
            return {
                "p50_us": ordered[len(ordered) // 2] / 1e3,
                "p99_us": ordered[len(ordered) * 99 // 100] / 1e3,
            }
        return {"cpu_us": self.cpu_s / count * 1e6, "wall_us": self.wall_s / count * 1e6}


# Server


async def serve(count: int, rate: float) -> None:
    from picows import WSListener, WSMsgType, ws_create_server

    class Server(WSListener):
        def on_ws_connected(self, transport: Any) -> None:
            self.transport = transport
            self.may_send = asyncio.Event()
            self.may_send.set()

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            if frame.msg_type == WSMsgType.TEXT and b"SUBSCRIBE" in frame.get_payload_as_bytes():
                transport.send(WSMsgType.TEXT, '{"result":null,"id":1}')
                self.task = asyncio.ensure_future(self.send_all())
            elif frame.msg_type == WSMsgType.PING:
                transport.send_pong(frame.get_payload_as_bytes())
            elif frame.msg_type == WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                transport.disconnect()

        def pause_writing(self) -> None:
            self.may_send.clear()

        def resume_writing(self) -> None:
            self.may_send.set()

        async def send_all(self) -> None:
            began = time.perf_counter()
            for number in range(count):
                self.transport.send(WSMsgType.TEXT, MESSAGE % time.time_ns())
                if rate:
                    while (wait_s := began + (number + 1) / rate - time.perf_counter()) > 0:
                        await asyncio.sleep(max(wait_s, 0))
                elif number % 64 == 0:
                    await self.may_send.wait()
                    await asyncio.sleep(0)

    server = await ws_create_server(lambda request: Server(), "127.0.0.1", 0, enable_auto_pong=False)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# Clients


async def run_ours(port: int, meter: Meter) -> None:
    from connectors import Quote, Strategy
    from connectors.engine import Engine
    from connectors.settings import ConnectionSettings, Settings

    class Taker(Strategy):
        def on_start(self, ctx: Any) -> None:
            self.on_each = meter.on_quote

        def on_quote(self, quote: Quote) -> None:
            self.on_each(quote.bid, quote.ask, quote.update_id or 0)

    connection = ConnectionSettings(
        exchange="binance_spot",
        symbols=("BTC-USDT",),
        channels=("quote",),
        url=f"ws://127.0.0.1:{port}",
        instruments="default",
    )
    engine = Engine(Settings(connections=(connection,)), base_dir=ROOT, strategies=[Taker()])
    run = asyncio.ensure_future(engine.run())
    await meter.ended.wait()
    engine.stop("measured")
    await run


async def run_websockets(port: int, meter: Meter) -> None:
    import orjson
    import websockets

    async with websockets.connect(f"ws://127.0.0.1:{port}/stream", compression=None) as socket:
        await socket.send(SUBSCRIBE)
        while not meter.ended.is_set():
            message = orjson.loads(await socket.recv())
            if "stream" in message:
                data = message["data"]
                meter.on_quote(float(data["b"]), float(data["a"]), data["u"])


async def run_picows(port: int, meter: Meter) -> None:
    import msgspec

    from picows import WSListener, WSMsgType, ws_connect

    data_type = msgspec.defstruct("Data", [("u", int), ("b", str), ("a", str)], gc=False)
    message_type = msgspec.defstruct("Message", [("data", data_type | None, None)], gc=False)
    decoder = msgspec.json.Decoder(message_type)

    class Client(WSListener):
        def on_ws_connected(self, transport: Any) -> None:
            transport.send(WSMsgType.TEXT, SUBSCRIBE)

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            data = decoder.decode(frame.get_payload_as_memoryview()).data
            if data is not None:
                meter.on_quote(float(data.b), float(data.a), data.u)

    transport, _ = await ws_connect(Client, f"ws://127.0.0.1:{port}/stream")
    await meter.ended.wait()
    transport.disconnect()


CLIENTS = {"ours": run_ours, "websockets": run_websockets, "picows": run_picows}


def client(name: str, port: int, count: int, is_paced: bool) -> None:
    async def run() -> dict[str, float]:
        meter = Meter(count, is_paced)
        await asyncio.wait_for(CLIENTS[name](port, meter), 300)
        return meter.result

    print(json.dumps(asyncio.run(run())))


# All of them


def measure(python: str, name: str, count: int, rate: float) -> dict[str, float]:
    """One client against a server of its own."""
    me = str(Path(__file__))
    numbers = ["--count", str(count), "--rate", str(rate)]
    server = subprocess.Popen(
        [sys.executable, me, "serve", *numbers], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert server.stdout is not None
        port = server.stdout.readline().strip()
        out = subprocess.run(
            [python, me, name, *numbers, "--port", port],
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
    finally:
        server.kill()
        server.wait()
    if out.returncode:
        raise SystemExit(f"{name} failed:\n{out.stderr[-2000:]}")
    found: dict[str, float] = json.loads(out.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("role", nargs="?", default="all", choices=["all", "serve", *CLIENTS])
    parser.add_argument("--other", help="Python of a virtual environment with picows 2.3.1 and msgspec")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--rate", type=float, default=2000.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    if options.role != "picows":
        sys.path.insert(0, str(ROOT))
    if options.role == "serve":
        asyncio.run(serve(options.count, options.rate))
    elif options.role != "all":
        client(options.role, options.port, options.count, options.rate > 0)
    else:
        report(options)


def report(options: argparse.Namespace) -> None:
    pythons = {"ours": sys.executable, "websockets": sys.executable}
    if options.other:
        pythons["picows"] = options.other
    ours: dict[str, float] = {}
    for name, python in pythons.items():
        flat = [measure(python, name, options.count, 0.0) for _ in range(options.rounds)]
        paced = measure(python, name, min(options.count, 10_000), options.rate)
        figures = {key: statistics.median(each[key] for each in flat) for key in flat[0]} | paced
        ours = ours or figures
        text = "  ".join(
            f"{key} {value:8.2f} ({value / ours[key]:5.2f} x ours)" for key, value in figures.items()
        )
        print(f"{name:<11} {text}", flush=True)


if __name__ == "__main__":
    main()
