"""A recorded message to a delivered event, handler only, beside what plain Python does with the same bytes.

    python tests/bench/bench_decode.py [--repeats 200]

Three things are timed in turn in one process, on the recorded futures day (CAPTURES_DIR):
    ours      the native reader, or verbs.decode -> sink -> reused event (books: and BookSync.on_change)
    msgspec   the 30-line way: typed structs, floats, books as dicts of floats
    orjson    orjson.loads and float() of the price; books as dicts of floats
Prints the least time per message of each (the machine disturbs only upwards) and the ratio to ours.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import os
import timeit
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import orjson

from connectors import BookChange, Channel
from connectors.booksync import BookSync
from connectors.registry import load_exchange
from connectors.sink import Sink

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = Path(os.environ.get("CAPTURES_DIR") or ROOT.parent / "shared" / "data" / "captures")
FILE = "hftbacktest/binance_usdm_btcusdt_20240808.ndtext.gz"
CHUNK = 200


class Trade(msgspec.Struct, gc=False):
    p: str
    q: str
    T: int
    m: bool
    t: int


class Quote(msgspec.Struct, gc=False):
    u: int
    b: str
    B: str
    a: str
    A: str
    T: int


class Depth(msgspec.Struct, gc=False):
    U: int
    u: int
    pu: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class TradeFrame(msgspec.Struct, gc=False):
    data: Trade


class QuoteFrame(msgspec.Struct, gc=False):
    data: Quote


class DepthFrame(msgspec.Struct, gc=False):
    data: Depth


read_trade = msgspec.json.Decoder(TradeFrame).decode
read_quote = msgspec.json.Decoder(QuoteFrame).decode
read_depth = msgspec.json.Decoder(DepthFrame).decode


def apply(side: dict[float, float], rows: Iterable[tuple[str, str]]) -> None:
    for price, size in rows:
        amount = float(size)
        if amount:
            side[float(price)] = amount
        else:
            side.pop(float(price), None)


class Following(Sink):
    sync: BookSync

    def on_book(self, change: BookChange) -> None:
        self.sync.on_change(change)


def load() -> tuple[dict[str, list[memoryview]], bytes]:
    """Payloads by kind, and the REST snapshot; books only from the snapshot on."""
    found: dict[str, list[memoryview]] = {"trade.fill": [], "quote": [], "book.0ms": []}
    words = {b"trade": "trade.fill", b"bookTicker": "quote", b"depth@0ms": "book.0ms"}
    snapshot = b""
    with gzip.open(CAPTURES / FILE) as lines:
        for line in lines:
            payload = line.rstrip(b"\n").split(b" ", 1)[1]
            if payload.startswith(b'{"lastUpdateId"'):
                snapshot = payload
                continue
            kind = words[payload[19 : payload.index(b'"', 19)]]
            found[kind].append(memoryview(payload))
    return found, snapshot


def least_us(step: Callable[[memoryview], object], payloads: list[memoryview], repeats: int) -> float:
    """Over chunks of CHUNK messages; a chunk is short, so that some run undisturbed."""
    chunk = payloads[:CHUNK]

    def run() -> None:
        for payload in chunk:
            step(payload)

    return min(timeit.repeat(run, number=1, repeat=repeats)) / len(chunk) * 1e6


def least_book_us(make: Callable[[], Callable[[memoryview], object]], payloads: list[memoryview]) -> float:
    """Books change with each message, so a run starts from the snapshot; the least of its chunks' means."""

    def chunk_us(step: Callable[[memoryview], object], chunk: list[memoryview]) -> float:
        return timeit.timeit(lambda: [step(payload) for payload in chunk], number=1) / len(chunk) * 1e6

    best = float("inf")
    for _ in range(5):
        step = make()
        best = min(best, *(chunk_us(step, payloads[at : at + CHUNK]) for at in range(100, 2000, CHUNK)))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=200)
    repeats = parser.parse_args().repeats
    payloads, snapshot = load()
    exchange = load_exchange("binance_usdm")
    instrument = exchange.instrument("BTC-USDT-PERP")
    gc.disable()

    def ours(channel: str) -> Callable[[memoryview], object]:
        sink = Following() if channel.startswith("book") else Sink()
        sink.stream = stream = exchange.stream(Channel.parse(channel), instrument)
        sink.recv_ns = 1
        decode = exchange.decode
        if isinstance(sink, Following):
            keeper = Snapshot()
            keeper.stream, sink.sync = stream, BookSync(stream, exchange)
            exchange.parse_snapshot(stream, snapshot, keeper)
            sink.sync.on_snapshot(keeper.change)
            # The book must be followed, or its changes would be timed as dropped ones.
            for payload in payloads[channel][:100]:
                decode(stream, payload, sink)
            assert sink.sync.book.is_live
        flat = exchange.flat(stream)
        if flat is not None:
            # What the pipeline tries first. `obj`: the bytes that the view shows.
            return lambda payload: flat.offer(sink, payload.obj)
        return lambda payload: decode(stream, payload, sink)

    def plain(read: Callable[[memoryview], object]) -> Callable[[], Callable[[memoryview], object]]:
        def make() -> Callable[[memoryview], object]:
            first = orjson.loads(snapshot)
            bids: dict[float, float] = {}
            asks: dict[float, float] = {}
            apply(bids, first["bids"])
            apply(asks, first["asks"])

            def step(payload: memoryview) -> None:
                data = read(payload)
                rows = (data["b"], data["a"]) if isinstance(data, dict) else (data.b, data.a)  # type: ignore[attr-defined]
                apply(bids, rows[0])
                apply(asks, rows[1])

            return step

        return make

    def msgspec_trade(payload: memoryview) -> tuple[float, float]:
        data = read_trade(payload).data
        return float(data.p), float(data.q)

    def msgspec_quote(payload: memoryview) -> tuple[float, float, float, float]:
        data = read_quote(payload).data
        return float(data.b), float(data.B), float(data.a), float(data.A)

    def orjson_trade(payload: memoryview) -> tuple[float, float]:
        data = orjson.loads(payload)["data"]
        return float(data["p"]), float(data["q"])

    def orjson_quote(payload: memoryview) -> tuple[float, float, float, float]:
        data = orjson.loads(payload)["data"]
        return float(data["b"]), float(data["B"]), float(data["a"]), float(data["A"])

    rows = {
        "trade": [least_us(step, payloads["trade.fill"], repeats)
                  for step in (ours("trade.fill"), msgspec_trade, orjson_trade)],
        "quote": [least_us(step, payloads["quote"], repeats)
                  for step in (ours("quote"), msgspec_quote, orjson_quote)],
        "book": [least_book_us(make, payloads["book.0ms"])
                 for make in (lambda: ours("book.0ms"), plain(lambda p: read_depth(p).data),
                              plain(lambda p: orjson.loads(p)["data"]))],
    }  # fmt: skip
    print(f"{'us/message':<10} {'ours':>8} {'msgspec':>8} {'orjson':>8}   ours/msgspec  ours/orjson")
    for name, (own, typed, loose) in rows.items():
        print(f"{name:<10} {own:8.2f} {typed:8.2f} {loose:8.2f}   {own / typed:12.2f}  {own / loose:11.2f}")


class Snapshot(Sink):
    change: BookChange

    def on_book(self, change: BookChange) -> None:
        self.change = change.copy()


if __name__ == "__main__":
    main()
