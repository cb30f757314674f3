"""The raw frame counter in Cython: called through the vtable, no Python frame is made for it."""
from libc.stdint cimport uint64_t

from connectors.strategy cimport Strategy
from picows.picows cimport WSFrame

from strategies.frame_counter import FrameCounter


cdef class CythonCounter(Strategy):
    """Frames and bytes in C integers. The frame is a view: nothing of it is kept."""

    Params = FrameCounter.Params    # a struct of a Python module, as any

    cdef:
        readonly uint64_t frames
        readonly uint64_t bytes
        readonly uint64_t sent
        bint _is_paused
        object _greeted     # the transport that `send` went through last

    def __init__(self, params=None, str name=""):
        super().__init__(params, name)
        self._greeted = None

    cpdef object on_ws_frame(self, object transport, object frame):
        self.frames += 1
        # A replay hands out frames of its own; those of a socket are read as C fields.
        if isinstance(frame, WSFrame):
            self.bytes += <uint64_t> (<WSFrame> frame).payload_size
        else:
            self.bytes += <uint64_t> len(frame.get_payload_as_memoryview())
        if self.params.send and not self._is_paused and transport is not self._greeted:
            self._greet(transport)

    cpdef object on_pause(self, object transport):
        self._is_paused = True

    cpdef object on_resume(self, object transport):
        self._is_paused = False

    cpdef object on_stop(self):
        print(f"{self.name}: {self.frames} frames, {self.bytes} bytes", flush=True)

    cdef object _greet(self, object transport):
        from picows import WSMsgType
        self._greeted = transport
        transport.send(WSMsgType.TEXT, self.params.send.encode())
        self.sent += 1
