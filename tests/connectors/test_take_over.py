"""A socket that takes over a book from a faster one."""

from __future__ import annotations

import json

from connectors import Book, BookChange, Strategy
from connectors.booksync import BookSync
from connectors.clock import ManualClock
from connectors.dispatch import Slot
from connectors.gate import Gate
from connectors.hub import Hub
from connectors.intake import Entry
from connectors.metrics import ConnectionCounters
from connectors.registry import load_exchange
from connectors.session import Session
from connectors.streams import parse_channel
from connectors.wanted import mark


class Reader(Strategy):
    def __init__(self) -> None:
        super().__init__()
        self.ids: list[int] = []

    def on_book(self, book: Book, change: BookChange) -> None:
        assert book.is_live
        self.ids.append(book.last_id)


class Owner:
    actions = 0

    def on_first_data(self, *_: object) -> None: ...
    def tell(self, *_: object) -> None: ...
    def on_book_action(self, *_: object) -> None:
        self.actions += 1


def message(last: int, prev: int) -> bytes:
    arg = {"channel": "books", "instId": "BTC-USDT"}
    row = {"asks": [["101", "1", "0", "1"]], "bids": [["100", "1", "0", "1"]], "ts": "1", "checksum": 0}
    data = [{**row, "seqId": last, "prevSeqId": prev}]
    action = "snapshot" if prev < 0 else "update"
    return json.dumps({"arg": arg, "action": action, "data": data}, separators=(",", ":")).encode()


def test_a_lagging_socket_takes_a_book_over_without_a_gap() -> None:
    okx = load_exchange("okx")
    (wanted,) = parse_channel("book")
    stream = okx.stream(wanted, okx.instrument("BTC-USDT"), "okx")
    reader, owner = Reader(), Owner()
    slot = Slot(reader, Hub(ManualClock()))
    mark([stream], [slot], set())
    gate, sync = Gate(), BookSync(stream, okx)
    old, new = (
        Session(
            okx, [Entry(stream, gate, sync)], [slot], owner=owner, conn_id=number, connection="okx",
            clock=ManualClock(), counters=ConnectionCounters(),
        )
        for number in (1, 2)
    )  # fmt: skip
    new.pipeline.hold()
    for last, prev in ((100, -1), (103, 100), (106, 103), (109, 106), (112, 109)):
        old.feed(1, message(last, prev), 1)
    for last, prev in ((103, -1), (106, 103)):
        new.feed(1, message(last, prev), 2)

    old.pipeline.mute(stream)
    new.pipeline.take_over(stream, 3)
    for last, prev in ((109, 106), (112, 109), (115, 112), (118, 115)):
        new.feed(1, message(last, prev), 4)

    assert (owner.actions, sync.gaps) == (0, 0)
    assert reader.ids == [100, 103, 106, 109, 112, 115, 118]
