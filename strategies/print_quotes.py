"""Print best bid and ask as they change: the smallest useful strategy."""

from __future__ import annotations

import msgspec

from connectors import Quote, Status, StatusKind, Strategy


class PrintQuotes(Strategy):
    """One line per quote: exchange:symbol, bid and its size, ask and its size."""

    class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        every: int = 1  # print each n-th quote of an instrument

    def __init__(self, params: Params | None = None, name: str = "") -> None:
        super().__init__(params, name)
        self.seen: dict[str, int] = {}
        self._every = max(1, self.params.every)

    def on_quote(self, quote: Quote) -> None:
        key = quote.instrument.key
        count = self.seen.get(key, 0) + 1
        self.seen[key] = count
        if count % self._every == 0:
            bid, bid_size, ask, ask_size = quote.decimal()
            print(f"{key} {bid} x {bid_size} | {ask} x {ask_size}", flush=True)

    def on_status(self, status: Status) -> None:
        # A quote that was printed last is no price once its connection is gone: say so.
        if status.kind in (StatusKind.LOST, StatusKind.STALE):
            where = ":".join(filter(None, (status.connection, status.symbol)))
            print(f"{where} {status.kind.value}: {status.detail}", flush=True)
