"""One strategy as the hot path sees it: callbacks resolved once, exceptions isolated, time measured."""
from asyncio import CancelledError

from connectors.book cimport Book
from connectors.events cimport BookChange, Candle, Funding, Liquidation, Quote, Ticker, Trade
from connectors.strategy import CALLBACKS, overridden

cdef extern from *:
    """
    #include <time.h>
    #if defined(_WIN32)
    #include <windows.h>
    static long long conn_monotonic(void) {
        LARGE_INTEGER f, c; QueryPerformanceFrequency(&f); QueryPerformanceCounter(&c);
        return (long long)((double)c.QuadPart * 1e9 / (double)f.QuadPart);
    }
    static long long conn_wall(void) {
        struct timespec t; timespec_get(&t, TIME_UTC); return (long long)t.tv_sec * 1000000000LL + t.tv_nsec;
    }
    #else
    static long long conn_monotonic(void) {
        struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (long long)t.tv_sec * 1000000000LL +
        t.tv_nsec;
    }
    static long long conn_wall(void) {
        struct timespec t; clock_gettime(CLOCK_REALTIME, &t); return (long long)t.tv_sec * 1000000000LL +
        t.tv_nsec;
    }
    #endif
    #define CONN_IS_HEAPTYPE(o) ((PyType_GetFlags(Py_TYPE(o)) & Py_TPFLAGS_HEAPTYPE) != 0)
    """
    long long conn_monotonic() noexcept nogil
    long long conn_wall() noexcept nogil
    bint CONN_IS_HEAPTYPE(object o) noexcept


cdef int64_t monotonic_ns() noexcept nogil:
    """The clock of time.monotonic_ns()."""
    return conn_monotonic()


cdef int64_t wall_ns() noexcept nogil:
    """The clock of time.time_ns()."""
    return conn_wall()


cdef int call_native(Strategy strategy, int which, object first, object second) except -1:
    """Through the vtable: what a cdef subclass overrides in C is called as C."""
    if which == CALL_FRAME:
        strategy.on_ws_frame(first, second)
    elif which == CALL_TRADE:
        strategy.on_trade(<Trade> first)
    elif which == CALL_QUOTE:
        strategy.on_quote(<Quote> first)
    elif which == CALL_BOOK:
        strategy.on_book(<Book> first, <BookChange> second)
    elif which == CALL_TICKER:
        strategy.on_ticker(<Ticker> first)
    elif which == CALL_CANDLE:
        strategy.on_candle(<Candle> first)
    elif which == CALL_FUNDING:
        strategy.on_funding(<Funding> first)
    elif which == CALL_LIQUIDATION:
        strategy.on_liquidation(<Liquidation> first)
    elif which == CALL_STATUS:
        strategy.on_status(first)
    elif which == CALL_PAUSE:
        strategy.on_pause(first)
    elif which == CALL_RESUME:
        strategy.on_resume(first)
    return 0


cdef class Slot:
    """A strategy of a run. `hub` hears of exceptions, slow calls and of the switch-off
    (connectors.hub.Hub)."""

    def __init__(self, Strategy strategy not None, hub, *, tuple connections=(), int max_errors=10):
        self.strategy = strategy
        self.name = strategy.name
        self.callbacks = overridden(strategy)
        self.connections = connections
        self.max_errors = max_errors
        self.is_on = True
        self.is_native = not CONN_IS_HEAPTYPE(strategy)
        self._hub = hub
        self._bound = [getattr(strategy, name) if name in self.callbacks else None for name in CALLBACKS]

    cdef int64_t call(self, int which, object first, object second, int64_t start_ns, int64_t slow_ns,
                      str connection) except -1:
        cdef int64_t end_ns
        if not self.is_on:
            return start_ns
        self.calls += 1
        try:
            if self.is_native:
                call_native(self.strategy, which, first, second)
            elif second is None:
                (<object> self._bound[which])(first)
            else:
                (<object> self._bound[which])(first, second)
            self._rows[which] = 0
        except (Exception, CancelledError) as error:
            # CancelledError: of a task of the strategy's own. Past us it would end the connection.
            self._failed(which, error, connection)
        except SystemExit as error:
            # It would pass through the event loop and leave no summary, no on_stop, no closed recording.
            self.is_on = False
            self.errors += 1
            self._hub.on_exit(self, CALLBACKS[which], error, connection)
        end_ns = conn_monotonic()
        if end_ns - start_ns > slow_ns:
            self.slow += 1
            self._hub.on_slow(self, CALLBACKS[which], end_ns - start_ns, connection)
        return end_ns

    cdef int _failed(self, int which, object error, str connection) except -1:
        self.errors += 1
        # Of each callback by itself: the others may work all the while.
        self._rows[which] += 1
        self.errors_in_row = self._rows[which]
        self._hub.on_error(self, CALLBACKS[which], error, connection)
        if self.max_errors and self.errors_in_row >= self.max_errors and self.is_on:
            self.is_on = False
            self._hub.on_off(self)
        return 0

    def on_status(self, status):
        """Deliver a status, if the strategy wants them."""
        if "on_status" in self.callbacks:
            self.call(CALL_STATUS, status, None, conn_monotonic(), 1 << 62, "")

    def on_writing(self, transport, bint is_paused):
        """Deliver on_pause or on_resume, if the strategy wants them."""
        cdef int which = CALL_PAUSE if is_paused else CALL_RESUME
        if CALLBACKS[which] in self.callbacks:
            self.call(which, transport, None, conn_monotonic(), 1 << 62, "")

    def switch_off(self):
        """No further callbacks."""
        self.is_on = False
