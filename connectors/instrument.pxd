"""What is traded, and one stream of data about it."""
from libc.stdint cimport int64_t

cdef class Instrument:
    cdef:
        # Identity. `key` = "exchange:SYMBOL" is unique in a process and what ctx.instruments is indexed by.
        readonly str exchange           # name of the facts file
        readonly str symbol             # unified: BTC-USDT, BTC-USDT-PERP, BTC-USD-220527
        readonly str native             # the venue's own: BTCUSDT, BTC-USDT-SWAP
        readonly str kind               # spot | perp | future | option
        readonly str key

        # Numbers. value_int = value * 10**scale.
        readonly int price_scale
        readonly int size_scale
        readonly object price_tick      # Decimal or None: not known
        readonly object size_step       # Decimal or None
        # Decimal: size unit in base (inverse: in quote); 1 where sizes are in base
        readonly object contract_size
        readonly bint is_inverse
        readonly bint is_scale_known    # False: the facts' default scales, no instrument list was read

cdef class Stream:
    cdef:
        # Identity, fixed at creation.
        readonly str exchange
        readonly str connection         # name of the connection in the config
        readonly str kind               # trade quote book ticker candle funding liquidation raw
        readonly str variant            # "" or what followed the dot: candle.1m -> "1m", book.50 -> "50"
        readonly str name               # the venue's channel name: aggTrade, depth@100ms, books
        readonly str route              # key of facts.routes
        readonly str topic              # what (un)subscribe and acks speak of: btcusdt@aggTrade
        readonly bytes key              # what a data frame carries between facts.frames.data start and end
        readonly Instrument instrument  # None: a stream about many (liquidations by type)
        readonly object fact            # ChannelFact: thresholds, continuity, depth

        # Set by the session.
        public bint is_wanted           # somebody overrides the typed callback: decode it
        # what the verbs keep between messages of this stream (ticker deltas); or None
        public object state
        public object counters          # metrics.StreamCounters
