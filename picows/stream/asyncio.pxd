# The event loop's own transports as a stream: Windows, and any loop without readiness callbacks.

from .base cimport Stream


cdef class LoopStream(Stream):
    cdef:
        object _transport        # asyncio.Transport, None before connection_made
        object _timer
        bint _at_eof
        bint _is_pause_due       # the loop said pause in the middle of a frame
