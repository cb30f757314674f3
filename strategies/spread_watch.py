"""Watch one symbol on several venues: tell when a bid on one is above the ask on another."""

from __future__ import annotations

import math

import msgspec

from connectors import Quote, Status, StatusKind, Strategy


class Best(msgspec.Struct):
    """The last quote of one venue."""

    bid: float
    ask: float
    recv_ns: int
    connection: str


class Spread(msgspec.Struct, frozen=True):
    """Sell on `sell`, buy on `buy`: what is left before fees."""

    symbol: str
    sell: str  # venue of the bid
    buy: str  # venue of the ask
    bid: float
    ask: float
    bps: float


class SpreadWatch(Strategy):
    """Tells each spread once when it opens and once when it closes.

    Quotes of a lost connection or a stale stream are forgotten: a dead venue's last price is a false alarm.
    """

    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        symbols: tuple[str, ...] = ()  # unified symbols; (): every one that is quoted on two venues
        min_bps: float = 5.0  # tell a spread from here on, in 1/10000 of the ask
        close_bps: float = 0.0  # and that it has closed from here down: two limits, so that it does not flap
        max_age_ms: float = 5000.0  # a quote older than that (against the newest one) is no price

    def __init__(self, params: Params | None = None, name: str = "") -> None:
        super().__init__(params, name)
        self.best: dict[str, dict[str, Best]] = {}  # symbol -> exchange -> its last quote
        self.open: dict[tuple[str, str, str], Spread] = {}  # (symbol, sell, buy)
        self.opened = 0
        self._symbols = frozenset(self.params.symbols)
        self._max_age_ns = round(self.params.max_age_ms * 1e6)

    def on_quote(self, quote: Quote) -> None:
        symbol = quote.instrument.symbol
        if self._symbols and symbol not in self._symbols:
            return
        connection = quote.stream.connection if quote.stream else ""
        venues = self.best.setdefault(symbol, {})
        here = quote.instrument.exchange
        venues[here] = Best(quote.bid, quote.ask, quote.recv_ns, connection)
        for there in venues:
            if there != here:
                self._compare(symbol, here, there, quote.recv_ns)
                self._compare(symbol, there, here, quote.recv_ns)

    def on_status(self, status: Status) -> None:
        if status.kind not in (StatusKind.LOST, StatusKind.STALE, StatusKind.STOPPED):
            return
        for symbol, venues in self.best.items():
            if status.symbol is not None and status.symbol != symbol:
                continue
            for exchange in [name for name, best in venues.items() if best.connection == status.connection]:
                del venues[exchange]
                self._close_all(symbol, exchange, status.kind.value)

    def on_stop(self) -> None:
        print(f"{self.name}: {self.opened} spreads of {self.params.min_bps:g} bps or more", flush=True)

    def _compare(self, symbol: str, sell: str, buy: str, now_ns: int) -> None:
        """Open or close the spread of one direction."""
        venues = self.best[symbol]
        bid, ask = venues[sell], venues[buy]
        key = (symbol, sell, buy)
        is_fresh = now_ns - min(bid.recv_ns, ask.recv_ns) <= self._max_age_ns
        if not is_fresh or math.isnan(bid.bid) or math.isnan(ask.ask):
            self._close(key, "quotes too old")
            return
        bps = (bid.bid - ask.ask) / ask.ask * 1e4
        if bps < self.params.close_bps:
            self._close(key, f"{bps:.1f} bps")
        elif bps >= self.params.min_bps and key not in self.open:
            self.open[key] = Spread(symbol, sell, buy, bid.bid, ask.ask, bps)
            self.opened += 1
            print(
                f"{symbol}: {bps:.1f} bps: bid {bid.bid:.10g} on {sell}, ask {ask.ask:.10g} on {buy}",
                flush=True,
            )

    def _close_all(self, symbol: str, exchange: str, why: str) -> None:
        for key in [key for key in self.open if key[0] == symbol and exchange in key[1:]]:
            self._close(key, why)

    def _close(self, key: tuple[str, str, str], why: str) -> None:
        if self.open.pop(key, None) is not None:
            print(f"{key[0]}: closed between {key[1]} and {key[2]}: {why}", flush=True)
