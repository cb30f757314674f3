"""The book as captured frames leave it: what a client that subscribes or asks late must be told."""

from __future__ import annotations

from decimal import Decimal

from connectors.mock.events import MockBook, Row


class Rebuilt:
    """Levels as texts, from a base snapshot and the frames after it. `apply` in the order of the stream."""

    def __init__(self, base: MockBook | None) -> None:
        self.last_id = -1
        self.number = 0
        self.has_checksum = False
        self._base_id = -1
        self._bids: dict[str, str] = {}
        self._asks: dict[str, str] = {}
        if base is not None:
            self._replace(base)
            self._base_id = base.last_id

    def _replace(self, book: MockBook) -> None:
        self._bids, self._asks = dict(book.bids), dict(book.asks)
        self.last_id, self.number = book.last_id, book.number

    def apply(self, book: MockBook) -> None:
        """One frame. What is older than the base changes nothing."""
        self.has_checksum = book.checksum != 0
        if book.is_snapshot:
            self._replace(book)
            return
        if self._base_id >= 0 and book.last_id <= self._base_id:
            return
        for side, rows in ((self._bids, book.bids), (self._asks, book.asks)):
            for price, size in rows:
                if size.strip("0.") == "":
                    side.pop(price, None)
                else:
                    side[price] = size
        self.last_id, self.number = book.last_id, book.number

    def begin_before(self, book: MockBook) -> None:
        """No base is known: the book starts empty, just before this frame."""
        self.last_id = book.prev_id if book.prev_id >= 0 else book.first_id - 1

    def rows(self) -> tuple[list[Row], list[Row]]:
        """Bids and asks, best first."""
        bids = sorted(self._bids.items(), key=lambda row: Decimal(row[0]), reverse=True)
        asks = sorted(self._asks.items(), key=lambda row: Decimal(row[0]))
        return bids, asks

    def book(self, ns: int, checksum: int = 0) -> MockBook:
        bids, asks = self.rows()
        return MockBook(ns, True, bids, asks, self.last_id, self.last_id, -1, self.number, checksum)
