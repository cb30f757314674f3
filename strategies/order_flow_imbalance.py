"""Order-flow imbalance at the best levels of a book, over a sliding window of time.

One change of the best levels adds (Cont, Kukanov, Stoikov: "The Price Impact of Order Book Events", 2014)

    e = [Pb >= Pb'] qb - [Pb <= Pb'] qb' - [Pa <= Pa'] qa + [Pa >= Pa'] qa'

with prices P and sizes q of bid b and ask a, before (') and after. The imbalance is the sum of e over the
window: positive when demand grows (bids rise, asks retreat). Time is the events' own `recv_ns`, so that a
replay gives the same numbers.
"""

from __future__ import annotations

from collections import deque

import msgspec

from connectors import Book, BookChange, Status, StatusKind, Strategy


class Top(msgspec.Struct, frozen=True):
    """Best levels: prices in quote per base, sizes in base units."""

    bid: float
    bid_size: float
    ask: float
    ask_size: float


def contribution(before: Top, after: Top) -> float:
    """e of the formula above, in base units."""
    demand = (after.bid_size if after.bid >= before.bid else 0.0) - (
        before.bid_size if after.bid <= before.bid else 0.0
    )
    supply = (after.ask_size if after.ask <= before.ask else 0.0) - (
        before.ask_size if after.ask >= before.ask else 0.0
    )
    return demand - supply


class Window:
    """Contributions of one instrument that are younger than `window_ns`."""

    def __init__(self, window_ns: int) -> None:
        self.window_ns = window_ns
        self.epoch = -1
        self.top: Top | None = None
        self.value = 0.0  # the imbalance, base units
        self.reported_ns = 0
        self._items: deque[tuple[int, float]] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def add(self, ns: int, top: Top) -> None:
        """The best levels at `ns`; unchanged ones add nothing."""
        if self.top is not None and top != self.top:
            amount = contribution(self.top, top)
            self._items.append((ns, amount))
            self.value += amount
        self.top = top
        while self._items and self._items[0][0] <= ns - self.window_ns:
            self.value -= self._items.popleft()[1]
        if not self._items:
            self.value = 0.0  # what rounding has left over

    def clear(self, epoch: int) -> None:
        """Forget all: the book was synced anew, its levels do not continue the old ones."""
        self.epoch = epoch
        self.top = None
        self.value = 0.0
        self._items.clear()


class OrderFlowImbalance(Strategy):
    """One window per instrument with a `book` channel. `imbalance` is for strategies built on this one."""

    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        window_s: float = 10.0
        report_every_s: float = 5.0  # print a line per instrument; 0: only at the end

    def __init__(self, params: Params | None = None, name: str = "") -> None:
        super().__init__(params, name)
        self.windows: dict[str, Window] = {}
        self._window_ns = round(self.params.window_s * 1e9)
        self._report_ns = round(self.params.report_every_s * 1e9)

    @property
    def imbalance(self) -> dict[str, float]:
        """Instrument key -> imbalance in base units."""
        return {key: window.value for key, window in self.windows.items()}

    def on_book(self, book: Book, change: BookChange) -> None:
        key = book.instrument.key
        window = self.windows.get(key)
        if window is None:
            window = self.windows[key] = Window(self._window_ns)
            window.reported_ns = change.recv_ns
        if window.epoch != book.epoch:
            window.clear(book.epoch)
        window.add(change.recv_ns, Top(book.best_bid, book.best_bid_size, book.best_ask, book.best_ask_size))
        if self._report_ns and change.recv_ns - window.reported_ns >= self._report_ns:
            window.reported_ns = change.recv_ns
            self._report(key, window)

    def on_status(self, status: Status) -> None:
        if status.kind is StatusKind.GAP and status.symbol is not None:
            window = self.windows.get(f"{status.exchange}:{status.symbol}")
            if window is not None:
                window.clear(-1)

    def on_stop(self) -> None:
        for key, window in self.windows.items():
            self._report(key, window)

    def _report(self, key: str, window: Window) -> None:
        print(f"{key}: imbalance {window.value:+.6g} over {len(window)} changes", flush=True)
