"""The contract of a strategy: override what you want to hear of; only that is decoded."""
import msgspec

CALLBACKS = (
    "on_ws_frame", "on_trade", "on_quote", "on_book", "on_ticker", "on_candle", "on_funding",
    "on_liquidation",
    "on_status", "on_pause", "on_resume",
)


class NoParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a strategy without a Params of its own takes: nothing."""


cdef class Strategy:
    """Base of all strategies. Callbacks are synchronous, called from the one chain that began at `recv`.

    Events and frames are views, valid during the callback; `.copy()` keeps an event, `bytes(...)` a payload.
    An exception is isolated, counted and logged; N in a row of one callback (config:
    strategies[].max_errors) switch the strategy off.
    `Params`: a msgspec.Struct with the strategy's parameters and their defaults; the config's `params:`
    are decoded
    into it, strictly, before any socket opens.
    An `__init__` takes (params, name) and hands them to `super().__init__`; or set attributes in on_start.
    """

    Params = NoParams

    def __init__(self, params=None, str name=""):
        self.params = type(self).Params() if params is None else params
        self.name = name or type(self).__name__

    cpdef object on_start(self, object ctx):
        """Before the first connection is made. ctx: connectors.context.Context."""

    cpdef object on_stop(self):
        """After the last callback, also when the run ends by an error."""

    cpdef object on_ws_frame(self, object transport, object frame):
        """Every data frame, raw, before it is decoded (picows.WSTransport, picows.WSFrame). Fragments come
        one by one."""

    cpdef object on_trade(self, Trade trade):
        """A trade."""

    cpdef object on_quote(self, Quote quote):
        """Best bid and ask, from a stream of the venue's own (not derived from books)."""

    cpdef object on_book(self, Book book, BookChange change):
        """`change` has been applied to `book`, which is LIVE. Never called with a book that is not."""

    cpdef object on_ticker(self, Ticker ticker):
        """24 h statistics."""

    cpdef object on_candle(self, Candle candle):
        """A bar, running or closed."""

    cpdef object on_funding(self, Funding funding):
        """Funding rate, mark and index price."""

    cpdef object on_liquidation(self, Liquidation liquidation):
        """A forced order."""

    cpdef object on_status(self, object status):
        """connectors.status.Status: connections, streams, books and other strategies."""

    cpdef object on_pause(self, object transport):
        """The transport's send buffer is above its high-water mark: stop sending."""

    cpdef object on_resume(self, object transport):
        """The send buffer has drained: sending may go on."""


def overridden(strategy):
    """Names of the callbacks that a strategy's class defines itself."""
    cls = type(strategy)
    return frozenset(name for name in CALLBACKS if getattr(cls, name) is not getattr(Strategy, name))
