"""256 bytes behind each payload are readable: parsers that load whole vectors may look past its end.

A listener in Cython reads them, for every frame, and measures how far its block reaches behind the payload.
Under `make sanitize` it is compiled with AddressSanitizer: a byte beyond the block ends the process.
"""

import importlib.util
import sysconfig

import pytest

from .cython_support import build
from .ws_frames import BINARY, CONT, TEXT, encode
from .ws_listeners import Recorder

PROBE = """
from libc.string cimport memcpy
from picows.buffer cimport Arena, Window, WS_BLOCK_SLACK, ws_block_data, ws_block_t
from picows.frame cimport WSFrame
from picows.listener cimport WSListener
from picows.parser cimport FrameParser
from picows.transport cimport WSTransport

cdef Py_ssize_t room_behind(WSFrame frame) except -1:
    '''Bytes of the block behind the payload; all that are promised are read.'''
    cdef ws_block_t* block = frame._block
    cdef int i
    cdef int total = 0
    for i in range(256):
        total += (<volatile char*>frame.payload_ptr)[frame.payload_size + i]
    return ws_block_data(block) + block.cap + WS_BLOCK_SLACK - (frame.payload_ptr + frame.payload_size)

cdef class Probe(WSListener):
    cdef readonly object inner
    cdef readonly Py_ssize_t frames
    cdef readonly Py_ssize_t least
    cdef readonly Py_ssize_t smallest_block
    cdef readonly Py_ssize_t largest_block

    def __init__(self, inner):
        self.inner = inner
        self.least = self.smallest_block = 1 << 62

    cpdef on_ws_connected(self, WSTransport transport):
        self.inner.on_ws_connected(transport)

    cpdef on_ws_disconnected(self, WSTransport transport):
        self.inner.on_ws_disconnected(transport)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        self.frames += 1
        self.least = min(self.least, room_behind(frame))
        self.smallest_block = min(self.smallest_block, <Py_ssize_t>frame._block.cap)
        self.largest_block = max(self.largest_block, <Py_ssize_t>frame._block.cap)
        self.inner.note("frame")

def rooms(list reads, Py_ssize_t read_size):
    '''What a connection does with what it reads: [(room behind the payload, size of its block)].'''
    cdef Window window = Window(Arena(), read_size)
    cdef FrameParser parser = FrameParser(True)
    cdef WSFrame frame = WSFrame()
    cdef Py_ssize_t room
    cdef bytes data
    cdef char* where
    found = []
    for data in reads:
        while data:
            where = window.reserve(&room)
            room = min(room, len(data))
            memcpy(where, <char*>data, room)
            window.commit(room)
            data = data[room:]
            while parser.next(window, frame):
                frame.begin(window.block)
                found.append((room_behind(frame), <Py_ssize_t>frame._block.cap))
                frame.end()
            window.settle(parser.need)
    return found
"""

READ = 256 * 1024
ARENA = READ + 16 * 1024  # the shared block: what one read asks for, behind the tail of a small frame
pytestmark = [pytest.mark.user_build, pytest.mark.slow]


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    """The extension, imported."""
    folder = tmp_path_factory.mktemp("probe")
    build(folder, PROBE, name="slack_probe")
    path = folder / f"slack_probe{sysconfig.get_config_var('EXT_SUFFIX')}"
    spec = importlib.util.spec_from_file_location("slack_probe", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_at_the_very_end_of_the_shared_arena(probe):
    tail = encode(BINARY, bytes(16_380))
    second = tail[-1:] + encode(BINARY, bytes(1020)) * 255 + encode(BINARY, bytes(1019))
    assert (len(tail), len(second)) == (16 * 1024, READ)

    found = probe.rooms([tail[:-1], second], READ)

    assert len(found) == 257
    assert found[-1] == (257, ARENA)  # a tail is a byte short of 16 KiB at the most
    assert min(found)[0] == 257


@pytest.mark.parametrize("size", [0, 1, 125, 126, 16_384, 100_000, 1 << 20, 5 << 20])
@pytest.mark.parametrize("first", [1, 2, 3, 12])
def test_in_a_block_of_the_frame_alone(probe, size, first):
    frame = encode(BINARY, bytes(size))
    first = min(first, len(frame) - 1)

    found = probe.rooms([frame[:first], frame[first:-1], frame[-1:]], 2048)

    assert len(found) == 1
    assert found[0][0] >= 256
    if size > 16_384:
        assert found[0][1] < size + 4096  # a block of its own, and the payload ends near its end


@pytest.mark.parametrize("cut", [500, 4096, 65_536, 100_000])
def test_wherever_the_reads_are_cut(probe, cut):
    sizes = [0, 3, 125, 126, 1000, 16_384, 40_000, 300_000]
    stream = b"".join(encode(BINARY, bytes(size)) for size in sizes * 3)

    found = probe.rooms([stream[start : start + cut] for start in range(0, len(stream), cut)], 16_384)

    assert len(found) == 3 * len(sizes)
    assert min(found)[0] >= 256


async def test_on_connections_plain_and_tls_up_to_the_largest_frame(open_end, probe):
    largest = 3 << 20

    class Listener(probe.Probe):
        """As `open_end` wants it; frames go to Probe.on_ws_frame through its vtable all the same."""

        transport = property(lambda self: self.inner.transport)

        async def until(self, condition):
            await self.inner.until(condition)

    listener = Listener(Recorder())
    end = await open_end(listener, max_frame_size=largest)
    for count, size in ((3000, 1020), (50, 20_000), (3, 1 << 20), (2, largest)):
        await end.peer.send_raw(end.peer.encoded(BINARY, bytes(size)) * count)
    await end.peer.send(TEXT, "a", fin=False)
    await end.peer.send(CONT, "b")
    await listener.until(lambda: listener.frames == 3057)

    assert listener.least >= 256
    assert listener.smallest_block <= ARENA
    assert listener.largest_block >= largest
