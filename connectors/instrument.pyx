"""What is traded, and one stream of data about it."""
from decimal import Decimal

from connectors.fixed cimport fixed_of, text_of
from connectors.errors import ConfigError

KINDS = ("spot", "perp", "future", "option")
STREAM_KINDS = ("trade", "quote", "book", "ticker", "candle", "funding", "liquidation", "raw")


def scale_of(step) -> int:
    """Decimal digits that hold every multiple of a tick or step: 0.01 -> 2, 0.5 -> 1, 5 -> 0, 1E-8 -> 8."""
    exponent = Decimal(step).normalize().as_tuple().exponent
    return max(0, -exponent)


cdef class Instrument:
    """One instrument of one venue. Immutable; equal to itself only; shared by events, books and streams."""

    def __init__(
        self, str exchange, str symbol, str native, *, str kind="spot", int price_scale=8, int size_scale=8,
        price_tick=None, size_step=None, contract_size=Decimal(1), bint is_inverse=False,
        bint is_scale_known=True,
    ):
        if kind not in KINDS:
            raise ConfigError(f"{exchange}:{symbol}: kind: expected one of {', '.join(KINDS)}, got {kind!r}")
        for name, scale in (("price_scale", price_scale), ("size_scale", size_scale)):
            if not 0 <= scale <= 18:
                raise ConfigError(f"{exchange}:{symbol}: {name}: expected 0..18, got {scale}")
        self.exchange = exchange
        self.symbol = symbol
        self.native = native
        self.kind = kind
        self.key = f"{exchange}:{symbol}"
        self.price_scale = price_scale
        self.size_scale = size_scale
        self.price_tick = price_tick
        self.size_step = size_step
        self.contract_size = contract_size
        self.is_inverse = is_inverse
        self.is_scale_known = is_scale_known

    def price_int(self, text):
        """Decimal text as an int at price_scale. Raises DecodeError, ScaleError."""
        return fixed_of(text, self.price_scale)

    def size_int(self, text):
        """Decimal text as an int at size_scale. Raises DecodeError, ScaleError."""
        return fixed_of(text, self.size_scale)

    def price_text(self, value):
        """The shortest exact text of a price_int."""
        return text_of(value, self.price_scale)

    def size_text(self, value):
        """The shortest exact text of a size_int."""
        return text_of(value, self.size_scale)

    def __repr__(self):
        return f"Instrument({self.key!r}, native={self.native!r}, price_scale={self.price_scale}, " \
               f"size_scale={self.size_scale})"


cdef class Stream:
    """One subscribed (or subscribable) stream: the unit of acks, deadlines, counters and resubscription."""

    def __init__(
        self, str exchange, str kind, str name, str topic, bytes key, *, Instrument instrument=None,
        str route="", str variant="", str connection="", fact=None,
    ):
        if kind not in STREAM_KINDS:
            raise ConfigError(f"{topic}: kind: expected one of {', '.join(STREAM_KINDS)}, got {kind!r}")
        self.exchange = exchange
        self.connection = connection
        self.kind = kind
        self.variant = variant
        self.name = name
        self.route = route
        self.topic = topic
        self.key = key
        self.instrument = instrument
        self.fact = fact
        self.is_wanted = False
        self.state = None
        self.counters = None

    def __repr__(self):
        return f"Stream({self.exchange}:{self.topic}, kind={self.kind!r})"
