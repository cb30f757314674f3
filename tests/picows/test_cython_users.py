"""A user's Cython extension, built out of tree against the package, without include paths of ours."""

from __future__ import annotations

import pytest

from .cython_support import build, run

SOURCE = """
from picows.picows cimport WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport
from picows cimport WSListener as SameListener

cdef class Echo(SameListener):
    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            transport.send(frame.msg_type, frame.payload_ptr[:frame.payload_size])

cdef class Counter(WSListener):
    cdef readonly Py_ssize_t frames
    cdef readonly Py_ssize_t payload_bytes
    cdef readonly int slack
    cdef bytearray buffer

    cpdef on_ws_connected(self, WSTransport transport):
        cdef char* message
        self.buffer = bytearray(14 + 5)
        message = <char*>self.buffer + 14
        message[0] = message[1] = message[2] = message[3] = message[4] = b"x"
        transport.send_reuse_external_buffer(WSMsgType.BINARY, message, 5)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        cdef int i
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        self.frames += 1
        self.payload_bytes += frame.payload_size
        for i in range(256):        # readable, whatever is there
            self.slack += frame.payload_ptr[frame.payload_size + i] != 0
        if self.frames < 1000:
            transport.send(WSMsgType.BINARY, b"y" * 100)
        elif self.frames == 1000:
            transport.send_close(WSCloseCode.OK, b"done")

cdef class Silent(WSListener):
    def __init__(self):
        pass        # takes nothing, neither request nor response

class PythonOnTop(Counter):
    seen = 0

    def on_ws_frame(self, transport, frame):
        PythonOnTop.seen += 1
        Counter.on_ws_frame(self, transport, frame)
"""

RUN = """
import asyncio
import sys
import usercode
from picows import ws_connect, ws_create_server

async def main():
    server = await ws_create_server(lambda request: usercode.Echo(), "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    usercode.PythonOnTop.seen = 0
    for factory in (usercode.Counter, usercode.PythonOnTop):
        transport, listener = await ws_connect(factory, url)
        await transport.wait_disconnected()
        assert (listener.frames, listener.payload_bytes) == (1000, 5 + 999 * 100), listener.frames
        assert transport.close_handshake.recv.code == 1000
    assert usercode.PythonOnTop.seen == 1001, usercode.PythonOnTop.seen
    transport, listener = await ws_connect(usercode.Silent, url)
    transport.disconnect()
    await transport.wait_disconnected()
    server.close()

for name in sys.argv[1:]:
    if name == "uvloop":
        import uvloop
        uvloop.run(main())
    else:
        asyncio.run(main())
print("ok")
"""


@pytest.mark.user_build
@pytest.mark.slow
def test_an_extension_of_a_user_builds_and_is_called_through_the_vtable(tmp_path):
    build(tmp_path, SOURCE)
    (tmp_path / "run.py").write_text(RUN)

    ran = run(tmp_path, "run.py", "asyncio", "uvloop")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout == "ok\n"
