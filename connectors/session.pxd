"""One socket as picows sees it: a WSListener that feeds a pipeline."""
from libc.stdint cimport int64_t

from connectors.metrics cimport ConnectionCounters
from connectors.pipeline cimport Pipeline
from picows.frame cimport WSFrame
from picows.listener cimport WSListener
from picows.transport cimport WSTransport

cdef class Session(WSListener):
    cdef:
        readonly Pipeline pipeline
        readonly object exchange
        readonly WSTransport transport  # None before the upgrade
        readonly int conn_id
        readonly str connection
        readonly bint is_closed
        readonly str close_reason       # of the CLOSE frame that came, "" if none did
        object _owner
        object _clock
        object _tap
        str _route
        str _url
        list _slots
        bint _is_system_clock
        bint _is_fresh_read
        int64_t _ping_id

    cdef int _read_clocks(self) except -1
    cdef int _control(self, WSTransport transport, WSFrame frame) except -1
