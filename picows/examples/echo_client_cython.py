"""A listener in Cython, with its build: compiled on the first run, called through the vtable without Python.

Needs Cython, setuptools and a C compiler. In a project of your own SOURCE is a .pyx file, and `build` is what
its setup.py does; no include path is needed, as the declarations lie beside the installed picows.

python -m picows.examples.echo_client_cython --url ws://127.0.0.1:9001/
python -m picows.examples.echo_client_cython --build-dir build/echo    # compiled there, and used again
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from picows import ws_connect

SOURCE = """
from picows.picows cimport WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

cdef class EchoClient(WSListener):
    cdef readonly Py_ssize_t echoes
    cdef readonly Py_ssize_t sum_of_bytes
    cdef Py_ssize_t _left
    cdef bytearray _buffer      # 14 bytes for the frame's header, then the message

    def __init__(self, Py_ssize_t messages, Py_ssize_t size):
        self._left = messages
        self._buffer = bytearray(14 + size)

    cdef int _send_next(self, WSTransport transport) except -1:
        cdef char* message = <char*>self._buffer + 14
        cdef Py_ssize_t i, size = len(self._buffer) - 14
        for i in range(size):
            message[i] = i & 1
        self._left -= 1
        # Without a copy: the header is written in front of the message, which a client masks where it lies.
        transport.send_reuse_external_buffer(WSMsgType.BINARY, message, size)

    cpdef on_ws_connected(self, WSTransport transport):
        self._send_next(transport)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        cdef Py_ssize_t i
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        self.echoes += 1
        for i in range(frame.payload_size):
            self.sum_of_bytes += frame.payload_ptr[i]
        if self._left:
            self._send_next(transport)
        else:
            transport.send_close(WSCloseCode.OK)
"""


def build(folder: Path) -> ModuleType:
    """Compile SOURCE in `folder`, unless that was done before, and import it."""
    # Named after the source, so that an edited one is another module.
    name = f"echo_client_{hashlib.sha256(SOURCE.encode()).hexdigest()[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    if importlib.util.find_spec(name) is None:
        try:
            from Cython.Build import cythonize
            from setuptools import Extension, setup
        except ImportError as error:
            sys.exit(f"{error.name} is needed to compile: pip install cython setuptools")
        (folder / f"{name}.pyx").write_text(SOURCE)
        back = Path.cwd()
        os.chdir(folder)
        try:
            extensions = cythonize([Extension(name, [f"{name}.pyx"])], language_level=3, quiet=True)
            setup(ext_modules=extensions, script_args=["--quiet", "build_ext", "--inplace"])
        finally:
            os.chdir(back)
        importlib.invalidate_caches()
    # An extension of another picows is refused here, by an ImportError that says so.
    return importlib.import_module(name)


async def run(url: str, messages: int, size: int, module: ModuleType) -> None:
    transport, listener = await ws_connect(lambda: module.EchoClient(messages, size), url)
    await transport.wait_disconnected()
    echoes = listener.echoes  # type: ignore[attr-defined]
    print(f"{echoes} echoes of {size} bytes, sum {listener.sum_of_bytes}")  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--url", default="ws://127.0.0.1:9001/", help="echo server (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=1000, help="round trips (default: %(default)s)")
    parser.add_argument("--size", type=int, default=256, help="bytes of a message (default: %(default)s)")
    parser.add_argument("--build-dir", type=Path, help="where to compile (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        module = build(arguments.build_dir or Path(temporary))
        asyncio.run(run(arguments.url, arguments.messages, arguments.size, module))


if __name__ == "__main__":
    main()
